"""What the tests of serial sensors share: a sensor on a pty, its configuration, and what it says."""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from qytet_edge.inbox.kinds import Context
from qytet_edge.inbox.uart.config import Config
from qytet_simulators.instruments.uart import SerialLine
from qytet_simulators.instruments.uart_models import Mhz19, Model, Pms5003, Sds011

__all__ = ["MODELS", "config", "context", "line", "walk"]

MODELS: dict[str, Callable[[], Model]] = {"pms5003": Pms5003, "sds011": Sds011, "mhz19": Mhz19}


def context(tmp_path: Path, **more: Any) -> Context:
    return Context(city="korce", gateway="gw-1", folder=tmp_path, data_dir=tmp_path, **more)


def config(port: Path, sensor: str, **more: Any) -> Config:
    usual = {"report_s": 0.05, "warm_up_s": 0, "silent_s": 5.0, "poll_s": 0.005}
    if sensor == "sds011":
        usual["duty_cycle"] = False
    return Config.model_validate(
        {"kind": "uart", "name": "s", "sensor": sensor, "port": str(port), **usual, **more}
    )


def walk(seed: int = 1) -> Callable[[], Mapping[str, float]]:
    luck = Random(seed)
    return lambda: {key: luck.randrange(1000) for key in ("pm1", "pm2_5", "pm10", "co2")}


def line(tmp_path: Path, sensor: str, **more: Any) -> SerialLine:
    more = {"period_s": None if sensor == "mhz19" else 0.003, **more}
    found = SerialLine(tmp_path / "port", MODELS[sensor](), walk(), **more)
    found.silent = True  # until the source is there, so that the truth begins with its first byte
    return found
