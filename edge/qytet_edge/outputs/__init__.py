"""The outputs: what the gateway can move in the street, each kind a plug-in of its own."""
