"""Free and taken TCP ports of the loopback interface, and the port that a folder remembers."""

import contextlib
import os
import secrets
import socket
import sys
from collections import deque
from pathlib import Path

import psutil

from qytet.embedded._errors import EmbeddedError, PortTakenError

LOOPBACK = "127.0.0.1"
_LOWEST = 15_000  # well-known servers live below
_TRIES = 500
_KEPT = 64  # ports that this process chose last, and that no other process of ours chooses meanwhile
_claims: deque[int] = deque()  # descriptors


def free_port() -> int:
    """Return a port that nobody listens on at this moment, nor was given by this function lately (Linux).

    Between the choice and the listening a server may need seconds, in which another that starts beside it would
    find the port free as well. A stranger may still take it.

    It lies below the range that the system gives to outgoing connections: a client that keeps trying to
    reach a server that is down could be given that very port as its own, connect to itself, and hold it.
    """
    low = _first_outgoing_port()
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(low - _LOWEST)
        if _claim(port) and is_free(port):
            return port
    raise EmbeddedError(
        f"No free port was found between {_LOWEST} and {low}.",
        why=f"{_TRIES} ports were tried, and all are taken.",
        do="Stop some of the programs that listen there, or choose a port.",
    )


def _claim(port: int) -> bool:
    """Tell whether no process of ours chose the port lately; from now on this one did.

    The claim is an abstract name, which the kernel frees with its process, in the network that the port belongs to.
    """
    if sys.platform != "linux":
        return True
    with socket.socket(socket.AF_UNIX) as claim:
        try:
            claim.bind(f"\0qytet-port-{port}")
        except OSError:
            return False
        _claims.append(claim.detach())
    if len(_claims) > _KEPT:
        os.close(_claims.popleft())
    return True


def _first_outgoing_port() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
        if low > _LOWEST + _TRIES:
            return low
    return 32_768  # Linux's default; other systems begin higher


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a connection that lingers in TIME_WAIT does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def listener(port: int) -> int | None:
    """Return the pid that listens on the port, when the system lets us know it."""
    with contextlib.suppress(psutil.Error):
        for link in psutil.net_connections("tcp"):
            if link.status == psutil.CONN_LISTEN and link.laddr and link.laddr.port == port:
                return link.pid
    return None


def choose_port(server: str, wanted: int | None, memory: Path) -> int:
    """Return the wanted port, else the one remembered in the file `memory`, else a free one.

    A wanted port that is taken raises PortTakenError; a remembered one is given up silently.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise PortTakenError(server, wanted, listener(wanted))
        return wanted
    remembered = _remembered(memory)
    if remembered is not None and is_free(remembered):
        return remembered
    port = free_port()
    memory.write_text(f"{port}\n", encoding="ascii")
    return port


def _remembered(memory: Path) -> int | None:
    try:
        port = int(memory.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return port if 0 < port < 65_536 else None
