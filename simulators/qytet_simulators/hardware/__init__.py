"""A bench without a board: a simulated ESP32 that runs the node's real code in a real MicroPython VM."""
