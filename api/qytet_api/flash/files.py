"""What lies in the folder that `api.flash_folder` names: the node's program and MicroPython images, each checked.

    program.json   {"v": 1, "version": …, "root": {path: base64}, "slot": {path: base64}, …}, by `qytet bench program`
    images.json    {"esp32": {"file": "….bin", "offset": 4096, "sha256": "…"}, …} by chip; the files lie beside it

What is wrong is told by a code and a name, and served to nobody; the page says it in words.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["FlashFolder", "Image", "Listing", "Problem", "Program"]

_CHIP = re.compile(r"[a-z0-9]{1,16}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 16 << 20
"""Bytes of a file at most: no chip's flash that we know is larger."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`code` is the last part of a text `flash_folder.…`; `name` says which file or chip."""

    code: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """A MicroPython image whose bytes have the SHA-256 that images.json gives."""

    chip: str
    offset: int
    sha256: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Program:
    """program.json as it lies there."""

    version: str
    sha256: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """All that can be served, and why the rest cannot."""

    program: Program | None
    images: tuple[Image, ...]
    problems: tuple[Problem, ...]


class _UnfitError(Exception):
    """A file that is not served; carries the problem."""

    def __init__(self, code: str, name: str = "") -> None:
        super().__init__(code, name)
        self.problem = Problem(code, name)


class FlashFolder:
    """A folder, or None if none is named. It is read anew for each question: operators change it while we run."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def listing(self) -> Listing:
        """Everything, checked. Raises nothing for what the folder holds or lacks."""
        if self._folder is None or not self._folder.is_dir():
            return Listing(None, (), (Problem("no_folder"),))
        problems: list[Problem] = []
        program = None
        try:
            program = self._program(self._folder)
        except _UnfitError as error:
            problems.append(error.problem)
        images = []
        for chip, described in self._described(self._folder, problems).items():
            try:
                images.append(_image(self._folder, chip, described))
            except _UnfitError as error:
                problems.append(error.problem)
        return Listing(program, tuple(images), tuple(problems))

    def program(self) -> Program | None:
        """The node's program, or None if there is none that may be served."""
        try:
            return self._program(self._folder) if self._folder else None
        except _UnfitError:
            return None

    def image(self, chip: str) -> Image | None:
        """A chip's image, or None; the others are not read."""
        if self._folder is None:
            return None
        described = self._described(self._folder, [])
        try:
            return _image(self._folder, chip, described[chip]) if chip in described else None
        except _UnfitError:
            return None

    def _program(self, folder: Path) -> Program:
        content = _read(folder, "program.json", "no_program")
        found = _json(content, "program.json")
        maps = [found.get("root"), found.get("slot")]
        if found.get("v") != 1 or not isinstance(found.get("version"), str) or not all(map(_is_files, maps)):
            raise _UnfitError("bad_json", "program.json")
        return Program(found["version"], hashlib.sha256(content).hexdigest(), content)

    def _described(self, folder: Path, problems: list[Problem]) -> dict[str, Any]:
        try:
            return _json(_read(folder, "images.json", "no_images"), "images.json")
        except _UnfitError as error:
            problems.append(error.problem)
            return {}


def _image(folder: Path, chip: str, described: object) -> Image:
    if not _CHIP.fullmatch(chip) or not isinstance(described, dict):
        raise _UnfitError("bad_json", "images.json")
    name, offset, wanted = (described.get(key) for key in ("file", "offset", "sha256"))
    fits = isinstance(name, str) and _FILE.fullmatch(name)
    if not fits or type(offset) is not int or not 0 <= offset < _MOST:
        raise _UnfitError("bad_image", chip)
    if not isinstance(wanted, str) or not _SHA256.fullmatch(wanted.lower()):
        raise _UnfitError("bad_image", chip)
    content = _read(folder, str(name), "no_image")
    if hashlib.sha256(content).hexdigest() != wanted.lower():
        raise _UnfitError("wrong_hash", str(name))
    return Image(chip, offset, wanted.lower(), content)


def _read(folder: Path, name: str, absent: str) -> bytes:
    path = folder / name
    try:
        if path.resolve().parent != folder.resolve():  # a link that leads elsewhere
            raise _UnfitError("outside", name)
        if path.stat().st_size > _MOST:
            raise _UnfitError("too_large", name)
        return path.read_bytes()
    except FileNotFoundError:
        raise _UnfitError(absent, name) from None
    except OSError:
        raise _UnfitError("unreadable", name) from None


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        raise _UnfitError("bad_json", name) from None
    if not isinstance(found, dict):
        raise _UnfitError("bad_json", name)
    return found


def _is_files(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for pair in value.items() for one in pair)
