"""What the kernel and a Raspberry Pi's firmware say of the board: heat, power, wear, load, memory, last reset.

Every look is a small file under `root` (/sys and /proc), so that a test can bring a board of its own. What this
board does not offer is None and simply not reported.

Sources: kernel.org Documentation (hwmon/raspberrypi-hwmon, mmc/mmc-dev-attrs, block/stat, filesystems/proc);
JEDEC eMMC 5.1 EXT_CSD 268/269 (life time); Raspberry Pi documentation, `chosen/bootloader/rsts` and vcgencmd.
"""

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["DEEP_SLEEP", "POWER_ON", "RESET_PIN", "SOFTWARE", "UNKNOWN", "WATCHDOG", "Board", "Busy"]

UNKNOWN, POWER_ON, RESET_PIN, WATCHDOG, DEEP_SLEEP, SOFTWARE = range(6)  # catalogue: reset_cause

_SECTOR = 512  # bytes; the unit of block/stat, whatever the medium's own is
_SECTORS_WRITTEN = 6  # its place in block/stat
_UNDERVOLTAGE = 1 << 0  # get_throttled: now below 4.63 V
_HAD_POWER_ON = 0x1000  # PM_RSTS of the BCM283x
_HAD_WATCHDOG = 0x0070  # PM_RSTS: hard, full, quick; Linux reboots by the watchdog, too


class Busy(NamedTuple):
    """Processor ticks since start: at work, and in all."""

    work: int
    total: int


class Board:
    """Reads the board under `root`; `data_dir` is where the records lie. Nothing here waits or raises."""

    def __init__(self, data_dir: Path, root: Path = Path("/")) -> None:
        self._root, self._data_dir = root, data_dir

    def temperature(self) -> float | None:
        """The processor's in degrees Celsius: the hottest zone, if none is named after the processor."""
        zones = {}
        for zone in sorted(self._root.glob("sys/class/thermal/thermal_zone*")):
            value = _number(zone / "temp")
            if value is not None and -55_000 <= value <= 150_000:
                zones[_text(zone / "type") or zone.name] = value / 1000
        return zones.get("cpu-thermal", max(zones.values(), default=None))

    def undervoltage(self) -> bool | None:
        """Whether the supply is (or was within the last seconds) below 4.63 V."""
        for monitor in self._root.glob("sys/class/hwmon/hwmon*"):
            if _text(monitor / "name") == "rpi_volt":
                alarm = _number(monitor / "in0_lcrit_alarm")
                return None if alarm is None else alarm != 0
        flags = self.throttled()
        return None if flags is None else bool(flags & _UNDERVOLTAGE)

    def throttled(self) -> int | None:
        """The firmware's flags as `vcgencmd get_throttled` shows them."""
        text = _text(self._root / "sys/devices/platform/soc/soc:firmware/get_throttled")
        try:
            return int(text, 16) if text else None
        except ValueError:
            return None

    def wear(self) -> float | None:
        """How much of an eMMC's life is used, in %: steps of 10; 110 is beyond the end. An SD card does not tell."""
        worst = None
        for path in self._root.glob("sys/block/mmcblk*/device/life_time"):
            for word in (_text(path) or "").split():
                step = _hex(word)
                if step and step <= 11:  # 0 is "not defined"
                    worst = max(worst or 0.0, step * 10.0)
        return worst

    def bytes_written(self) -> int | None:
        """Bytes written since start to the whole medium that keeps the records."""
        try:
            number = self._data_dir.stat().st_dev
        except OSError:
            return None
        place = (self._root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
        if (place / "partition").exists():
            place = place.parent
        fields = (_text(place / "stat") or "").split()
        if len(fields) <= _SECTORS_WRITTEN or not fields[_SECTORS_WRITTEN].isdigit():
            return None
        return int(fields[_SECTORS_WRITTEN]) * _SECTOR

    def storage_used(self) -> float | None:
        """How full the disk is that keeps the records, in % of what we may use."""
        try:
            disk = os.statvfs(self._data_dir)
        except OSError:
            return None
        used = disk.f_blocks - disk.f_bfree
        return round(100 * used / (used + disk.f_bavail), 1) if used + disk.f_bavail else None

    def memory_free(self) -> int | None:
        """Bytes of memory that programs could still have."""
        for line in (_text(self._root / "proc/meminfo") or "").splitlines():
            name, _colon, value = line.partition(":")
            number = value.split()[:1]
            if name == "MemAvailable" and number and number[0].isdigit():
                return int(number[0]) * 1024
        return None

    def busy(self) -> Busy | None:
        """The processor's ticks; two looks make a load."""
        words = (_text(self._root / "proc/stat") or "").split("\n", 1)[0].split()
        if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
            return None
        ticks = [int(word) for word in words[1:9]]  # guest time is in user time already
        return Busy(sum(ticks) - ticks[3] - ticks[4], sum(ticks))  # idle, iowait

    def uptime(self) -> float | None:
        """Seconds since Linux started."""
        words = (_text(self._root / "proc/uptime") or "").split()
        try:
            return float(words[0]) if words else None
        except ValueError:
            return None

    def reset_cause(self, *, stopped_in_order: bool | None) -> int:
        """Why Linux started (catalogue: reset_cause); `stopped_in_order`: whether the gateway was stopped before.

        Linux on a Raspberry Pi reboots by the watchdog: the flag alone does not tell a reboot from a hang. None:
        this is the first start ever.
        """
        try:
            raw = (self._root / "proc/device-tree/chosen/bootloader/rsts").read_bytes()
        except OSError:
            return UNKNOWN
        flags = int.from_bytes(raw, "big")
        if flags & _HAD_POWER_ON:
            return POWER_ON
        if flags & _HAD_WATCHDOG and stopped_in_order is not None:
            return SOFTWARE if stopped_in_order else WATCHDOG
        return UNKNOWN


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _hex(word: str) -> int | None:
    try:
        return int(word, 16)
    except ValueError:
        return None
