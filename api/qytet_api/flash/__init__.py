"""The page on which a technician flashes and sets up a node with nothing but a browser."""
