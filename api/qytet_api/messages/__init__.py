"""The texts of the page in each language."""
