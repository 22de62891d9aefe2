"""Bundles: a tar file (or a folder) of manifest, signature and files; made on a desk, read on a gateway."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qytet.errors import InputError
from qytet_edge.update import disk, manifest
from qytet_edge.update.manifest import Entry, Manifest

__all__ = ["MANIFEST", "SIGNATURE", "make", "unpack"]

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
_MAX_HEAD = 1_000_000  # bytes of a manifest
_CHUNK = 1 << 20


def make(version: str, wheels: Path, deploy: Path | None, key: Path, out: Path) -> Manifest:
    """Write the bundle `out` of all wheels in a folder and of the deployment's files. Raises InputError."""
    files = {f"wheels/{path.name}": path for path in sorted(wheels.glob("*.whl"))}
    if not files:
        raise InputError(f"There are no wheels in {wheels}.")
    if not any(name.startswith(f"wheels/qytet-{version}-") for name in files):
        raise InputError(
            f"The wheel of qytet {version} is not in {wheels}.", do="Build it: pip wheel --no-deps ."
        )
    if deploy:
        found = (
            path for path in sorted(deploy.rglob("*")) if path.is_file() and "__pycache__" not in path.parts
        )
        files |= {f"deploy/{path.relative_to(deploy).as_posix()}": path for path in found}
    entries = {name: manifest.digest(path) for name, path in files.items()}
    made = Manifest(manifest.FORMAT, version, entries)
    raw, signature = manifest.signed(made, manifest.private_key(key))
    partial = out.with_name(out.name + ".partial")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, MANIFEST, io.BytesIO(raw), len(raw))
        _add(tar, SIGNATURE, io.BytesIO(signature), len(signature))
        for name, path in files.items():
            with path.open("rb") as file:
                _add(tar, name, file, entries[name].size)
    disk.rename(partial, out)
    return made


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    """Without owner, time or mode: the same files make the same bundle."""
    info = tarfile.TarInfo(name)
    info.size = size
    tar.addfile(info, content)


class _Box(Protocol):
    def head(self, name: str) -> bytes: ...
    def files(self) -> Iterator[tuple[str, IO[bytes]]]: ...


def unpack(source: Path, keys: Iterable[Ed25519PublicKey], into: Path) -> Manifest:
    """Write the bundle's files below `into`, each checked while it is written; return the manifest.

    Raises InputError if the signature, a file's size or digest is wrong, or a file is missing or too much.
    Nothing is written before the signature is known to be good.
    """
    with _opened(source) as box:
        found = manifest.opened(box.head(MANIFEST), box.head(SIGNATURE), keys)
        missing = dict(found.files)
        for name, content in box.files():
            with content:
                entry = missing.pop(name, None)
                if entry is None:
                    raise InputError(f"The bundle holds {name[:200]!r}, which its manifest does not name.")
                _copy(name, content, entry, into / name)
    if missing:
        raise InputError(
            f"The bundle is not whole: {min(missing)} is missing.", do="Fetch it again: it was cut off."
        )
    return found


def _copy(name: str, content: IO[bytes], entry: Entry, to: Path) -> None:
    disk.make_folder(to.parent)
    hashed, left = hashlib.sha256(), entry.size
    disk.before(f"unpack {name}")
    with to.open("xb") as file:
        while chunk := content.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            hashed.update(chunk)
            file.write(chunk)
    if left or hashed.hexdigest() != entry.sha256:
        raise InputError(
            f"The bundle is damaged: {name} is not what the manifest says.", do="Fetch the bundle again."
        )


@contextmanager
def _opened(source: Path) -> Iterator[_Box]:
    try:
        if source.is_dir():
            yield _Folder(source)
            return
        with tarfile.open(source, "r:") as tar:
            yield _Tar(tar)
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            f"The bundle {source.name} cannot be read.", why=str(error), do="Fetch it again."
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} does not exist.") from error


class _Tar:
    """A bundle as one file: first the manifest, then its signature, then regular files and nothing else."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def head(self, name: str) -> bytes:
        member = self._tar.next()
        if member is None or member.name != name or not member.isreg() or member.size > _MAX_HEAD:
            raise InputError(f"This is no bundle: {name} is not where it should be.")
        content = self._tar.extractfile(member)
        with content or nullcontext(io.BytesIO()) as file:
            return file.read()

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        while member := self._tar.next():
            content = self._tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise InputError(f"The bundle holds {member.name[:200]!r}, which is no regular file.")
            yield member.name, content


class _Folder:
    """A bundle that somebody has unpacked already."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def head(self, name: str) -> bytes:
        with (self._folder / name).open("rb") as file:
            return file.read(_MAX_HEAD)

    def files(self) -> Iterator[tuple[str, IO[bytes]]]:
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            if path.is_file() and not path.is_symlink() and name not in (MANIFEST, SIGNATURE):
                yield name, path.open("rb")
