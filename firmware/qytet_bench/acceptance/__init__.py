"""Acceptance of a node in place: what must be true before the technician leaves, seen from the city's side."""
