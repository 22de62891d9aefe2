"""The catalogue of observed properties."""
