"""A release: a Python environment made offline from a bundle's wheels, and tried before anything leads to it."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from qytet.errors import InputError
from qytet_edge.update import disk
from qytet_edge.update.layout import COMPLETE

__all__ = ["Builder", "borrow_lgpio", "environment", "install", "seal", "smoke"]

PYTHON = Path("/usr/bin/python3")
DIST_PACKAGES = Path("/usr/lib/python3/dist-packages")
LIMIT_S = 1800.0  # pip on a Pi Zero 2 W with a slow SD card

Builder = Callable[[Path, Path, str], None]
"""Makes the release (folder) from the wheels (folder) for a version."""


def environment(release: Path, wheels: Path, version: str, *, python: Path = PYTHON) -> None:
    """Make a virtual environment with `qytet[edge]` of this version; nothing is fetched. Raises InputError."""
    disk.before("build")
    _run([str(python), "-m", "venv", "--clear", str(release)], "A Python environment cannot be made.")
    install(release, wheels, version)
    borrow_lgpio(release)


def install(release: Path, wheels: Path, version: str) -> None:
    """Install `qytet[edge]` of this version from the wheels into the environment. Raises InputError."""
    pip = [str(release / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    source = ["--no-index", "--no-cache-dir", "--only-binary", ":all:", "--find-links", str(wheels)]
    _run([*pip, *source, f"qytet[edge]=={version}"], "The bundle's packages cannot be installed.")


def borrow_lgpio(release: Path, dist_packages: Path = DIST_PACKAGES) -> None:
    """Let the environment see the system's lgpio (apt install python3-lgpio), and nothing else of the system.

    gpiozero needs it for the pins. It is compiled against the system's Python, as the environment is; wheels of it
    do not exist for every Python.
    """
    for site in release.glob("lib/python3.*/site-packages"):
        for found in (*dist_packages.glob("lgpio.py"), *dist_packages.glob("_lgpio*.so")):
            if not (site / found.name).exists():
                (site / found.name).symlink_to(found)


def smoke(release: Path, version: str, config: Path) -> None:
    """See that the new release starts, is what it says, and understands the configuration. Raises InputError."""
    program = str(release / "bin/qytet")
    said = _run([program, "--version"], "The new release does not start.", limit_s=120)
    if version not in said.split():
        raise InputError(
            f"The new release says that it is {said.strip()[:80]!r}.", why=f"{version} was expected."
        )
    if config.exists():
        check = [program, "edge", "config", "check", "--config", str(config)]
        _run(check, "The new release does not understand this gateway's configuration.", limit_s=120)


def seal(release: Path) -> None:
    """Say that the release is whole, after all of it is on the disk."""
    disk.sync()
    disk.write(release / COMPLETE, b"")


def _run(command: Sequence[str], what: str, *, limit_s: float = LIMIT_S) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(what, why=str(error)) from error
    if done.returncode:
        last = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-3:]
        raise InputError(what, why=" ".join(last)[-400:] or f"exit code {done.returncode}")
    return done.stdout
