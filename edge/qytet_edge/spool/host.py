"""The machine's own life: which boot of Linux this is, and how long it has lasted."""

import os
import secrets
import time
from pathlib import Path

__all__ = ["Host"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_IO = Path("/proc/self/io")
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Host:
    """Asked by the spool; a test gives another one."""

    def linux_boot(self) -> str:
        """Names this boot of the machine; "" where nobody tells: then each process is a boot of its own."""
        try:
            return _BOOT_ID.read_text().strip()
        except OSError:
            return ""

    def up_ms(self) -> int:
        """Milliseconds since the machine started, sleep included."""
        return time.clock_gettime_ns(_CLOCK) // 1_000_000

    def new_boot(self) -> str:
        """A name for a new numbering: 8 hexadecimal digits."""
        return secrets.token_hex(4)

    def now_ms(self) -> int:
        """The clock on the wall, right or wrong."""
        return time.time_ns() // 1_000_000

    def free_bytes(self, folder: Path) -> int:
        """Room on a folder's disk."""
        disk = os.statvfs(folder)
        return disk.f_bavail * disk.f_frsize

    def written_bytes(self) -> int | None:
        """Bytes that this process has caused to be sent to disks, if the kernel counts them."""
        try:
            lines = _IO.read_text().splitlines()
        except OSError:
            return None
        found = [line.partition(": ")[2] for line in lines if line.startswith("write_bytes: ")]
        return int(found[0]) if found else None
