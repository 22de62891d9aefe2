"""Which devices the three cities have, and what is wrong with which of them: the truth that panels must show."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from qytet_simulators.city import CityModel, load_fleet
from qytet_simulators.city.fleet import Device, Fleet
from qytet_simulators.city.group import Group
from qytet_simulators.city.waterworks import Leak, bursts
from qytet_simulators.device.describe import description
from tests.dashboards.city import overlays
from tests.dashboards.city.truth import (
    CYCLING_LAMP,
    GATEWAY,
    GATEWAY_SILENT_H,
    LEAKING,
    RELAYED,
    SILENT,
    SILENT_H,
)

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
DAYS = 2
"""Whole days before today: enough for every hour of the day, little enough to be stored in seconds."""
NIGHTS = 6
"""Water zones begin earlier: a night minimum is judged by the nights before it."""

_CHOSEN = (
    *("tirana-air-01", "tirana-air-02", "durres-air-01", "durres-air-02", "korce-air-01", "korce-air-02"),
    *("tirana-weather-01", "durres-weather-01", "korce-weather-01"),
    *(
        "tirana-lamp-01",
        "tirana-lamp-02",
        "durres-lamp-01",
        "durres-lamp-02",
        "korce-lamp-01",
        "korce-lamp-02",
    ),
    *("tirana-cabinet-01", "durres-cabinet-01", "korce-cabinet-01"),
    *("tirana-dma-01", "tirana-dma-02", "durres-dma-01", "durres-dma-02", "korce-dma-01", "korce-dma-02"),
    *("tirana-tank-01", "durres-tank-01", "korce-tank-01"),
    *("tirana-quality-01", "durres-quality-01", "korce-quality-01"),
    *("tirana-traffic-01", "durres-traffic-02", "korce-traffic-01"),
)
_PACE_MIN = {
    "traffic_counter": 5,
    "weather_station": 30,
    "lighting_cabinet": 30,
    "water_tank": 30,
    "water_quality": 30,
}
"""Minutes between records, 15 if not named: a database of a second's making that still fills every quarter."""
_GATEWAY = {"board_temperature": 41.5, "storage_used": 37.0, "clock_offset": 0.004}
_BATTERY = ("battery_level", "battery_voltage", "backlog_records")


@dataclass(frozen=True, slots=True)
class Record:
    """What one device measured at one instant."""

    device: str
    t_ms: int
    values: dict[str, float | None]


@dataclass(frozen=True)
class Scenario:
    """The three cities until `now_ms`."""

    now_ms: int

    @property
    def start_ms(self) -> int:
        """When most devices' history begins: local midnight, so that whole days are there."""
        return self._midnight_ms(DAYS)

    @property
    def leak_ms(self) -> int:
        """When the pipe burst: the last local midnight that has a whole night after it."""
        return self._midnight_ms(0 if self._local(self.now_ms).hour >= 5 else 1)

    @cached_property
    def fleet(self) -> Fleet:
        """The chosen devices at their pace."""
        fleet = load_fleet().only(_CHOSEN)
        return replace(fleet, devices=tuple(_paced(device) for device in fleet.devices))

    @cached_property
    def model(self) -> CityModel:
        """What they measure, a leak included."""
        return CityModel(
            self.fleet, self._quiet_seed(), [Leak(LEAKING, self.leak_ms, self.now_ms + HOUR_MS, 40.0)]
        )

    def description(self) -> dict[str, Any]:
        """What is registered: the fleet, its gateway, and batteries where there are some."""
        rows = description(self.fleet)
        for row in rows["devices"]:
            row["gateway"] = GATEWAY if row["device"] in RELAYED else None
            row["datastreams"] += _BATTERY if row["profile"] == "water_dma" else ()
        behind = next(row for row in rows["devices"] if row["device"] == RELAYED[0])
        rows["devices"].append(
            {
                **behind,
                "device": GATEWAY,
                "profile": "gateway",
                "gateway": None,
                "datastreams": list(_GATEWAY),
            }
        )
        return rows

    def records(self) -> Iterator[Record]:
        """Every record, a device at a time, by time; faults are in, and what a silent device never made is not."""
        for series in self.model.block(self._midnight_ms(NIGHTS), self.now_ms):
            device = self.fleet.by_name[series.device]
            first = self._midnight_ms(NIGHTS) if device.profile.name == "water_dma" else self.start_ms
            keys, columns = (
                list(series.columns),
                zip(*(c.tolist() for c in series.columns.values()), strict=True),
            )
            rows = (
                Record(
                    device.name,
                    t,
                    {key: None if value != value else value for key, value in zip(keys, row, strict=True)},
                )
                for t, row in zip(series.t_ms.tolist(), columns, strict=True)
                if first <= t < self.silence_ms(device.name) and self._is_due(device.name, t)
            )
            yield from overlays.apply(rows, self)
        for t in range(self.start_ms, self.silence_ms(GATEWAY), 5 * MINUTE_MS):
            yield Record(GATEWAY, t, dict(_GATEWAY))

    def _quiet_seed(self) -> int:
        """The first seed with which no pipe bursts by chance in these nights: the only leak is ours."""
        cities = {city.slug: city for city in self.fleet.cities}
        zones = [device for device in self.fleet.devices if device.profile.name == "water_dma"]
        instants = np.arange(self._midnight_ms(NIGHTS), self.now_ms + HOUR_MS, HOUR_MS)[None, :]
        mean = np.ones((1, 1))

        def is_quiet(seed: int) -> bool:
            keys = (Group(cities[zone.city], (zone,), seed).key("bursts", stem=True) for zone in zones)
            return not any(bursts(key, instants, mean).any() for key in keys)

        return next(seed for seed in range(7, 10_000) if is_quiet(seed))

    def _is_due(self, device: str, t_ms: int) -> bool:
        """The lamp that goes on and off hurries in its last hours only; of zones' early days the nights matter."""
        if device == CYCLING_LAMP[0] and t_ms < self.now_ms - 5 * HOUR_MS:
            return t_ms // (5 * MINUTE_MS) % 3 == 0
        return t_ms >= self.start_ms or t_ms % HOUR_MS < 15 * MINUTE_MS or self._local(t_ms).hour in (2, 3)

    def silence_ms(self, device: str) -> int:
        """From when on a device says nothing; now if it never fell silent."""
        if device == SILENT:
            return self.now_ms - SILENT_H * HOUR_MS
        return self.now_ms - (GATEWAY_SILENT_H * HOUR_MS if device in (GATEWAY, *RELAYED) else 0)

    @staticmethod
    def _local(t_ms: int) -> datetime:
        return datetime.fromtimestamp(t_ms / 1000, ZoneInfo("Europe/Tirane"))

    def _midnight_ms(self, days_ago: int) -> int:
        local = self._local(self.now_ms).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(
            days=days_ago
        )
        return int(local.timestamp() * 1000)


def _paced(device: Device) -> Device:
    minutes = 5 if device.name == CYCLING_LAMP[0] else _PACE_MIN.get(device.profile.name, 15)
    channels = 2 if device.profile.name == "lamp_controller" else device.channels
    return replace(device, interval_ms=minutes * MINUTE_MS, channels=channels)
