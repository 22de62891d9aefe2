"""SLIP (RFC 1055): how packets are told apart on the loader's line."""

from collections.abc import Iterator

__all__ = ["Deframer", "framed"]

_END, _ESC, _ESC_END, _ESC_ESC = b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd"
_LARGEST = 1 << 17
"""Twice what a 16-bit length can announce, as every byte may be escaped."""


def framed(payload: bytes) -> bytes:
    """A packet as it goes over the line."""
    return _END + payload.replace(_ESC, _ESC_ESC).replace(_END, _ESC_END) + _END


class Deframer:
    """Takes bytes as they come, gives whole packets; what lies outside of frames or is no SLIP is lost."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._inside = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The packets that are complete now."""
        *ended, rest = data.split(_END)
        for piece in ended:
            self._take(piece)
            if self._held:
                payload = _plain(bytes(self._held))
                if payload:
                    yield payload
            self._held.clear()
            self._inside = True
        self._take(rest)

    def _take(self, piece: bytes) -> None:
        if self._inside and len(self._held) + len(piece) <= _LARGEST:
            self._held += piece
        elif piece:
            self._held.clear()
            self._inside = False


def _plain(escaped: bytes) -> bytes | None:
    """Without escapes; None if there is one that SLIP does not have."""
    first, *others = escaped.split(_ESC)
    plain = bytearray(first)
    for piece in others:
        if piece[:1] not in (b"\xdc", b"\xdd"):
            return None
        plain += (_END if piece[:1] == b"\xdc" else _ESC) + piece[1:]
    return bytes(plain)
