"""How a value is named: the catalogue's property, and a channel where a node has several of one kind."""

_known = {}


def keyed(name, channel=""):
    """`name` or `name:channel`."""
    return same(name + ":" + channel if channel else name)


def same(text):
    """The text, the one that was first asked for: drivers and profile name the same things, in memory once."""
    return _known.setdefault(text, text)


def settled():
    """All names are given: forget who has which."""
    _known.clear()
