"""The whole platform on one machine, started by one command, watched, stopped in order, and called to account."""
