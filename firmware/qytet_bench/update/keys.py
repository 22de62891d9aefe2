"""The key that signs updates: RSA with 2048 bits, because MicroPython can verify it in eight lines."""

from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from qytet.errors import InputError
from qytet_bench.files import write_once, write_whole

__all__ = ["BITS", "load", "make", "modulus", "public_path"]

BITS = 2048
_EXPONENT = 65537
"""The only one that nodes know (`qytet_node/rsa.py`)."""


def make(path: Path) -> str:
    """Write a new private key (PEM, 0600) and beside it what nodes are given; return that, 512 hexadecimal digits.

    Raises InputError if there is a file already: whoever loses the key of nodes in the street has to go there.
    """
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=BITS)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_once(path, pem, 0o600)
    except FileExistsError as error:
        if not public_path(path).exists():  # whoever made the key was interrupted between the two
            with suppress(InputError):
                _publish(path, load(path))
        raise InputError(
            f"{path} is there already.",
            why="Nodes in the street trust the key that they were given, and no other.",
            do="Use that key, or move it to a safe place first.",
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be written.", why=str(error.strerror)) from error
    return _publish(path, key)


def _publish(path: Path, key: rsa.RSAPrivateKey) -> str:
    write_whole(public_path(path), f"{modulus(key)}\n".encode(), secret=False)
    return modulus(key)


def load(path: Path) -> rsa.RSAPrivateKey:
    """The key of a file. Raises InputError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read as a private key.",
            why=str(error),
            do="Make one with `qytet bench key --out FILE`.",
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != BITS:
        raise InputError(f"{path} is not an RSA key of {BITS} bits.", do="Nodes can check no other.")
    if key.public_key().public_numbers().e != _EXPONENT:
        raise InputError(f"{path} has another exponent than {_EXPONENT}.", do="Nodes can check no other.")
    return key


def modulus(key: rsa.RSAPrivateKey) -> str:
    """What nodes are given as /etc/update.key."""
    return f"{key.public_key().public_numbers().n:0{BITS // 4}x}"


def public_path(path: Path) -> Path:
    """Where `make` puts the public part."""
    return path.with_name(path.name + ".pub")
