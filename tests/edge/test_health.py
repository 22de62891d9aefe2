"""The gateway's health: what a board says is reported as the catalogue has it, and what it does not say is not."""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qytet_contract import records
from qytet_edge.clock import Clock, ClockConfig
from qytet_edge.health import Board, Health, Parts
from qytet_edge.health.board import POWER_ON, SOFTWARE, UNKNOWN, WATCHDOG
from qytet_edge.journal import Journal
from tests.edge.memory_sink import MemorySink
from tests.edge.quick_time import LoopTime, quickly

GATEWAY = "gateway-1"


class Spool(MemorySink):
    boot = "0a1b2c3d"

    def up_ms(self) -> int:
        return 1


class Machine:
    """A tree of /sys and /proc that a test fills."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.data = folder / "data"
        self.data.mkdir()
        self.write("proc/sys/kernel/random/boot_id", "first-boot")

    def write(self, name: str, content: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())

    def board(self) -> Board:
        return Board(self.data, self.root)

    def raspberry(self) -> None:
        """All that a Raspberry Pi with an eMMC tells."""
        self.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal")
        self.write("sys/class/thermal/thermal_zone0/temp", "48312")
        self.write("sys/class/hwmon/hwmon2/name", "rpi_volt")
        self.write("sys/class/hwmon/hwmon2/in0_lcrit_alarm", "0")
        self.write("sys/block/mmcblk0/device/life_time", "0x01 0x03")
        number = self.data.stat().st_dev
        self.write("sys/devices/emmc/mmcblk0/stat", "1 2 3 4 5 6 2048 8 9 10 11")
        self.write("sys/devices/emmc/mmcblk0/mmcblk0p2/partition", "2")
        self.write("sys/devices/emmc/mmcblk0/mmcblk0p2/stat", "0 0 0 0 0 0 1 0 0 0 0")
        link = self.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
        link.parent.mkdir(parents=True)
        link.symlink_to(self.root / "sys/devices/emmc/mmcblk0/mmcblk0p2")
        self.write("proc/meminfo", "MemTotal: 426004 kB\nMemFree: 1000 kB\nMemAvailable: 200000 kB")
        self.write("proc/stat", "cpu 100 0 50 800 50 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1")
        self.write("proc/uptime", "12345.67 40000.00")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which health's time is that of the loop which it runs on."""
    monkeypatch.setattr("qytet_edge.health.run.time", LoopTime)
    return Machine(tmp_path)


class Station:
    """Health on a machine, with counts in the test's hand."""

    def __init__(self, machine: Machine, before: "Station | None" = None, **more: Any) -> None:
        self.machine = machine
        self.spool = Spool()
        if before is not None:
            self.spool.checkpoints = before.spool.checkpoints
        self.errors = {"meters": 3}
        self.clock = Clock(ClockConfig(trust="host"), root=machine.root)
        self.journal = Journal(GATEWAY, self.spool)
        self.health = Health(
            device=GATEWAY,
            board=machine.board(),
            parts=Parts(lambda: 12, lambda: 4, lambda: self.errors),
            clock=self.clock,
            journal=self.journal,
            **{"interval_s": 0.05, "sources": ["meters"], **more},
        )

    async def until(self, reports: int) -> None:
        """Run until that many records came, then stop in order."""
        task = asyncio.create_task(self.health.run(self.spool))
        try:
            await self.spool.until(lambda: len(self.spool.readings) >= reports)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def kept(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.spool.checkpoints["health"])
        return found


