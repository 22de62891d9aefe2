"""Chance that depends on names alone, never on the order of asking."""

from hashlib import blake2b


def chance(*parts: object) -> float:
    """A number in [0, 1) for these names."""
    return int.from_bytes(_digest(parts, 8), "little") / 2**64


def hex8(*parts: object) -> str:
    """Eight lower-case hexadecimal digits for these names."""
    return _digest(parts, 4).hex()


def _digest(parts: tuple[object, ...], size: int) -> bytes:
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=size).digest()
