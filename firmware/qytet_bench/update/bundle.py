"""A bundle: one file that a node can take from a slow line piece by piece, and check before it writes anything.

    "QYTETUP1" | length of the manifest, u32 little endian | manifest | signature, 256 bytes | the files' bytes
    {"v":1,"version":"0.2.0","downgrade":false,"files":[
    ["qytet_node/app.mpy",1234,"<SHA-256>"],
    …
    ]}

The signature is RSA-2048, PKCS#1 v1.5 with SHA-256, over the manifest's bytes. The same program and key make the same
bytes. The manifest is JSON, and its line breaks are part of the format: the node reads it line by line.
"""

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from qytet.errors import InputError

__all__ = ["MAGIC", "Bundle", "File", "make", "read"]

MAGIC = b"QYTETUP1"
FORMAT = 1
MOST_MANIFEST = 16384
"""Bytes that a node takes (`qytet_node/staging.py`)."""
ENTRY = "qytet_node/app.mpy"
_HEAD = struct.Struct("<8sI")
_SIGNATURE = 256
_NAME = re.compile(r"(qytet_node|qytet_contract|profiles|boards)(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,60}){1,3}")
_VERSION = re.compile(r"\d{1,5}(\.\d{1,5}){2}")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the slot: its path in it, bytes, SHA-256 in hexadecimal digits."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle says of itself. `sha256` is that of the whole, for the command `update`."""

    version: str
    downgrade: bool
    files: tuple[File, ...]
    size: int
    sha256: str


def make(
    version: str, slot: Mapping[str, bytes], key: rsa.RSAPrivateKey, *, allow_downgrade: bool = False
) -> bytes:
    """The bundle of a slot's files. Raises InputError for what no node would take."""
    if not _VERSION.fullmatch(version):
        raise InputError(f"{version!r} is no version of a node.", why="Three numbers are expected: 0.2.0.")
    if ENTRY not in slot:
        raise InputError(f"The program has no {ENTRY}.")
    for name in slot:
        if not _NAME.fullmatch(name):
            raise InputError(f"No node would take a file named {name!r}.")
    names = sorted(slot)
    files = [[name, len(slot[name]), hashlib.sha256(slot[name]).hexdigest()] for name in names]
    said = {"v": FORMAT, "version": version, "downgrade": allow_downgrade, "files": []}
    rows = ",\n".join(_compact(file) for file in files)
    manifest = f"{_compact(said).removesuffix(']}')}\n{rows}\n]}}\n".encode()
    if len(manifest) > MOST_MANIFEST:
        raise InputError(f"The manifest has {len(manifest):,} bytes.", why=f"A node takes {MOST_MANIFEST:,}.")
    signature = key.sign(manifest, padding.PKCS1v15(), SHA256())
    return _HEAD.pack(MAGIC, len(manifest)) + manifest + signature + b"".join(slot[name] for name in names)


def read(content: bytes, key: rsa.RSAPublicKey | None = None) -> Bundle:
    """What a bundle says, each file compared with its SHA-256, the signature with the key if there is one.

    Raises InputError if it is none, or damaged, or not signed by that key.
    """
    if not content.startswith(MAGIC):
        raise InputError("This is no update bundle of a node.", why="It does not begin as one.")
    try:
        _, size = _HEAD.unpack_from(content)
        at = _HEAD.size + size
        manifest, signature = content[_HEAD.size : at], content[at : at + _SIGNATURE]
        said = json.loads(manifest)
        files = tuple(File(str(path), int(size), str(digest)) for path, size, digest in said["files"])
        version, downgrade = str(said["version"]), bool(said["downgrade"])
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise InputError("This is no update bundle of a node.", why=str(error)) from error
    if key is not None:
        _verify(key, manifest, signature)
    at += _SIGNATURE
    for file in files:
        if hashlib.sha256(content[at : at + file.size]).hexdigest() != file.sha256:
            raise InputError(f"The bundle is damaged: {file.path} is not what its manifest says.")
        at += file.size
    if at != len(content):
        raise InputError("The bundle is damaged: its length is not what its manifest says.")
    return Bundle(version, downgrade, files, len(content), hashlib.sha256(content).hexdigest())


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _verify(key: rsa.RSAPublicKey, manifest: bytes, signature: bytes) -> None:
    try:
        key.verify(signature, manifest, padding.PKCS1v15(), SHA256())
    except InvalidSignature:
        raise InputError(
            "The bundle is not signed by this key.", do="Nodes that trust the key would refuse it."
        ) from None
