"""What a node may take: `qytet bench budget`, and the means by which the program keeps within it."""

import ast
import asyncio
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qytet.errors import QytetError
from qytet_bench import link, mpyfile, privacy, shrink
from qytet_bench.budget import commands, micropython
from qytet_bench.budget.dump import tables, weigh
from qytet_bench.commands import app
from qytet_bench.program import build
from tests.servers.micropython import MicroPython


def _budget(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, ["budget", "--json", *arguments], catch_exceptions=False)
    return done.exit_code, json.loads(done.stdout)


_REACHED = 61_440
"""Bytes of memory that the largest profile is known to need at most; the limit, `commands.HEAP`, is no higher."""


@pytest.fixture(scope="module")
def air(micropython: MicroPython) -> tuple[int, dict[str, Any]]:
    """The air station's budget: the largest profile.

    A look may fall upon code that is in memory for a moment, so lives differ by some hundred bytes; what stays is the
    least that is ever seen. So a life that is over is lived again, twice at most.
    """
    for _ in range(2):
        code, found = _budget("--profile", "air")
        if code == 0:
            return code, found
    return _budget("--profile", "air")


def test_program_flash_and_highest_memory_are_within_their_budget(air: tuple[int, dict[str, Any]]) -> None:
    """The air station, compiled, connected over TLS, with all its drivers, never takes more than a board has."""
    _, found = air
    assert found["program"]["bytes"] <= commands.PROGRAM
    assert found["memory"]["profiles"]["air"]["peak"] <= commands.HEAP_ALL
    assert found["flash"]["erases"] > 100
    assert found["flash"]["years"] > 10


def test_memory_does_not_grow(air: tuple[int, dict[str, Any]]) -> None:
    """The steady state takes no more than it did; what it takes is what a whole node does, not a stub."""
    use = air[1]["memory"]["profiles"]["air"]
    print(f"memory {use['steady']} steady, {use['peak']} at most")
    assert 40_000 < use["steady"] <= _REACHED


def test_memory_is_within_its_budget(air: tuple[int, dict[str, Any]]) -> None:
    """The steady state of the largest profile stays below 60 KB, and the command ends with 0."""
    assert air[1]["over"] == []
    assert air[0] == 0


def test_too_much_is_said_and_ends_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program above its limit fails the command, which names what is too large."""
    monkeypatch.setattr(commands, "PROGRAM", 1000)
    monkeypatch.setattr("qytet_bench.budget.micropython.find", lambda: None)
    code, found = _budget()
    assert code == 1
    assert "the program has" in str(found["over"])


def test_where_there_is_no_vm_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the VM memory and flash are not measured, and nobody is told that they are good."""
    monkeypatch.setattr("qytet_bench.budget.micropython.find", lambda: None)
    done = CliRunner().invoke(app, ["budget"], catch_exceptions=False)
    assert "not measured" in done.stdout
    assert _budget()[1]["memory"] is None


def test_the_vm_is_found_where_it_is_installed(micropython: MicroPython) -> None:
    """The budget measures in the VM that the tests run."""
    assert micropython.program == commands.micropython.find()


def test_an_unknown_profile_is_named() -> None:
    """A slip in a profile's name ends before anything is measured."""
    done = CliRunner().invoke(app, ["budget", "--profile", "aire"])
    assert "aire" in str(done.exception)


def test_memory_of_words_halves_and_text_stays(tmp_path: Path) -> None:
    """An allocation of addresses takes half on a chip, one of text as much as before, a buffer of zeros too."""
    start = 0x7F0000000000
    pointers = struct.pack("<4Q", start, 5, start + 32, 0)
    text = b"what a technician reads in words"
    (tmp_path / "x.heap").write_bytes(struct.pack("<Q", start) + pointers * 2 + text + bytes(64))
    (tmp_path / "x.maps").write_text(f"{start:x}-{start + 4096:x} rw-p 0\n")
    heap = weigh(f"GC memory layout; from {start:x}:\n00000000: h=hh=..\n", tmp_path / "x")
    assert (heap.vm, heap.chip, heap.names) == (160, 32 + 32 + 48, 0)


def test_tables_of_names_double() -> None:
    """One name more than a table holds brings the next one, twice as large."""
    assert tables(20) == 24 + 20 * 7
    assert tables(21) == 2 * 24 + 60 * 7
    assert tables(620) < tables(621) / 1.9


_SOURCE = """
LIMIT = 5
SEEN = "seen"
_SIZE, _MOST = 2, LIMIT * 2
class Box:
    def __init__(self, width, height=_SIZE, *, deep=1):
        self._width = width
    def put(self, thing, key=None):
        return [thing for thing in (thing, self._width, _MOST, key) if thing]
def outer(path):
    def inner(name):
        return path + name + SEEN
    return inner
"""


def test_what_is_shrunk_does_the_same() -> None:
    """Constants go, parameters get short names but for those that are passed by name; results stay."""
    text = shrink.shrunk(_SOURCE, {"SEEN"}, {"key", "deep"})
    spaces: list[dict[str, object]] = [{"const": lambda value: value} for _ in range(2)]
    for space, code in zip(spaces, (_SOURCE, text), strict=True):
        exec(code, space)
    for name in ("width", "path", "thing"):
        assert not any(isinstance(node, ast.arg) and node.arg == name for node in ast.walk(ast.parse(text)))
    assert "_LIMIT = const(5)" in text
    assert "SEEN = 'seen'" in text, "another module means it"
    made = [(space["Box"](3).put(1, key=4), space["outer"]("a")("b")) for space in spaces]  # type: ignore[operator]
    assert made[0] == made[1] == ([1, 3, 10, 4], "abseen")


