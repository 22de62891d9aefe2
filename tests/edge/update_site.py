"""A gateway's file system in a temporary folder, with releases, keys, and the guard as it is shipped."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from qytet_edge.update import apply, bundle, disk, manifest, trial
from qytet_edge.update.evidence import Evidence
from qytet_edge.update.layout import COMPLETE, Layout

GUARD = Path(__file__).resolve().parents[2] / "edge/deploy/guard.sh"


class PowerCutError(BaseException):
    """The gateway has no power any more: nothing catches it, nothing tidies up."""


class Site:
    """A gateway on which 0.1.0 runs; bundles are made of two small files, and installing copies them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layout = Layout(root)
        self.desk = root / "desk"
        self.restarts = root / "restarts"
        self.desk.mkdir()
        (self.desk / "restart").write_text(f"printf x >>'{self.restarts}'\n")
        for folder in (self.layout.releases, self.layout.keys, self.layout.service):
            folder.mkdir(parents=True)
        self.layout.config.write_text("name = 'old'\n")
        self.layout.config.chmod(0o640)
        shutil.copy(GUARD, self.layout.guard)
        private, public = manifest.new_key()
        self.key = self.desk / "update.key"
        self.key.write_bytes(private)
        (self.layout.keys / "update.pem").write_bytes(public)
        self.release("0.1.0")
        self.layout.current.symlink_to("releases/0.1.0")
        self.layout.lock.touch()

    def release(self, version: str) -> None:
        """A whole release, as installed."""
        folder = self.layout.releases / version
        folder.mkdir()
        (folder / "program").write_text(version)
        (folder / COMPLETE).touch()

    def bundle(self, version: str, key: Path | None = None) -> Path:
        """A signed bundle of this version."""
        wheels = self.desk / f"wheels-{version}"
        wheels.mkdir(exist_ok=True)
        (wheels / f"qytet-{version}-py3-none-any.whl").write_bytes(version.encode() * 700)
        (wheels / "other-1-py3-none-any.whl").write_bytes(bytes(range(256)) * 9)
        out = self.desk / f"qytet-edge-{version}.tar"
        bundle.make(version, wheels, None, key or self.key, out)
        return out

    def apply(self, source: Path, **options: object) -> str:
        """`apply`, with a builder that only copies, and no systemd."""
        known = {"builder": build, "smoke": lambda *_: None, "restart": lambda: None}
        return apply.apply(self.layout, source, **(known | options))  # type: ignore[arg-type]

    def guard(self, mode: str, *, path: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the guard; each restart that it asks for leaves a byte in `restarts`."""
        environment = {
            "PATH": path + os.environ["PATH"],
            "QYTET_EDGE_ROOT": str(self.root),
            "QYTET_EDGE_RESTART": f"sh {self.desk}/restart",
            "QYTET_EDGE_LOOK_S": "0.01",
        }
        return subprocess.run(
            ["sh", self.layout.guard, mode],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def restarted(self) -> int:
        """How often the guard asked for a restart."""
        return self.restarts.stat().st_size if self.restarts.exists() else 0

    def starts(self, release: str = "") -> Evidence:
        """A gateway's process starts: the guard first, then what `current` leads to."""
        self.guard("start")
        read = hashlib.sha256(self.layout.config.read_bytes()).hexdigest()
        return Evidence(self.layout, read, release=release or self.running())

    def proves(self, evidence: Evidence) -> None:
        """The process makes a record and the city stores it."""
        evidence.made("gw", "0000aaaa", 7)
        evidence.stored("gw", "0000aaaa", 7)

    def running(self) -> str:
        """The version of the program that a start would run; fails if it is not a whole release."""
        assert (self.layout.current / COMPLETE).exists(), "current leads to no whole release"
        version = (self.layout.current / "program").read_text()
        assert version == self.layout.running()
        return version

    def outcome(self) -> tuple[str, str]:
        """Result and version of the last update."""
        found = trial.read(self.layout.outcome)
        return found.get("result", ""), found.get("to", "")


def build(release: Path, wheels: Path, version: str) -> None:
    """Install by copying, in several steps that may be cut."""
    disk.make_folder(release)
    for wheel in sorted(wheels.iterdir()):
        disk.write(release / wheel.name, wheel.read_bytes())
    disk.write(release / "program", version.encode())
