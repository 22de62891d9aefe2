"""The first page: static files."""
