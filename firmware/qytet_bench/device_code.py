"""The device's own rules, run here: what a node would refuse at its first start is refused before it is flashed.

The modules are loaded from the source that is put onto boards; they run on CPython as well.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

from qytet.errors import InputError
from qytet_bench.program import SOURCE

__all__ = ["Kind", "boards", "check_settings", "chip_of", "kind", "profiles"]

_PACKAGE = "qytet_node"


class Kind:
    """What a node of settings does: its profile and its board, after what the settings change of them."""

    def __init__(self, profile: dict[str, Any], board: dict[str, Any]) -> None:
        self.profile, self.board = profile, board

    @property
    def chip(self) -> str:
        """esp32, esp32s3 or esp32c3."""
        return str(self.board["chip"])

    @property
    def datastreams(self) -> list[str]:
        """Every key that the node's records may hold, its health included."""
        names = [row["name"] for row in self.profile["sensors"]]
        return [*_module("profile").keys(self.profile), *_module("health").keys(names)]

    @property
    def units(self) -> dict[str, str]:
        """Unit (UCUM) of each datastream, from the catalogue on the board."""
        return dict(json.loads(_module("profile").streams(str(SOURCE), self.datastreams)))


def check_settings(node: Mapping[str, Any]) -> dict[str, Any]:
    """`node.json` with its defaults. Raises InputError with the node's own words, which hold no value."""
    config = _module("config")
    try:
        return dict(config.checked(dict(node)))
    except config.ConfigError as error:
        raise InputError("A node would refuse these settings.", why=str(error)) from error


def kind(settings: Mapping[str, Any]) -> Kind:
    """Profile and board of checked settings. Raises InputError for what does not fit together."""
    profile = _module("profile")
    _known("profile", settings["profile"], profiles())
    _known("board", settings["board"], boards())
    try:
        found = Kind(*profile.load(str(SOURCE), dict(settings)))
        profile.streams(str(SOURCE), found.datastreams)
    except profile.ProfileError as error:
        raise InputError("A node could not use this profile.", why=str(error)) from error
    _check_wires(settings["profile"], settings["board"], found)
    return found


def profiles() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in SOURCE.glob("profiles/*.json"))


def boards() -> list[str]:
    """The boards there are."""
    return sorted(path.stem for path in SOURCE.glob("boards/*.json"))


def chip_of(board: str) -> str:
    """The chip on a board. Raises InputError for a board that there is not."""
    _known("board", board, boards())
    return str(json.loads((SOURCE / f"boards/{board}.json").read_text(encoding="utf-8"))["chip"])


def _known(what: str, name: str, there: list[str]) -> None:
    if name not in there:
        raise InputError(f"There is no {what} {name!r}.", do=f"Choose one of: {', '.join(there)}.")


def _check_wires(profile: str, board: str, found: Kind) -> None:
    for row in found.profile["sensors"]:
        for wire in _wires(row["bus"]):
            if not any(wire in found.board[part] for part in ("pins", "i2c", "uart")):
                raise _missing(profile, board, row["name"], wire)
    for row in found.profile.get("outputs") or ():
        if row["pin"] not in found.board["pins"]:
            raise _missing(profile, board, row["name"], row["pin"])


def _wires(bus: str) -> list[str]:
    """The board's names in a bus such as uart1, pin:in1 or adc:i2c0:48:0."""
    parts = bus.split(":")
    return parts[1:2] if parts[0] in {"pin", "wire", "adc"} else parts[:1]


def _missing(profile: str, board: str, part: str, wire: str) -> InputError:
    return InputError(
        f"The profile {profile} does not fit the board {board}.",
        why=f"{part} is wired to {wire}, which this board does not have.",
        do="Choose another board, or change the sensor in [sensors] of bench.toml.",
    )


def _module(name: str) -> ModuleType:
    return _modules()[name]


@cache
def _modules() -> dict[str, ModuleType]:
    """The device's modules under their own names, by which they find each other; then those names are given back."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == _PACKAGE}
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(SOURCE / _PACKAGE)]
    sys.modules[_PACKAGE] = package
    try:
        return {
            name: importlib.import_module(f"{_PACKAGE}.{name}") for name in ("config", "profile", "health")
        }
    except ImportError as error:
        raise InputError(
            "The device's code cannot be read.", why=str(error), do="Install qytet again."
        ) from error
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:
            del sys.modules[name]
        sys.modules.update(before)
