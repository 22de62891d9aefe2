"""RSA signatures, PKCS#1 v1.5 with SHA-256 (RFC 8017, 8.2.2): what an update's manifest is signed with.

Verification only: a node holds nobody's private key.
"""

import hashlib

# DigestInfo of SHA-256 up to the digest itself (RFC 8017, 9.2, note 1).
_SHA256 = bytes(
    (
        0x30,
        0x31,
        0x30,
        0x0D,
        0x06,
        0x09,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        0x01,
        0x05,
        0x00,
        0x04,
        0x20,
    )
)


def is_signed(message, signature, modulus, exponent=65537):
    """Whether `signature` is that of `message` (bytes) by the key of this modulus (bytes, big-endian)."""
    return fits(hashlib.sha256(message).digest(), signature, modulus, exponent)


def fits(digest, signature, modulus, exponent=65537):
    """The same for a message of this SHA-256 digest."""
    size = len(modulus)
    number = int.from_bytes(modulus, "big")
    value = int.from_bytes(signature, "big")
    if len(signature) != size or size < 256 or value >= number:
        return False
    digest = _SHA256 + digest
    wanted = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
    return pow(value, exponent, number).to_bytes(size, "big") == wanted
