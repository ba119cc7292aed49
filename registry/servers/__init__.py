"""Tables first."""
