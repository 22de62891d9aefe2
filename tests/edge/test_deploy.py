"""What `edge/deploy` installs: services that systemd accepts, a script that may be repeated, templates."""

import configparser
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from qytet_edge.update import bundle as bundles
from qytet_edge.update import manifest
from qytet_edge.update.layout import Layout
from tests.edge.test_update_real import PROGRAM, wheel

SAFELY: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11 knows the filter from 3.11.4 on; Debian 12 has 3.11.2. What is unpacked here we made ourselves."""

DEPLOY = Path(__file__).resolve().parents[2] / "edge/deploy"
UNITS = sorted(path.name for path in (DEPLOY / "systemd").iterdir())
SCRIPTS = ["install.sh", "guard.sh", "broker/nodes.sh"]


def unit(name: str) -> configparser.ConfigParser:
    """A unit's sections; of a key that is repeated, the lines joined."""

    class Joined(dict[str, object]):
        def __setitem__(self, key: str, value: object) -> None:
            if isinstance(value, list) and isinstance(old := self.get(key), list):
                value = [*old, *value]
            super().__setitem__(key, value)

    found = configparser.ConfigParser(dict_type=Joined, strict=False, interpolation=None, delimiters=("=",))
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(DEPLOY / "systemd" / name)
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_posix(name: str) -> None:
    """Each script is read by a strict POSIX shell, and can be run as a program."""
    shell = shutil.which("dash") or "sh"
    subprocess.run([shell, "-n", DEPLOY / name], check=True)
    assert os.access(DEPLOY / name, os.X_OK)