def test_a_boards_files_become_the_catalogues_values(machine: Machine) -> None:
    """Heat, supply, wear, disk, memory, load and counts arrive under the catalogue's names and in its units."""
    machine.raspberry()
    station = Station(machine)

    async def scene() -> None:
        task = asyncio.create_task(station.health.run(station.spool))
        await station.spool.until(lambda: len(station.spool.readings) >= 1)
        machine.write("proc/stat", "cpu 160 0 50 840 50 0 0 0 0 0\ncpu0 1")
        seen = len(station.spool.readings)
        await station.spool.until(lambda: len(station.spool.readings) >= seen + 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    quickly(scene())
    values = dict(station.spool.readings[0].values)
    storage = values.pop("storage_used")
    assert storage is not None
    assert 0 <= storage <= 100
    assert values == {
        "backlog_records": 12,
        "dropped_records_total": 4,
        "memory_free": 204_800_000,
        "uptime": 12345.67,
        "reset_cause": UNKNOWN,
        "board_temperature": 48.312,
        "supply_undervoltage": 0,
        "bytes_written_total": 1_048_576,
        "flash_wear": 30.0,
        "sensor_errors_total:meters": 3,
    }
    loads = [reading.values.get("processor_load") for reading in station.spool.readings]
    assert 60.0 in loads, "60 of 100 ticks were work"
    for reading in station.spool.readings:
        records.check_values(dict(reading.values))
        assert set(reading.values) <= set(station.health.streams[GATEWAY]), "the birth names every key"


def test_what_a_board_does_not_tell_is_not_reported(machine: Machine) -> None:
    """An empty tree, or one full of nonsense, gives no value, no exception and no zero."""
    quickly(Station(machine).until(1))
    board = machine.board()
    silent = (
        board.temperature,
        board.undervoltage,
        board.wear,
        board.bytes_written,
        board.memory_free,
        board.busy,
    )
    assert [look() for look in silent] == [None] * len(silent)
    for name in (
        "sys/class/thermal/thermal_zone0/temp",
        "sys/devices/platform/soc/soc:firmware/get_throttled",
        "sys/block/mmcblk0/device/life_time",
        "proc/meminfo",
        "proc/stat",
        "proc/uptime",
        "proc/device-tree/chosen/bootloader/rsts",
    ):
        machine.write(name, b"MemAvailable: x\xff\x00 0xzz cpu")
    assert [look() for look in silent] == [None] * len(silent)
    assert board.uptime() is None
    assert board.throttled() is None


def test_the_firmwares_flags_stand_in_for_the_monitor(machine: Machine) -> None:
    """Without rpi_volt, bit 0 of get_throttled tells the supply; bit 16, of the past, does not."""
    name = "sys/devices/platform/soc/soc:firmware/get_throttled"
    machine.write(name, "50000")
    assert machine.board().undervoltage() is False
    machine.write(name, "50005")
    assert machine.board().undervoltage() is True


def test_a_wear_register_that_is_not_defined_says_nothing(machine: Machine) -> None:
    """EXT_CSD 0 means "not defined"; 0x0B means beyond the end."""
    machine.write("sys/block/mmcblk0/device/life_time", "0x00 0x00")
    assert machine.board().wear() is None
    machine.write("sys/block/mmcblk0/device/life_time", "0x02 0x0b")
    assert machine.board().wear() == 110


def test_what_lasts_only_seconds_is_reported_as_the_worst(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short sag of the supply between two reports is in the next one."""
    monkeypatch.setattr("qytet_edge.health.run._SAMPLE_S", 0.01)
    machine.raspberry()
    station = Station(machine, interval_s=0.3)

    async def scene() -> None:
        task = asyncio.create_task(station.health.run(station.spool))
        await station.spool.until(lambda: len(station.spool.readings) == 1)
        machine.write("sys/class/hwmon/hwmon2/in0_lcrit_alarm", "1")
        machine.write("sys/class/thermal/thermal_zone0/temp", "91000")
        beats = station.spool.beats
        await station.spool.until(lambda: station.spool.beats >= beats + 2)
        machine.write("sys/class/hwmon/hwmon2/in0_lcrit_alarm", "0")
        machine.write("sys/class/thermal/thermal_zone0/temp", "50000")
        await station.spool.until(lambda: len(station.spool.readings) == 4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    quickly(scene())
    assert [reading.values["supply_undervoltage"] for reading in station.spool.readings] == [0, 1, 0, 0]
    assert [reading.values["board_temperature"] for reading in station.spool.readings] == [48.312, 91, 50, 50]
    events = [event["event"] for event in station.journal.recent()]
    assert "health: the supply is below 4.63 V: power supply or cable is too weak" in events
    assert "health: the processor is at 91 degrees and slows down" in events
    assert "health: supply_undervoltage is well again" in events
    assert len(events) == 4


@pytest.mark.parametrize(
    ("flags", "end", "cause"),
    [
        (0x1000, "killed", POWER_ON),
        (0x1000, "in order", POWER_ON),
        (0x0020, "in order", SOFTWARE),
        (0x0020, "killed", WATCHDOG),
        (0x0020, "never ran", UNKNOWN),
        (None, "killed", UNKNOWN),
    ],
)
def test_a_reboot_is_told_from_a_hang(machine: Machine, flags: int | None, end: str, cause: int) -> None:
    """Linux reboots by the watchdog, too: whether the gateway was stopped in order makes the difference."""
    before = Station(machine)
    if end != "never ran":
        quickly(before.until(1))
        assert before.kept()["stopped"] is True
        if end == "killed":
            before.spool.checkpoints["health"] = msgspec.json.encode(before.kept() | {"stopped": False})
    machine.write("proc/sys/kernel/random/boot_id", "second-boot")
    if flags is not None:
        machine.write("proc/device-tree/chosen/bootloader/rsts", flags.to_bytes(4, "big"))
    after = Station(machine, before)
    quickly(after.until(1))
    assert after.spool.readings[0].values["reset_cause"] == cause


def test_a_restart_of_the_program_is_no_reset(machine: Machine) -> None:
    """Within one Linux boot the cause stays what it was, however the program ended."""
    machine.write("proc/device-tree/chosen/bootloader/rsts", (0x1000).to_bytes(4, "big"))
    before = Station(machine)
    quickly(before.until(1))
    machine.write("proc/device-tree/chosen/bootloader/rsts", (0x20).to_bytes(4, "big"))
    after = Station(machine, before)
    quickly(after.until(1))
    assert after.spool.readings[0].values["reset_cause"] == POWER_ON


def test_while_it_runs_it_is_not_stopped(machine: Machine) -> None:
    """A process that is killed leaves the mark "not stopped in order" behind."""
    station = Station(machine)

    async def scene() -> None:
        task = asyncio.create_task(station.health.run(station.spool))
        await station.spool.until(lambda: len(station.spool.readings) >= 1)
        assert station.kept()["stopped"] is False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    quickly(scene())
    assert station.kept()["stopped"] is True


def test_a_full_disk_does_not_hold_up_the_end(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the spool takes nothing, health still ends when it is told to."""
    monkeypatch.setattr("qytet_edge.health.run._END_S", 0.05)
    station = Station(machine)

    async def scene() -> None:
        station.spool.room.clear()
        task = asyncio.create_task(station.health.run(station.spool))
        await station.spool.until(lambda: station.spool.waiting == 1)
        task.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await task

    quickly(scene())


def test_many_sources_are_reported_in_several_records(machine: Machine) -> None:
    """A record holds 64 values: more errors than that are spread, and names become channels that the contract has."""
    station = Station(machine)
    station.errors = {f"source_{number}-with-a-rather-long-name": number for number in range(100)}
    station.errors |= {f"s{number}": number for number in range(100)}
    quickly(station.until(4))
    found: dict[str, Any] = {}
    for reading in station.spool.readings[:4]:
        records.check_values(dict(reading.values))
        found |= reading.values
    assert found["sensor_errors_total:s99"] == 99
    assert sum(value for key, value in found.items() if key.startswith("sensor_errors")) == 2 * sum(
        range(100)
    )


def test_the_latest_known_time_is_remembered(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that was known is kept, survives a start that knows none, and is the floor of a battery-backed clock."""
    known = 1_790_000_000_000
    station = Station(machine)
    monkeypatch.setattr(station.clock, "stamp", lambda: (known, "ntp"))
    quickly(station.until(1))
    assert station.kept()["known_ms"] == known
    station = Station(machine, station)
    monkeypatch.setattr(station.clock, "stamp", lambda: (None, "none"))
    remembered: list[int] = []
    monkeypatch.setattr(station.clock, "remember", remembered.append)
    quickly(station.until(1))
    assert remembered == [known]
    assert station.kept()["known_ms"] == known


def test_a_clock_that_is_set_is_an_event(machine: Machine) -> None:
    """Whoever sets the clock is told to the city."""
    real = [1_790_000_000_000_000_000]
    station = Station(machine)
    clock = Clock(ClockConfig(trust="host"), root=machine.root, now=lambda: real[0], boottime=lambda: 10**9)
    Health(
        device=GATEWAY,
        board=machine.board(),
        parts=Parts(lambda: 0, lambda: 0, dict),
        clock=clock,
        journal=station.journal,
    )
    quickly(clock.look())
    real[0] += 90_000_000_000
    quickly(clock.look())
    assert station.journal.recent()[0]["event"] == "clock: it was set by +90.000 s"


def test_this_machine_tells_something(tmp_path: Path) -> None:
    """On a real Linux, disk, memory, load and uptime are read."""
    board = Board(tmp_path)
    assert board.storage_used() is not None
    assert (board.memory_free() or 0) > 0
    assert (board.uptime() or 0) > 0
    busy = board.busy()
    assert busy is not None
    assert 0 < busy.work <= busy.total
