"""What the HTTP API and the page promise."""
