"""Cameras: what is mounted where, of which make, on whose behalf, and what it sees of the ground."""
