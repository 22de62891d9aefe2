"""Which hosts are this very machine, so that what is said to them needs no TLS."""

import ipaddress

__all__ = ["is_here"]


def is_here(host: str | None) -> bool:
    """Whether a URL's host is this machine whatever a name server says: `localhost`, or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
