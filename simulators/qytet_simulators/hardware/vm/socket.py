"""`socket`: names lead to the bench's network, and every socket to the bench itself.

Underneath they are local sockets: what was written to one is at its other end when `write` returns. Over loopback TCP
it arrives a little later, and the bench, seeing nobody wait for an answer, would let hours go by meanwhile.
"""

import struct

import _bench
import usocket
from usocket import *

_LOCAL = usocket.AF_UNIX


def getaddrinfo(host, port, af=0, kind=0, proto=0, flags=0):
    """As on an ESP32: raises OSError(-202) when there is no network or the name is not known."""
    if isinstance(host, bytes):
        host = host.decode()
    udp = kind == usocket.SOCK_DGRAM
    name = _bench.ask(_bench.RESOLVE, int(port), 1 if udp else 0, data=host.encode(), want=True)
    if not name:
        raise OSError(-202)
    return [(usocket.AF_INET, kind or usocket.SOCK_STREAM, 0, "", struct.pack("<H", _LOCAL) + name)]


def socket(af=usocket.AF_INET, kind=usocket.SOCK_STREAM, proto=0):
    """A stream, or a datagram socket that answers find."""
    made = usocket.socket(_LOCAL, kind)
    if kind == usocket.SOCK_DGRAM:
        made.bind(struct.pack("<H", _LOCAL))  # the kernel finds a name
    return made
