"""A release is really made: a virtual environment from wheels, offline, and a program in it that runs."""

import hashlib
import json
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qytet.errors import InputError
from qytet_edge.update import apply, build, trial
from qytet_edge.update.commands import app
from tests.edge.update_site import Site

PROGRAM = """\
import pathlib, sys
def main():
    if sys.argv[1:] == ["--version"]:
        print("qytet {version}")
    else:
        pathlib.Path(sys.argv[-1]).read_text()
"""


def wheel(folder: Path, name: str, version: str, files: dict[str, str], metadata: str = "") -> None:
    """A wheel, as small as one can be."""
    info = f"{name}-{version}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        rows = []
        for path, text in files.items():
            archive.writestr(path, text)
            digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(text.encode())}\n")
        archive.writestr(f"{info}/RECORD", "".join(rows) + f"{info}/RECORD,,\n")


def bundle(site: Site, version: str, needs: str = "helper") -> Path:
    """A bundle with a wheel that is called qytet and one that it needs, made with the real command."""
    wheels = site.desk / f"real-{version}"
    wheels.mkdir()
    entry = {f"qytet-{version}.dist-info/entry_points.txt": "[console_scripts]\nqytet = qytet_stub:main\n"}
    source = {"qytet_stub.py": PROGRAM.format(version=version)}
    wheel(
        wheels,
        "qytet",
        version,
        source | entry,
        f"Provides-Extra: edge\nRequires-Dist: {needs}; extra == 'edge'\n",
    )
    wheel(wheels, "helper", "1.0", {"helper.py": ""})
    out = site.desk / f"real-{version}.tar"
    options = ["--wheels", str(wheels), "--key", str(site.key), "--out", str(out), "--json"]
    done = CliRunner().invoke(app, ["bundle", version, *options], catch_exceptions=False)
    assert json.loads(done.stdout)["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    return out


def make(release: Path, wheels: Path, version: str) -> None:
    """As on a gateway, but with the tests' Python."""
    build.environment(release, wheels, version, python=Path(sys.executable))


def test_a_bundle_becomes_a_program_that_runs(tmp_path: Path) -> None:
    """Wheels of a signed bundle become an environment whose `qytet` runs, with what it needs and without any index.

    What is missing among the wheels is not looked for elsewhere.
    """
    site = Site(tmp_path)
    version = apply.apply(site.layout, bundle(site, "0.2.0"), builder=make, restart=lambda: None)
    release = site.layout.current.resolve()
    done = subprocess.run([release / "bin/qytet", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == version == "0.2.0"
    subprocess.run([release / "bin/python", "-c", "import helper"], check=True)
    assert trial.read(site.layout.trial / "info")["to"] == "0.2.0"

    bundle(site, "0.3.0", needs="qytet-no-such-thing")
    with pytest.raises(InputError) as found:
        build.install(release, site.desk / "real-0.3.0", "0.3.0")
    assert "qytet-no-such-thing" in found.value.why


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("echo qytet 9.9.9", "9.9.9"),
        ("echo Traceback >&2; exit 1", "Traceback"),
        ('[ "$1" = --version ] && echo qytet 0.2.0 || { echo wrong setting >&2; exit 1; }', "wrong setting"),
    ],
)
def test_a_release_with_a_fault_is_not_tried(tmp_path: Path, program: str, why: str) -> None:
    """A release that is another than it says, does not start, or does not understand the configuration is removed."""
    site = Site(tmp_path)

    def builder(release: Path, _wheels: Path, _version: str) -> None:
        (release / "bin").mkdir(parents=True)
        (release / "bin/qytet").write_text(f"#!/bin/sh\n{program}\n")
        (release / "bin/qytet").chmod(0o755)

    with pytest.raises(InputError, match="goes on as before") as found:
        apply.apply(site.layout, site.bundle("0.2.0"), builder=builder, restart=lambda: None)
    assert why in found.value.why
    assert site.running() == "0.1.0"
    assert site.outcome() == ("failed", "0.2.0")
    assert not (site.layout.releases / "0.2.0").exists()


def test_only_lgpio_is_borrowed_from_the_system(tmp_path: Path) -> None:
    """A release sees the system's lgpio, both its parts, and no other module of the system."""
    packages, site = tmp_path / "dist-packages", tmp_path / "release/lib/python3.11/site-packages"
    for folder in (packages, site):
        folder.mkdir(parents=True)
    for name in ("lgpio.py", "_lgpio.cpython-311-aarch64-linux-gnu.so", "requests.py"):
        (packages / name).touch()
    for _ in range(2):
        build.borrow_lgpio(tmp_path / "release", packages)
    assert sorted(path.name for path in site.iterdir()) == [
        "_lgpio.cpython-311-aarch64-linux-gnu.so",
        "lgpio.py",
    ]


def test_commands_say_how_it_stands(tmp_path: Path) -> None:
    """`keygen` makes a pair once; `status` tells people and programs what is on trial; `rollback` goes back."""
    site, runner = Site(tmp_path), CliRunner()
    folder = tmp_path / "pair"
    folder.mkdir()
    assert runner.invoke(app, ["keygen", str(folder)], catch_exceptions=False).exit_code == 0
    assert (folder / "update.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="there already"):
        runner.invoke(app, ["keygen", str(folder)], catch_exceptions=False)

    site.apply(site.bundle("0.2.0"))
    root = ["--root", str(site.root)]
    document = json.loads(runner.invoke(app, ["status", *root, "--json"], catch_exceptions=False).stdout)
    assert document["running"] == "0.2.0"
    assert document["trial"]["starts"] == str(trial.STARTS)
    assert "then back to 0.1.0" in runner.invoke(app, ["status", *root], catch_exceptions=False).stdout
    site.guard("revert")
    said = runner.invoke(app, ["status", *root], catch_exceptions=False).stdout
    assert "failed (went back to 0.1.0" in said
