"""The promises of the platform, checked against real servers."""
