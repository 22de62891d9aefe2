"""Which simulated sensor belongs to a row of a profile, and how it is soldered: one function a driver."""
