"""Readings and their aggregates, paged and streamed."""
