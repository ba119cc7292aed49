"""Residents: how a family comes to its own page, and what ties it to what it said to the city."""
