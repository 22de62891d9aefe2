"""Simulated cities, recordings and faults: they say to a broker only what a device could say."""
