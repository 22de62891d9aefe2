"""Does nothing, by intent: an error here would keep main.py from running, and the bench's tools run this too."""
