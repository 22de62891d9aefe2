"""What the tests of chips on I2C share: simulated chips on a bus, and what they measure."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from qytet_edge.inbox import i2c
from qytet_edge.inbox.i2c import bus as buses
from qytet_edge.inbox.i2c.config import Config
from qytet_edge.inbox.i2c.source import ChipSource
from qytet_edge.inbox.kinds import Context
from qytet_simulators.instruments.i2c import I2cBus
from qytet_simulators.instruments.i2c_chips import Ads1115Model, Bme280Model, Scd41Model, Sps30Model

__all__ = ["AIR", "EXPECTED", "LOOP", "MODELS", "TRUTH", "Wires", "config", "context"]

AIR = {"air_temperature": 25.08, "relative_humidity": 47.3, "air_pressure": 923.46}


TRUTH = {
    **AIR,
    "co2": 612.0,
    "pm1": 3.5,
    "pm2_5": 7.25,
    "pm4": 8.0,
    "pm10": 9.5,
    "particle_number_concentration_pm0_5": 31.5,
    "volts0": 1.8,
    "volts1": 0.3,
    "volts2": 3.3,
    "volts3": 0.75,
}


MODELS: dict[str, tuple[int, Callable[[Callable[[], Mapping[str, float]]], Any]]] = {
    "bme280": (0x76, Bme280Model),
    "scd41": (0x62, Scd41Model),
    "sps30": (0x69, Sps30Model),
    "ads1115": (0x48, Ads1115Model),
}


LOOP = {"input": 0, "key": "water_pressure", "shunt_ohm": 150, "low": 0, "high": 10}


EXPECTED = {
    "bme280": AIR,
    "scd41": {key: TRUTH[key] for key in ("co2", "air_temperature", "relative_humidity")},
    "sps30": {
        key: TRUTH[key] for key in ("pm1", "pm2_5", "pm4", "pm10", "particle_number_concentration_pm0_5")
    },
    "ads1115": {"water_pressure": 5.0},
}


def config(chip: str, **more: Any) -> Config:
    usual: dict[str, Any] = {"report_s": 0.05, "sample_s": 0.005, "settle_s": 0}
    if chip == "ads1115":
        usual["inputs"] = [LOOP]
    return Config.model_validate({"kind": "i2c", "name": "s", "chip": chip, **usual, **more})


def context() -> Context:
    return Context(city="korce", gateway="gw-1", folder=Path(), data_dir=Path())


class Wires:
    """A simulated bus in the place of the kernel's, and sources whose pauses take no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus = I2cBus({})
        self.truth: dict[str, float] = dict(TRUTH)
        self.opened = 0
        self.absent = False
        monkeypatch.setattr(buses, "open_smbus", self._open)

    def connect(self, chip: str) -> Any:
        address, model = MODELS[chip]
        self.bus.chips[address] = made = model(lambda: self.truth)
        return made

    def source(self, chip: str, **more: Any) -> ChipSource:
        source = i2c.create(config(chip, **more), context())
        source._chip._pause = lambda _seconds: None  # type: ignore[attr-defined]
        return source

    def _open(self, path: str) -> I2cBus:
        assert path == "/dev/i2c-1"
        if self.absent:
            raise FileNotFoundError(2, "No such file or directory", path)
        self.opened += 1
        return self.bus
