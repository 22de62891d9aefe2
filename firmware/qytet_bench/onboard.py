"""What a board is asked and told at its raw prompt: what it is, which files it has, and to keep new ones.

A file is written beside its place, its SHA-256 is taken from what the flash gives back, and only then it takes its
place: a break at any moment leaves the old file or the new one.
"""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from qytet_bench.line import BoardCodeError, BoardError, RestartedError
from qytet_bench.repl import Repl

__all__ = ["PART", "About", "FullError", "OnBoard"]

PART = ".part"
"""Ends the name of a file that has not taken its place yet."""
_CHUNK = 1024
"""Bytes a message: beside the prompt's own buffers an ESP32 has room for it even in a full heap."""
_SLOW_S = 60.0
"""A walk over all files, or the removal of a full backlog, takes seconds on a slow flash."""

# Runs on the board, once after each entry. `q_` keeps clear of names that boot.py may have left behind.
_TOOLS = r"""
import os, sys, gc, json, hashlib, machine, vfs
from binascii import hexlify, a2b_base64
def q_sha(path):
    h = hashlib.sha256()
    b = memoryview(bytearray(512))
    with open(path, "rb") as f:
        while True:
            n = f.readinto(b)
            if not n:
                return hexlify(h.digest()).decode()
            h.update(b[:n])
def q_walk(folder, act):
    try:
        rows = list(os.ilistdir(folder))
    except OSError:
        return
    for row in rows:
        path = folder.rstrip("/") + "/" + row[0]
        if row[1] == 0x4000:
            q_walk(path, act)
        else:
            act(path)
def q_gone(path):
    try:
        os.remove(path)
    except OSError:
        pass
def q_clear(folder):
    q_walk(folder, q_gone)
def q_folders(path):
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:
            pass
        at = path.find("/", at + 1)
def q_tell(path):
    print(json.dumps([path, os.stat(path)[6], q_sha(path)]))
def q_who():
    try:
        with open("/etc/node.json") as f:
            found = json.load(f)
        return [str(found.get("city", "")), str(found.get("device", ""))]
    except (OSError, ValueError, AttributeError):
        return None
def q_about():
    held = []
    q_walk("/data", lambda path: held.append(os.stat(path)[6]) if path.endswith(".seg") else None)
    s = os.statvfs("/")
    i = sys.implementation
    print(json.dumps([i.name, list(i.version[:3]), getattr(i, "_machine", ""), getattr(i, "_mpy", 0),
        s[0] * s[3], s[0] * s[2], q_who(), sum(held), hexlify(machine.unique_id(), ":").decode()]))
"""


# A prompt that was reached by Ctrl-C in the middle of booting may have no file system yet, or (on a simulated board)
# one that is not the board's.
_MOUNTED = """
q_root = [str(type(row[0])) for row in vfs.mount() if row[1] == "/"]
print(bool(q_root) and ("Lfs" in q_root[0] or "FAT" in q_root[0].upper()))
"""


class FullError(BoardError):
    """The board's flash has no room."""


@dataclass(frozen=True, slots=True)
class About:
    """What a board says of itself; sizes in bytes, `held` of them readings kept for the city.

    `who` is (city, device) of the node that it is, if it is one; `mpy` the highest version of `.mpy` it loads.
    """

    name: str
    version: tuple[int, ...]
    machine: str
    mpy: int
    free: int
    size: int
    who: tuple[str, str] | None
    held: int
    mac: str

    @property
    def chip(self) -> str:
        """esp32, esp32s3, esp32c3 and so on; "" if it does not say."""
        return (
            self.machine.rpartition(" with ")[2].lower().replace("-", "") if " with " in self.machine else ""
        )


class OnBoard:
    """The board behind a prompt that was entered; every method raises what `Repl.run` raises."""

    def __init__(self, repl: Repl) -> None:
        self._repl = repl

    def prepare(self) -> None:
        """Bring the tools over; again after each entry. Raises RestartedError if the board has no files yet."""
        self._repl.run(_TOOLS)
        if self._repl.run(_MOUNTED).strip() != "True":
            self._repl.restart()
            raise RestartedError("The board was interrupted while it booted.")

    def about(self) -> About:
        """What it is."""
        row = self._json("q_about()")[0]
        who = None if row[6] is None else (row[6][0], row[6][1])
        return About(row[0], tuple(row[1]), row[2], row[3] & 0xFF, row[4], row[5], who, row[7], row[8])

    def files(self, folders: Iterable[str], names: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Size and SHA-256 (hex) by path, of all files below the folders and of those of `names` that exist."""
        code = [f"q_walk({folder!r}, q_tell)" for folder in folders]
        code += [f"try:\n    q_tell({name!r})\nexcept OSError:\n    pass" for name in names]
        return {path: (size, digest) for path, size, digest in self._json("\n".join(code))}

    def write(self, path: str, content: bytes, sha256: str, on_bytes: Callable[[int], None]) -> None:
        """Make it so; `on_bytes` hears how many bytes went over. Raises FullError."""
        part = path + PART
        try:
            self._repl.run(f"q_folders({path!r})\nq_f = open({part!r}, 'wb')")
            for at in range(0, len(content), _CHUNK):
                chunk = content[at : at + _CHUNK]
                self._repl.run(f"q_f.write(a2b_base64({base64.b64encode(chunk).decode()!r}))\ngc.collect()")
                on_bytes(len(chunk))
            there = self._repl.run(f"q_f.close()\nprint(q_sha({part!r}))").strip()
        except BoardCodeError as error:
            self._drop(part)
            if "ENOSPC" in error.why or error.why.endswith("OSError: 28"):
                raise FullError(f"The flash is full at {path}.", why=error.why) from error
            raise
        if there != sha256:
            self._drop(part)
            raise BoardError(
                f"{path} did not arrive as it was sent.",
                why="What the flash gives back differs.",
                do="Try again; if it happens again, the flash or the cable is bad.",
            )
        self._repl.run(f"os.rename({part!r}, {path!r})")

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files; those that are not there do no harm."""
        for path in paths:
            self._repl.run(f"q_gone({path!r})")

    def clear(self, folder: str) -> None:
        """Remove all files of a folder."""
        self._repl.run(f"q_clear({folder!r})", _SLOW_S)

    def _drop(self, part: str) -> None:
        try:
            self._repl.run(f"try:\n    q_f.close()\nexcept (OSError, NameError):\n    pass\nq_gone({part!r})")
        except BoardError:
            pass  # it is in the way of nothing, and the next survey removes it

    def _json(self, code: str) -> list[Any]:
        said = self._repl.run(code, _SLOW_S)
        try:
            return [json.loads(line) for line in said.splitlines() if line.strip()]
        except ValueError as error:
            raise BoardError(
                "The board's answer makes no sense.",
                why=f"It was {said[-120:]!r}.",
                do="Repeat the command; what was done is kept.",
            ) from error
