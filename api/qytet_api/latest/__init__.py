"""The newest reading of each datastream."""
