"""Cities and how many of their devices are heard."""
