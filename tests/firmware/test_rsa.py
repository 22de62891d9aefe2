"""Signatures as the node checks them, made by a well-known library."""

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from tests.firmware.device import run
from tests.servers.micropython import MicroPython


def test_only_the_right_signature_is_accepted(micropython: MicroPython) -> None:
    """A changed message, a changed signature, another key, another digest or padding: all are refused."""
    key, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    message = b'{"version":"1.2.3"}'
    good = key.sign(message, padding.PKCS1v15(), SHA256())
    number = key.public_key().public_numbers().n
    modulus = number.to_bytes(256, "big")
    pss = padding.PSS(padding.MGF1(SHA256()), 32)
    cases = [
        (message, good, True),
        (message + b" ", good, False),
        (message, good[:-1] + bytes([good[-1] ^ 1]), False),
        (message, other.sign(message, padding.PKCS1v15(), SHA256()), False),
        (message, key.sign(message, padding.PKCS1v15(), SHA384()), False),
        (message, key.sign(message, pss, SHA256()), False),
        (message, good[:-1], False),
        (message, b"\x00" + good, False),
        (message, b"", False),
        (message, (int.from_bytes(good, "big") + number).to_bytes(257, "big")[-256:], False),
    ]
    code = f"""
import json
from qytet_node.rsa import is_signed
for message, signature, _ in {cases!r}:
    print(json.dumps(is_signed(message, signature, {modulus!r})))
"""
    assert run(micropython, code) == [wanted for _, _, wanted in cases]
