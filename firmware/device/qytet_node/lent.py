"""Modules for a moment: a chip's memory has no room for code that runs at the start, or once an hour.

What is lent is imported, used and forgotten, and with it what it imported of the same sort: once nothing refers to
them, the next collection takes them. They are read from flash again at the next call, which takes some tens of
milliseconds. So they keep nothing themselves, and an exception of theirs that others catch is one of Python's own.
"""

import sys

_PASSING = (
    " topics asking commands config correcting fetch greeting hardware health introduction joining messages opening"
    " ordering ota orders parts planning profile reading renewal rsa saying slots sntp staging upkeep wiring "
)
"""In one text, as a tuple of names would take six times the memory."""


def lent(name):
    """The module `qytet_node.<name>`, in memory as long as the caller holds it."""
    module = __import__("qytet_node." + name, None, None, (name,))
    for full in list(sys.modules):
        package, _, last = full.rpartition(".")
        if package and " " + last + " " in _PASSING:
            del sys.modules[full]
            if hasattr(sys.modules[package], last):
                delattr(sys.modules[package], last)
    return module
