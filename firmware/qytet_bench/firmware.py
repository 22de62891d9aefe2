"""The operator's MicroPython image: is it the one that bench.toml names, and made for this chip?"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from qytet.errors import InputError
from qytet_bench.filesystem import DATA_AT
from qytet_bench.settings import BenchSettings

__all__ = ["OFFSETS", "Firmware", "load"]

OFFSETS = {"esp32": 0x1000, "esp32s3": 0x0, "esp32c3": 0x0}
"""Where a chip's ROM looks for the bootloader, with which MicroPython's images begin."""
_MAGIC = 0xE9
_CHIP_AT = 12
_CHIPS = {0: "esp32", 2: "esp32s2", 5: "esp32c3", 9: "esp32s3", 12: "esp32c2", 13: "esp32c6", 16: "esp32h2"}
"""`chip_id` in the extended header of an image, u16 at byte 12 (esp_app_format.h: esp_chip_id_t)."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """An image that was checked, and where it goes."""

    chip: str
    content: bytes
    offset: int
    sha256: str


def load(settings: BenchSettings, chip: str) -> Firmware:
    """Read and check the image for a chip. Raises InputError."""
    if chip not in settings.image or chip not in OFFSETS:
        raise InputError(
            f"bench.toml names no MicroPython image for {chip}.",
            do=f"Get the image for {chip} from micropython.org, and set path and sha256 in [image.{chip}].",
        )
    named = settings.image[chip]
    path = settings.path(named.path)
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    _check_digest(path, found, named.sha256)
    _check_chip(path, content, chip)
    offset = OFFSETS[chip]
    if offset + len(content) > DATA_AT:
        raise InputError(
            f"{path} is too large: {len(content)} bytes.", why="It would reach into the node's file system."
        )
    return Firmware(chip, content, offset, found)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(DATA_AT + 1)
    except OSError as error:
        raise InputError(
            f"The MicroPython image {path} cannot be read.",
            why=str(error.strerror),
            do="Get it from micropython.org, or mend its path in bench.toml.",
        ) from error


def _check_digest(path: Path, found: str, wanted: str) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", wanted):
        raise InputError("The sha256 of an image in bench.toml is none.", do=f"Of {path} it is {found}.")
    if found != wanted.lower():
        raise InputError(
            f"{path} is not the image that bench.toml names.",
            why=f"Its SHA-256 is {found}, not {wanted.lower()}.",
            do="Get the right file again; or, if this one is right, correct sha256 in bench.toml.",
        )


def _check_chip(path: Path, content: bytes, chip: str) -> None:
    if len(content) < _CHIP_AT + 2 or content[0] != _MAGIC:
        raise InputError(
            f"{path} is no firmware image.",
            why="It does not begin with 0xE9.",
            do="Take the .bin for a first installation, not the .uf2, .elf or .app-bin.",
        )
    made_for = _CHIPS.get(int.from_bytes(content[_CHIP_AT : _CHIP_AT + 2], "little"), "another chip")
    if made_for != chip:
        raise InputError(f"{path} is made for {made_for}, not for {chip}.", do="Get the image for this chip.")