def test_only_private_names_are_short_in_a_compiled_module() -> None:
    """The table of names is written anew, the code behind it byte for byte the same."""
    table = b"".join(
        bytes((len(name) << 1,)) + name + b"\0" for name in (b"open", b"_secret", b"__init__", b"_a")
    )
    mpy = b"M\x06\x00\x1f" + bytes((5, 0)) + table + bytes((7,)) + b"code"
    assert mpyfile.short_names(mpy) == mpy.replace(b"\x0e_secret", b"\x04_b")
    with pytest.raises(QytetError, match="format"):
        mpyfile.short_names(b"M\x05\x00\x1f")


def test_joined_modules_keep_their_own_names_apart() -> None:
    """Two parts with the same private name do what they did; whoever stays apart imports from the whole."""
    texts = {
        "qytet_node/one.py": "_N = 1\ndef _f():\n    return _N\ndef one():\n    return _f()\n",
        "qytet_node/two.py": "from qytet_node import one as first\n_N = 2\ndef _f():\n    return _N\n"
        "class Two:\n    def __init__(self):\n        self._long_name = first.one() + _f()\n"
        "    def get(self):\n        return self._long_name\n",
        "qytet_node/far.py": "from qytet_node.one import one\n",
    }
    found = link.linked(texts, ("one", "two"))
    assert sorted(found) == ["qytet_node/far.py", "qytet_node/two.py"]
    assert found["qytet_node/far.py"] == "from qytet_node.two import one\n"
    space: dict[str, object] = {}
    exec(found["qytet_node/two.py"], space)
    assert space["Two"]().get() == 3  # type: ignore[operator]
    assert "_long_name" not in found["qytet_node/two.py"]


def test_the_same_public_name_twice_cannot_be_joined() -> None:
    """Which of two things would win is nobody's guess: the build ends."""
    texts = {f"qytet_node/{name}.py": "def run():\n    pass\n" for name in ("one", "two")}
    with pytest.raises(QytetError, match="both define run"):
        link.linked(texts, ("one", "two"))


@pytest.mark.parametrize(
    "line",
    ["from qytet_node import one", "from qytet_node.drivers import two", "import qytet_node.drivers.two"],
)
def test_a_module_that_is_joined_cannot_be_imported_whole(line: str) -> None:
    """A board would not find it: the build says who asks for it, in whatever words."""
    texts = {f"qytet_node/{name}.py": "" for name in ("one", "drivers/two")}
    with pytest.raises(QytetError, match=line):
        link.linked(texts | {"qytet_node/far.py": line + "\n"}, ("one", "drivers.two"))


def test_nothing_of_the_program_inherits_across_modules() -> None:
    """Short private names are given module by module, so an object must have them from one module only."""
    for path in micropython_modules():
        tree = ast.parse(path.read_text())
        own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                for base in node.bases:
                    name = ast.unparse(base)
                    assert name in own or name in ("Exception", "ValueError"), (
                        f"{path.name}: {node.name}({name})"
                    )


def micropython_modules() -> list[Path]:
    """The node's own modules."""
    from qytet_bench.program import SOURCE

    return sorted((SOURCE / "qytet_node").rglob("*.py"))


def test_the_program_is_built_the_same_twice() -> None:
    """A version of the program has one SHA-256, whoever builds it."""
    assert build() == build()


def test_the_program_is_built_the_same_in_every_locale() -> None:
    """The sources are UTF-8, whatever a technician's machine takes a text for."""
    code = "from qytet_bench import program; program.build()"
    strict = ("-X", "warn_default_encoding", "-W", "error::EncodingWarning:qytet_bench.program")
    done = subprocess.run([sys.executable, *strict, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_vm_that_does_not_end_is_told(
    micropython: MicroPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A life that goes on for ever ends in words, and its process with it."""
    (tmp_path / "hang.py").write_text("import select\nselect.poll().poll()\n")
    monkeypatch.setattr(commands.micropython, "_SCRIPTS", tmp_path)
    monkeypatch.setattr(commands.micropython, "_LIMIT_S", 0.2)
    with pytest.raises(QytetError, match=r"not ended hang\.py within 0\.2 s"):
        asyncio.run(commands.micropython.run(micropython.program, "hang.py", tmp_path / "none", tmp_path))


def test_a_script_that_says_nothing_is_told() -> None:
    """A VM that dies without a word is no measurement."""
    assert micropython.told("") == {}
    assert micropython.told("Traceback\nMemoryError") == {}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def look(node):\n    return node._seq\n", "line 2: node._seq"),
        ("class B(A):\n    def read(self):\n        return self._raw\n", "line 3: self._raw"),
        ("class A:\n    def same(self, other):\n        return other._x\n    _x = 1\n", "line 3: other._x"),
    ],
)
def test_private_names_of_others_are_refused(source: str, said: str) -> None:
    """What short names would break on a board does not get that far: the build says where it stands."""
    with pytest.raises(QytetError, match=said):
        privacy.check("a.py", source)


def test_private_names_of_ones_own_are_fine() -> None:
    """Methods, class attributes and what is assigned to self may be used within the class."""
    privacy.check(
        "a.py",
        "class A:\n    _ONE, _TWO = 1, 2\n    def __init__(self):\n        self._a, self.b = self._ONE, self._c()\n"
        "    def _c(self):\n        return self._a + self._TWO\n",
    )
