"""An update's bundle, from the line into the slot that does not run; no file goes there before the signature is good.

    "QYTETUP1", length of the manifest (32 bits, little endian), manifest, its signature (256 bytes), the files' bytes
    {"v":1,"version":"0.2.0","downgrade":false,"files":[
    ["qytet_node/app.mpy",1234,"<SHA-256>"],
    …
    ]}

The manifest waits in a file and is read line by line: no chip has room for it in one piece beside what runs.
"""

import asyncio
import errno
import hashlib
import json
import os
import struct
from binascii import hexlify, unhexlify

from qytet_node.rsa import fits
from qytet_node.slots import ENTRY

MAGIC = b"QYTETUP1"
MOST = 16384
"""Bytes of a manifest."""
FOLDERS = ("qytet_node", "qytet_contract", "profiles", "boards")
_PIECE = 1024
_SPARE = 98304
"""Bytes for folders (two blocks each), and that stay free for records and littlefs's own copies."""
_PARTIAL = ENTRY[:-3] + "new"
_NO_SPACE = 28
"""littlefs's own number for a full flash (see `backlog.py`)."""


class BundleError(ValueError):
    """What came is not an update for this node; says why."""


async def stage(source, slots, etc, sha256, running):
    """Write the update into the free slot; returns its version when all of it was read back from the flash.

    `source.fill(view)` gives the next bytes; `sha256` (hex) is that of the whole; `running` is the version that runs.
    """
    modulus, whole, buffer = _key(etc), hashlib.sha256(), memoryview(bytearray(_PIECE))

    async def take(view):
        await source.fill(view)
        whole.update(view)

    await take(buffer[:12])
    size = struct.unpack_from("<I", buffer, 8)[0]
    if bytes(buffer[:8]) != MAGIC or not 0 < size <= MOST:
        raise BundleError("this is no bundle")
    signed = await _write(take, slots.manifest, size, buffer)
    await take(buffer[:256])
    if not fits(signed.digest(), bytes(buffer[:256]), modulus):
        raise BundleError("it is not signed by whom this node trusts")
    version = _checked(slots.manifest, running)
    slots.clear_slot()
    _room(slots.manifest, slots.free)
    for path, left, digest in rows(slots.manifest):
        if _hex(await _write(take, slots.free + "/" + _place(path), left, buffer)) != digest:
            raise BundleError(path + " came damaged")
    if _hex(whole) != sha256.lower():
        raise BundleError("it is not what was ordered: another SHA-256")
    for path, _, digest in rows(slots.manifest):
        if _hex(_read(slots.free + "/" + _place(path), buffer)) != digest:
            raise BundleError(path + " was damaged on the flash")
        await asyncio.sleep_ms(0)
    os.remove(slots.manifest)
    os.rename(slots.free + "/" + _PARTIAL, slots.free + "/" + ENTRY)
    return version


def rows(manifest):
    """(path, size, SHA-256) of each file, one after the other; the file is open only while a line is read."""
    at, line = 0, b"{"
    while line:
        if line[0] == 0x5B:  # [
            yield json.loads(line.rstrip(b",\n"))
        line = _line(manifest, at)
        at += len(line)


def _line(path, at):
    with open(path, "rb") as file:
        file.seek(at)
        return file.readline()


def words(error):
    """Of an error, for the city."""
    if isinstance(error, asyncio.TimeoutError):
        return "nobody answered in time"
    if isinstance(error, MemoryError):
        return "too little memory"
    if isinstance(error, OSError) and error.errno == _NO_SPACE:
        return "the flash is full"
    return str(error) or type(error).__name__


def _key(etc):
    """Who signs: the modulus of the key, from hexadecimal digits."""
    try:
        with open(etc + "/update.key") as file:
            return unhexlify(file.read().strip())
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    raise BundleError("this node has no key to check updates with")


def _checked(manifest, running):
    """The version, if it may follow the running one, and if no file may go astray."""
    about = json.loads(_line(manifest, 0) + b"]}")
    version = about["version"]
    if about["v"] != 1:
        raise BundleError("it is of another kind: " + str(about["v"])[:8])
    if about["downgrade"] is not True and _order(version) <= _order(running):
        raise BundleError(running + " runs, and " + version + " is not newer")
    whole = False
    for path, size, _ in rows(manifest):
        folder, _, name = path.partition("/")
        if folder not in FOLDERS or not name or ".." in path or size < 0:
            raise BundleError("it has a file that does not belong here: " + path[:60])
        whole = whole or path == ENTRY
    if not whole:
        raise BundleError("it has no " + ENTRY)
    return version


def _order(version):
    return [int(one) for one in version.split(".")]


def _room(manifest, folder):
    base = folder[:-1] or "/"
    found = os.statvfs(base)
    block = found[0]
    need = _SPARE + sum(size // block + 1 for _, size, _ in rows(manifest)) * block
    if found[3] * block < need:
        raise BundleError("the flash has no room: %d bytes are free, %d needed" % (found[3] * block, need))


def _place(path):
    """Where it is written: what makes the slot a whole one gets its name last."""
    return _PARTIAL if path == ENTRY else path


async def _write(take, path, left, buffer):
    """The digest of what was written."""
    hashed = hashlib.sha256()
    with _new(path) as file:
        while left:
            piece = buffer[: min(left, _PIECE)]
            await take(piece)
            file.write(piece)
            hashed.update(piece)
            left -= len(piece)
    return hashed


def _read(path, buffer):
    """The digest of what lies on the flash."""
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            size = file.readinto(buffer)
            if not size:
                return hashed
            hashed.update(buffer[:size])


def _new(path):
    """A file, with the folders that it lies in."""
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        at = path.find("/", at + 1)
    return open(path, "wb")


def _hex(hashed):
    return hexlify(hashed.digest()).decode()
