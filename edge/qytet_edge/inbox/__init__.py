"""The inbox: every kind of instrument, bus, file or neighbour that readings come from, each a plug-in of its own."""
