"""What a bundle holds, each file with size and SHA-256, signed with Ed25519; and the keys for it.

`manifest.json` {"format":1,"version":"0.2.0","files":{"wheels/x.whl":{"size":1,"sha256":"…"}}} is signed byte for byte;
`manifest.sig` holds the 64 bytes. A gateway trusts every public key in its folder of keys: put the next one there
before the old one retires.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from qytet.errors import InputError
from qytet_edge.update.layout import version_key

__all__ = [
    "FORMAT",
    "Entry",
    "Manifest",
    "digest",
    "new_key",
    "opened",
    "private_key",
    "public_keys",
    "signed",
]

FORMAT = 1
MAX_FILES = 500
_NAME = re.compile(r"(wheels|deploy)(/[A-Za-z0-9][A-Za-z0-9._+-]{0,200}){1,4}")
"""Files lie in one of two folders; no part of a name begins with a dot."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: bytes, and SHA-256 in hexadecimal digits."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A release: its version, and its files by their path in the bundle."""

    format: int
    version: str
    files: dict[str, Entry]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files.values())


def opened(raw: bytes, signature: bytes, keys: Iterable[Ed25519PublicKey]) -> Manifest:
    """The manifest, if one of the keys signed it. Raises InputError; nothing of `raw` is looked at before."""
    if not any(_signed_by(key, raw, signature) for key in keys):
        raise InputError(
            "The bundle is not signed by anybody whom this gateway trusts.",
            why="None of the public keys in update-keys fits the signature.",
            do="Fetch the bundle again from whoever makes your releases; do not install it by other means.",
        )
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as error:
        raise InputError("The bundle's manifest cannot be read.", why=str(error)) from error
    _check(manifest)
    return manifest


def signed(manifest: Manifest, key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    """The manifest as bytes, and its signature."""
    _check(manifest)
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    return raw, key.sign(raw)


def digest(path: Path) -> Entry:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(path.stat().st_size, found)


def new_key() -> tuple[bytes, bytes]:
    """A new pair as PEM: private, public."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, public


def private_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs. Raises InputError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"The signing key {path} cannot be read.", why=str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"The signing key {path} is not an Ed25519 key.")
    return key


def public_keys(folder: Path) -> list[Ed25519PublicKey]:
    """All keys of a folder. Raises InputError if there is none, or one cannot be read."""
    found = []
    for path in sorted(folder.glob("*.pem")):
        try:
            key = load_pem_public_key(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"The public key {path} cannot be read.", why=str(error)) from error
        if isinstance(key, Ed25519PublicKey):
            found.append(key)
    if not found:
        raise InputError(
            "This gateway trusts nobody's bundles.",
            why=f"There is no Ed25519 public key (*.pem) in {folder}.",
            do="Lay the public key of whoever makes your releases there.",
        )
    return found


def _signed_by(key: Ed25519PublicKey, raw: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, raw)
    except InvalidSignature:
        return False
    return True


def _check(manifest: Manifest) -> None:
    if manifest.format != FORMAT:
        raise InputError(
            f"The bundle has format {manifest.format}.", why=f"This release knows format {FORMAT} only."
        )
    version_key(manifest.version)
    if not 0 < len(manifest.files) <= MAX_FILES:
        raise InputError(
            f"The bundle names {len(manifest.files)} files.", why=f"1 to {MAX_FILES} are expected."
        )
    for name, entry in manifest.files.items():
        if not _NAME.fullmatch(name) or entry.size < 0 or not re.fullmatch("[0-9a-f]{64}", entry.sha256):
            raise InputError(f"The bundle names a file that it may not: {name[:200]!r}.")
