"""Devices that one model computes together, and what it keeps for them: keys of noise, traits, tables."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from qytet_simulators.city.arrays import Floats, Keys, Millis
from qytet_simulators.city.fleet import City, Device
from qytet_simulators.city.noise import key_of

_T = TypeVar("_T")


class Group:
    """Devices of one city with the same profile, channels and interval; its columns have one row a device.

    A ``part`` of a group holds some of its devices and shares its keys and tables: ``rows`` are the places of the
    part's devices in the tables of the ``whole``.
    """

    def __init__(
        self, city: City, devices: tuple[Device, ...], seed: int, memos: dict[str, Any] | None = None
    ) -> None:
        self.city = city
        self.devices = devices
        self.seed = seed
        self.profile = devices[0].profile
        self.channels = devices[0].channels
        self.whole = self
        self.rows: Millis = np.arange(len(devices), dtype=np.int64)[:, None]
        self._memos: dict[str, Any] = {} if memos is None else memos

    def part(self, chosen: Millis) -> "Group":
        """The devices at these places."""
        part = Group(
            self.city, tuple(self.devices[place] for place in chosen.tolist()), self.seed, self._memos
        )
        part.whole, part.rows = self.whole, self.rows[chosen]
        return part

    def distinct(self, apart: Collection[str] = ()) -> tuple["Group", Millis]:
        """One device of each stem (and those named ``apart``), and for each device the place of its like."""
        places: dict[tuple[str, bool], int] = {}
        for place, device in enumerate(self.devices):
            places.setdefault(_owner(device, apart), place)
        ranks = {owner: rank for rank, owner in enumerate(places)}
        like = [ranks[_owner(device, apart)] for device in self.devices]
        return Group(self.city, tuple(self.devices[place] for place in places.values()), self.seed), np.array(
            like, dtype=np.int64
        )

    def memo(self, name: str, make: Callable[["Group"], _T]) -> _T:
        """What ``make`` gives for the whole group, made once for each name."""
        if name not in self._memos:
            self._memos[name] = make(self.whole)
        kept: _T = self._memos[name]
        return kept

    @cached_property
    def site_traffic(self) -> Floats:
        """How much traffic the site feels."""
        return np.array([[device.site.traffic] for device in self.devices])

    @cached_property
    def height_m(self) -> Floats:
        """Height of the site above the sea in metres."""
        return np.array([[device.site.height_m] for device in self.devices])

    @cached_property
    def interval_ms(self) -> Millis:
        """Reporting interval."""
        return np.array([[device.interval_ms] for device in self.devices], dtype=np.int64)

    def key(self, name: str, *, stem: bool = False) -> Keys:
        """Keys of a named noise, one row a device; with ``stem`` copies of a device share it."""
        return self.memo(f"key:{name}:{stem}", lambda whole: _keys(whole, name, stem))[self.rows[:, 0]]

    def channel_key(self, name: str, number: int) -> Keys:
        """Keys of a named noise of one channel."""
        return self.key(f"{name}:{number}")

    def trait(self, name: str, default: float) -> Floats:
        """A number from the fleet's file, one row a device."""
        return self.memo(f"trait:{name}:{default}", lambda whole: _traits(whole, name, default))[
            self.rows[:, 0]
        ]


def _keys(group: Group, name: str, stem: bool) -> Keys:
    names = [device.stem if stem else device.name for device in group.devices]
    return np.array([[key_of(group.seed, owner, name)] for owner in names])


def _traits(group: Group, name: str, default: float) -> Floats:
    return np.array([[device.traits.get(name, default)] for device in group.devices])


def _owner(device: Device, apart: Collection[str]) -> tuple[str, bool]:
    """Whose like a device is; a described device that stands apart is not the stem that its copies share."""
    alone = device.name in apart
    return (device.name if alone else device.stem), alone
