"""Records that wait for their time."""
