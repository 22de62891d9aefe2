"""How a value is named: the catalogue's property, and a channel where a node has several of one kind."""


def keyed(name, channel=""):
    """`name` or `name:channel`."""
    return name + ":" + channel if channel else name
