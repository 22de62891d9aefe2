"""`socket`: the machine's own, except that names lead to the bench's network."""

import _bench
import usocket
from usocket import *


def getaddrinfo(host, port, af=0, kind=0, proto=0, flags=0):
    """As on an ESP32: raises OSError(-202) when there is no network or the name is not known."""
    if isinstance(host, bytes):
        host = host.decode()
    udp = 1 if kind == usocket.SOCK_DGRAM else 0
    number = _bench.ask(_bench.RESOLVE, int(port), udp, data=host.encode())
    if number == 0:
        raise OSError(-202)
    return usocket.getaddrinfo("127.0.0.1", number, usocket.AF_INET, kind or usocket.SOCK_STREAM)
