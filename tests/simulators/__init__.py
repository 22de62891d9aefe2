"""Tests of the simulators: what devices measure, how they deliver, and what they send on purpose."""