def installed_units(root: Path) -> Path:
    """The units in a root of their own, with programs where they expect them."""
    folder = root / "etc/systemd/system"
    shutil.copytree(DEPLOY / "systemd", folder)
    for name in ("guard.sh", "current/bin/qytet"):
        program = root / "opt/qytet-edge" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return folder


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about any unit."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    folder = installed_units(tmp_path)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f"--root={tmp_path}"]
    done = subprocess.run(
        [*command, *(folder / name for name in UNITS)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize(
    ("name", "most"), [("qytet-edge", 2.0), ("qytet-edge-update", 2.5), ("qytet-edge-guard", 4.5)]
)
def test_units_are_hardened(tmp_path: Path, name: str, most: float) -> None:
    """The exposure that systemd computes for each service stays low (0 is none, 10 is all)."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    installed_units(tmp_path)
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        f"--root={tmp_path}",
        f"{name}.service",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found.group(1)) <= most


def test_the_service_is_what_the_design_says() -> None:
    """Without rights, watched, started for ever, the guard before each start, and the password by credential only."""
    service = unit("qytet-edge.service")["Service"]
    assert service["User"] == "qytet-edge"
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert (service["Restart"], unit("qytet-edge.service")["Unit"]["StartLimitIntervalSec"]) == (
        "always",
        "0",
    )
    assert service["ExecStartPre"] == "-+/opt/qytet-edge/guard.sh start"
    assert service["ExecStart"].startswith("/opt/qytet-edge/current/bin/qytet edge run")
    assert set(service["SupplementaryGroups"].split()) == {"dialout", "gpio", "i2c"}
    assert service["LoadCredential"].startswith("broker_password:")
    assert service["CapabilityBoundingSet"] == ""
    assert service["DevicePolicy"] == "closed"


def test_only_the_offline_unit_may_write_releases() -> None:
    """The service that has a network cannot write where programs lie; the one that can has no network."""
    assert "ReadWritePaths" not in unit("qytet-edge.service")["Service"]
    update = unit("qytet-edge-update.service")["Service"]
    assert update["PrivateNetwork"] == "yes"
    assert "/opt/qytet-edge" in update["ReadWritePaths"].split()
    layout = Layout()
    assert unit("qytet-edge-update.path")["Path"]["PathExists"] == str(layout.request)
    assert unit("qytet-edge-guard.path")["Path"]["PathExists"] == str(layout.trial)
    service = unit("qytet-edge.service")["Service"]
    assert [f"/var/lib/{name}" for name in service["StateDirectory"].split()][-1] == str(layout.service)


def test_the_commands_of_units_exist() -> None:
    """Each `qytet edge …` that a unit starts is a command with these options."""
    from tests.docs.test_pages import check_command

    for name in UNITS:
        for line in (DEPLOY / "systemd" / name).read_text().splitlines():
            if line.startswith("ExecStart=/opt/qytet-edge/current/bin/qytet"):
                check_command(line.partition("/bin/")[2])


def test_cloud_init_s_template_is_yaml() -> None:
    """The template is cloud-config: keys only for one person, no password in it, and the installer gets its files."""
    text = (DEPLOY / "cloud-init/user-data").read_text()
    assert text.startswith("#cloud-config\n")
    data = yaml.safe_load(text)
    assert data["ssh_pwauth"] is False
    assert all(user["lock_passwd"] and "passwd" not in user for user in data["users"])
    (line,) = [line for line in data["runcmd"] if "install.sh" in line[1]]
    assert {"--bundle", "--key", "--config", "--password-file"} <= set(line)
    options = re.findall(r"--[a-z-]+", (DEPLOY / "install.sh").read_text())
    assert {word for word in line if word.startswith("--")} <= set(options)


def install(
    *options: str | Path, root: Path | None = None, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run the script, below `root`."""
    below = ["--root", root, "--python", sys.executable] if root else []
    script: list[str | Path] = ["sh", DEPLOY / "install.sh", *options, *below]
    done = subprocess.run(script, capture_output=True, text=True, check=False, timeout=250)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def tree(root: Path) -> dict[str, tuple[int, int, str]]:
    """Every path with mode, time of change and target."""
    found = {}
    for path in sorted(root.rglob("*")):
        known = path.lstat()
        target = str(path.readlink()) if path.is_symlink() else ""
        found[str(path.relative_to(root))] = (
            known.st_mode,
            0 if path.is_dir() else known.st_mtime_ns,
            target,
        )
    return found


@pytest.fixture
def offered(tmp_path: Path) -> tuple[Path, Path]:
    """A signed bundle with a small program, and the public key."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    files = {
        "qytet_stub.py": PROGRAM.format(version="0.2.0"),
        "qytet-0.2.0.dist-info/entry_points.txt": "[console_scripts]\nqytet = qytet_stub:main\n",
    }
    wheel(wheels, "qytet", "0.2.0", files, "Provides-Extra: edge\n")
    private, public = manifest.new_key()
    key, pem = tmp_path / "update.key", tmp_path / "update.pem"
    key.write_bytes(private)
    pem.write_bytes(public)
    bundles.make("0.2.0", wheels, DEPLOY, key, tmp_path / "bundle.tar")
    return tmp_path / "bundle.tar", pem


def test_a_dry_run_changes_nothing(tmp_path: Path, offered: tuple[Path, Path]) -> None:
    """`--dry-run` says what it would do, and does nothing of it."""
    root = tmp_path / "root"
    root.mkdir()
    done = install(
        "--dry-run", "--bundle", offered[0], "--key", offered[1], "--nodes-host", "gw.example", root=root
    )
    assert "would run" in done.stdout
    assert "Release 0.2.0" in done.stdout
    assert list(root.iterdir()) == []


def test_the_script_installs_and_may_be_repeated(tmp_path: Path, offered: tuple[Path, Path]) -> None:
    """From a bundle alone comes a whole installation; run again, the script changes nothing; what was edited stays."""
    root = tmp_path / "root"
    with tarfile.open(offered[0]) as tar:
        tar.extractall(tmp_path / "unpacked", **SAFELY)
    assert (tmp_path / "unpacked/deploy/install.sh").read_bytes() == (DEPLOY / "install.sh").read_bytes()
    first = install("--bundle", offered[0], "--key", offered[1], "--nodes", root=root)
    assert "still the sample" in first.stdout
    layout = Layout(root)
    assert layout.running() == "0.2.0"
    assert (layout.current / "complete").exists()
    done = subprocess.run(
        [layout.current / "bin/qytet", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "qytet 0.2.0\n"
    assert layout.config.stat().st_mode & 0o777 == 0o640
    assert (layout.config.parent / "broker_password").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (root / "etc/systemd/system").iterdir()) == UNITS
    assert (layout.keys / "update.pem").exists()
    assert os.access(layout.guard, os.X_OK)

    before = tree(root)
    install("--bundle", tmp_path / "unpacked", root=root)
    assert tree(root) == before | {name: tree(root)[name] for name in ("usr/local/bin/qytet",)}

    layout.config.write_text("edited = true\n")
    assert "still the sample" not in install("--bundle", offered[0], root=root).stdout
    assert layout.config.read_text() == "edited = true\n"


def test_the_script_trusts_signatures_only(tmp_path: Path, offered: tuple[Path, Path]) -> None:
    """An unsigned, a changed or a damaged bundle is refused before anything is installed, with what to do."""
    bundle, pem = offered
    root = tmp_path / "root"
    assert "--key" in install("--bundle", bundle, root=root, check=False).stderr
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(manifest.new_key()[1])
    assert "not signed" in install("--bundle", bundle, "--key", stranger, root=root, check=False).stderr
    with tarfile.open(bundle) as tar:
        tar.extractall(tmp_path / "folder", **SAFELY)
    (tmp_path / "folder/wheels/evil-1-py3-none-any.whl").touch()
    refused = install("--bundle", tmp_path / "folder", "--key", pem, root=root, check=False)
    assert (refused.returncode, "does not hold the files" in refused.stderr) == (1, True)
    (tmp_path / "folder/wheels/evil-1-py3-none-any.whl").unlink()
    (wheel_file,) = (tmp_path / "folder/wheels").iterdir()
    wheel_file.write_bytes(wheel_file.read_bytes() + b"x")
    assert "damaged" in install("--bundle", tmp_path / "folder", "--key", pem, root=root, check=False).stderr
    text = json.loads((tmp_path / "folder/manifest.json").read_text())
    (tmp_path / "folder/manifest.json").write_text(json.dumps(text | {"version": "9.9.9"}))
    assert (
        "not signed" in install("--bundle", tmp_path / "folder", "--key", pem, root=root, check=False).stderr
    )
    assert not root.exists()


def test_a_second_manifest_cannot_slip_in_behind_the_signature(
    tmp_path: Path, offered: tuple[Path, Path]
) -> None:
    """A signed manifest with a stranger's one and a stranger's wheel beside it in the tar installs nothing."""
    bundle, pem = offered
    wheel_name = "wheels/evil-1-py3-none-any.whl"
    entry = {"size": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    evil = json.dumps({"format": 1, "version": "9.9.9", "files": {wheel_name: entry}})
    forged = tmp_path / "forged.tar"
    with tarfile.open(bundle) as tar, tarfile.open(forged, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in list(tar)[:2]:  # the signed manifest and its signature
            new.addfile(member, tar.extractfile(member))
        for name, content in (("./manifest.json", evil.encode()), (f"./{wheel_name}", b"evil")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    root = tmp_path / "root"
    refused = install("--bundle", forged, "--key", pem, root=root, check=False)
    assert (refused.returncode, "does not hold the files" in refused.stderr) == (1, True), refused.stdout
    assert not root.exists()


def test_wrong_options_are_explained(tmp_path: Path) -> None:
    """A wrong option shows how the script is used; a missing file and a missing value say which."""
    assert install("--wrong", check=False).returncode == 2
    assert "needs a value" in install("--bundle", check=False).stderr
    missing = install("--dry-run", "--config", tmp_path / "none.toml", check=False)
    assert f"{tmp_path}/none.toml does not exist" in missing.stderr
