"""Debian packages through the machine's own apt: which mirror it uses, and packages unpacked without root."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.cache import UnavailableError

_URL = re.compile(r"https?://\S+/debian/?(?=\s|$)")


def mirror() -> str:
    """Return the Debian mirror of this machine's apt configuration."""
    sources = Path("/etc/apt")
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    for file in files:
        for line in file.read_text().splitlines() if file.is_file() else []:
            found = None if line.lstrip().startswith("#") else _URL.search(line)
            if found:
                return found[0]
    raise UnavailableError("this machine's apt configuration names no Debian mirror")


def unpack(packages: Sequence[str], target: Path) -> None:
    """Download the packages and unpack them below `target`; nothing is installed, root is not needed."""
    for program in ("apt-get", "dpkg"):
        if shutil.which(program) is None:
            raise UnavailableError(f"there is no {program} here (not a Debian system)")
    downloads = target / "downloads"
    downloads.mkdir()
    if not _download(packages, downloads):
        if os.geteuid() == 0:  # a fresh image has no package lists
            run(["apt-get", "update", "-qq"])
        if not _download(packages, downloads):
            raise UnavailableError(f"apt-get cannot download {' '.join(packages)}")
    for package in downloads.glob("*.deb"):
        run(["dpkg", "-x", str(package), str(target)])
    shutil.rmtree(downloads)


def install(package: str) -> None:
    """Install a package, as root, fetching the package lists first if a fresh image has none."""
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        run(["apt-get", "update", "-qq"])
        run(command)


def _download(packages: Sequence[str], folder: Path) -> bool:
    command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def run(command: Sequence[str]) -> None:
    """Run a command of the system; its own words are the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout)[-800:].strip()}")
