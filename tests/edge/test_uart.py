"""Serial sensors on ptys: what arrives is what they measured, whatever the line and the plug do."""

import asyncio
import errno
import os
import select
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from qytet_edge.inbox import uart
from qytet_edge.inbox.uart.config import SENSORS, Config
from qytet_edge.inbox.uart.port import Port
from qytet_simulators.instruments.uart import Faults, SerialLine
from qytet_simulators.instruments.uart_models import Nmea, Pms5003, Sds011
from tests.edge.recording_sink import RecordingSink, ended, running
from tests.edge.uart_support import MODELS, config, context, line, walk


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_frame_that_is_begun_is_said(tmp_path: Path) -> None:
    """A simulated sensor that is silenced within a frame says it to its end: what it told is what was on the wire."""
    begun, go_on, dust = threading.Event(), threading.Event(), Pms5003()

    def slow() -> Mapping[str, float]:
        begun.set()
        assert go_on.wait(60)
        return {"pm1": 1, "pm2_5": 2, "pm10": 3}

    with SerialLine(tmp_path / "port", dust, slow, period_s=0.001) as wire:
        reader = os.open(wire.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            assert begun.wait(60)
            silencing = threading.Thread(target=setattr, args=(wire, "silent", True))
            silencing.start()
            silencing.join(0.1)
            go_on.set()
            silencing.join()
            assert wire.wait(lambda told: bool(told.good))
            select.select([reader], [], [], 60)
            assert os.read(reader, 4096) == dust.frame(slow()) * len(wire.told.good)
        finally:
            os.close(reader)


@pytest.mark.parametrize("sensor", MODELS)
def test_each_good_frame_counts_once(tmp_path: Path, sensor: str) -> None:
    """Under bad checksums, cut frames and noise, the reports' means weigh each good frame once and no other."""

    async def main() -> None:
        sink = RecordingSink()
        source = uart.create(config(wire.path, sensor), context(tmp_path))
        assert isinstance(source, uart.source.SerialSensor)
        weights: list[int] = []
        sink.seen = lambda: weights.append(source.state()["frames_in_last_report"])  # type: ignore[arg-type]
        async with running(source, sink):
            assert await asyncio.to_thread(wire.wait, lambda told: bool(told.commands))
            wire.silent = False
            assert await asyncio.to_thread(wire.wait, lambda told: len(told.good) >= 100 and told.spoilt > 10)
            wire.silent = True
            await sink.until(lambda: sum(weights) >= len(wire.told.good))
        assert sum(weights) == len(wire.told.good)
        for key in SENSORS[sensor].keys:
            reported = sum(
                mean * n for mean, n in zip(sink.values(key), weights, strict=True) if mean is not None
            )
            assert reported == pytest.approx(sum(values[key] for values in wire.told.good), rel=1e-5)
        assert {reading.device for reading in sink.readings} == {"gw-1"}
        assert any("bad frames" in what for what in sink.troubles)

    with line(tmp_path, sensor, faults=Faults(bad_checksum=0.1, truncated=0.1, garbage=0.2), seed=5) as wire:
        asyncio.run(main())


@pytest.mark.parametrize("sensor", MODELS)
def test_unplugged_and_put_back(tmp_path: Path, sensor: str) -> None:
    """A pulled plug ends the source at once with an OSError, an absent port too, and a new start reads again."""

    async def main() -> None:
        sink = RecordingSink()
        source = uart.create(config(wire.path, sensor), context(tmp_path))
        wire.silent = False
        for _ in range(2):
            before = len(sink.readings)
            async with running(source, sink) as task:
                await sink.until(lambda before=before: len(sink.readings) > before)  # type: ignore[misc]
                wire.unplug()
                error = await ended(task)
                assert isinstance(error, OSError)
                assert str(error) == f"{wire.path} is gone: the adapter was unplugged"
            async with running(source, sink) as task:
                error = await ended(task)
                assert isinstance(error, OSError)
                assert error.errno == errno.ENOENT
            wire.plug()
        async with running(source, sink):
            before = len(sink.readings)
            await sink.until(lambda: len(sink.readings) > before)

    with line(tmp_path, sensor) as wire:
        asyncio.run(main())


def test_silence_is_said_and_nothing_is_made_up(tmp_path: Path) -> None:
    """A sensor that stops speaking gives trouble, no reading and no sign of life, and is set up anew."""

    async def main() -> None:
        sink = RecordingSink()
        source = uart.create(config(wire.path, "pms5003", silent_s=0.15, report_s=0.05), context(tmp_path))
        async with running(source, sink):
            await sink.until(lambda: len(sink.troubles) >= 2)
            assert not sink.readings
            assert sink.beats == 0
            wake = SENSORS["pms5003"].wake
            assert await asyncio.to_thread(wire.wait, lambda told: b"".join(told.commands).count(wake) >= 2)
            wire.silent = False
            await sink.until(lambda: bool(sink.readings))

    with line(tmp_path, "pms5003") as wire:
        asyncio.run(main())


def test_endless_garbage_is_not_life(tmp_path: Path) -> None:
    """A line that brings noise without end is trouble like silence: no reading, no beat."""

    async def main() -> None:
        sink = RecordingSink()
        source = uart.create(config(wire.path, "sds011", silent_s=0.15, report_s=0.05), context(tmp_path))
        luck = Random(1)
        async with running(source, sink):
            while not any("no good frame" in what for what in sink.troubles):
                wire.say(bytes(luck.choices(range(0xA0), k=50)))
                await asyncio.sleep(0.005)
            assert not sink.readings
            assert sink.beats == 0

    with SerialLine(tmp_path / "port", Sds011(), walk()) as wire:
        asyncio.run(main())


def test_a_full_disk_loses_no_frame(tmp_path: Path) -> None:
    """While a report cannot be kept, reading goes on, and the next report weighs what came meanwhile."""

    async def main() -> None:
        sink = RecordingSink()
        source = uart.create(config(wire.path, "pms5003", report_s=0.05), context(tmp_path))
        assert isinstance(source, uart.source.SerialSensor)
        weights: list[int] = []
        sink.seen = lambda: weights.append(source.state()["frames_in_last_report"])  # type: ignore[arg-type]
        sink.full = True
        async with running(source, sink):
            assert await asyncio.to_thread(wire.wait, lambda told: bool(told.commands))
            wire.silent = False
            await sink.until(lambda: source.state()["frames_in_last_report"] != 0)  # and that report waits
            heard = source.state()["frames_good"]
            await sink.until(lambda: source.state()["frames_good"] >= heard + 40)  # type: ignore[operator]
            wire.silent = True
            assert not sink.readings
            await sink.has_room()
            await sink.until(lambda: sum(weights) == len(wire.told.good))

    with line(tmp_path, "pms5003", period_s=0.01) as wire:
        asyncio.run(main())


def test_a_receiver_offers_its_time_and_keeps_its_place(tmp_path: Path) -> None:
    """Each valid second is offered to the clock once, the place is in the status only, without fix there is nothing."""
    ticks = count(1_789_000_000_000, 1000)
    valid = 0

    def second() -> Mapping[str, float]:
        return {
            "t_ms": next(ticks),
            "latitude": 40.6186,
            "longitude": 20.7808,
            "altitude": 850.0,
            "valid": valid,
        }

    async def main() -> None:
        nonlocal valid
        offered: list[int] = []
        sink = RecordingSink()
        source = uart.create(config(wire.path, "nmea", delay_ms=0), context(tmp_path, fix=offered.append))
        assert isinstance(source, uart.gnss.Receiver)
        async with running(source, sink):
            while sink.beats == 0:  # until the port is open
                wire.speak()
                await asyncio.sleep(0.01)
            assert source.state()["sentences_good"] != 0
            assert offered == []
            assert source.state()["fix"] == 0
            valid = 1
            wire.speak()
            seconds = [values["t_ms"] for values in wire.told.good if values["valid"]]
            await sink.until(lambda: source.state()["fix"] == 1)
            wire.faults = Faults(bad_checksum=1.0)
            wire.speak()
            await sink.until(lambda: any("bad sentences" in what for what in sink.troubles))
        assert offered == [seconds[0]]
        assert source.streams == {}
        assert not sink.readings
        assert (source.state()["latitude"], source.state()["longitude"]) == (40.6186, 20.7808)

    with SerialLine(tmp_path / "port", Nmea(), second) as wire:
        asyncio.run(main())


def test_a_port_is_one_users_only(tmp_path: Path) -> None:
    """Two sources on one port do not share its bytes: the second is refused, as the doctor is, and says so."""

    async def main() -> None:
        async with Port(str(wire.path), 9600):
            with pytest.raises(OSError, match="in use"):
                async with Port(str(wire.path), 9600):
                    raise AssertionError
            (finding,) = await uart.probe(config(wire.path, "pms5003"), context(tmp_path))
            assert finding.state == "warning"
            assert "in use" in finding.what

    with line(tmp_path, "pms5003") as wire:
        asyncio.run(main())


def test_nobody_reads_and_memory_stays(tmp_path: Path) -> None:
    """Bytes that nobody takes are bounded, the newest are kept and the rest counted."""

    async def main() -> None:
        async with Port(str(wire.path), 9600) as port:
            for _ in range(200):
                port._take(bytes(1000))
            port._take(b"newest")
            data = await port.read()
            assert len(data) <= 64 * 1024
            assert data.endswith(b"newest")
            assert port.lost + len(data) == 200_006

    with line(tmp_path, "pms5003") as wire:
        asyncio.run(main())


def test_the_doctor_says_who_speaks(tmp_path: Path) -> None:
    """The check names the sensor that speaks, another one that speaks in its place, noise, silence and absence."""

    async def check(sensor: str, listen_s: float = 20) -> tuple[str, str]:
        """Whoever speaks is heard out long before the time is over."""
        found = await uart.probe(config(tmp_path / "port", sensor), context(tmp_path), listen_s=listen_s)
        (finding,) = found
        assert finding.state == "ok" or finding.do
        return finding.state, finding.what

    async def main() -> None:
        wire.silent = False
        assert await check("pms5003") == ("ok", f"Source s: port {wire.path}: a pms5003 speaks.")
        level, what = await check("nmea")
        assert (level, "a pms5003 speaks" in what) == ("problem", True)
        wire.faults = Faults(bad_checksum=1.0)
        level, what = await check("pms5003")
        assert (level, "no frame" in what) == ("problem", True)
        wire.silent = True
        level, what = await check("pms5003", listen_s=0.1)
        while "no frame" in what:  # the kernel still carried what was said before
            level, what = await check("pms5003", listen_s=0.1)
        assert (level, "silent" in what) == ("problem", True)
        wire.unplug()
        level, what = await check("pms5003")
        assert (level, "not there" in what) == ("problem", True)

    with line(tmp_path, "pms5003") as wire:
        asyncio.run(main())
    (tmp_path / "port").write_text("no port")
    assert asyncio.run(check("pms5003"))[0] == "problem"


def test_the_doctor_asks_a_sensor_that_waits(tmp_path: Path) -> None:
    """A CO2 sensor that speaks only when asked is asked."""

    async def main() -> None:
        wire.silent = False
        (finding,) = await uart.probe(config(wire.path, "mhz19"), context(tmp_path))
        assert finding.state == "ok"

    with line(tmp_path, "mhz19") as wire:
        asyncio.run(main())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sensor": "mhz19", "duty_cycle": True}, "cannot be put to sleep"),
        ({"sensor": "pms5003", "self_calibration": True}, "has none"),
        ({"sensor": "sds011", "report_s": 60}, "leaves no time to sleep"),
        ({"sensor": "sds012"}, "pms5003"),
        ({"sensor": "sds011", "speed": 9600}, "speed"),
    ],
)
def test_a_wrong_configuration_is_explained(fields: dict[str, Any], says: str) -> None:
    """What cannot work is refused when the configuration is read, with the reason."""
    with pytest.raises(ValidationError, match=says):
        Config.model_validate({"kind": "uart", "name": "s", "port": "/dev/null", **fields})


def test_leaves_no_file_open(tmp_path: Path) -> None:
    """Starting and ending a source many times leaves neither files nor threads behind."""

    async def main() -> None:
        sink = RecordingSink()
        source = uart.create(config(wire.path, "pms5003"), context(tmp_path))
        wire.silent = False
        before = 0
        for round_ in range(12):
            beats = sink.beats
            async with running(source, sink):
                await sink.until(lambda beats=beats: sink.beats > beats)  # type: ignore[misc]
            if round_ == 1:
                before = open_files()
        assert open_files() <= before  # what an earlier test left may be collected meanwhile

    with line(tmp_path, "pms5003") as wire:
        asyncio.run(main())
