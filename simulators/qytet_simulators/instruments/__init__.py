"""Simulated instruments: buses, serial sensors and lines that misbehave on request."""
