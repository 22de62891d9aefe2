"""Devices, their state and when they were last heard."""
