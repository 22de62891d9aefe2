"""A technician's desk: bench.toml with all that it names, and the commands of the bench run upon it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from qytet.deploy import tls
from qytet.errors import QytetError
from qytet_bench import settings
from qytet_bench.commands import app
from qytet_bench.vault import Vault

WIFI_PASSWORD = "correct horse"
_CHIP_IDS = {"esp32": 0, "esp32s3": 9, "esp32c3": 5}


def firmware(chip: str, size: int = 40_000) -> bytes:
    """What begins as an image for the chip does, and compresses well: nobody gives away MicroPython's own."""
    header = bytes([0xE9, 6, 2, 0x20]) + bytes(8) + _CHIP_IDS[chip].to_bytes(2, "little")
    text = b"".join(hashlib.sha256(str(at // 4).encode()).digest() for at in range(size // 32))
    return header + text[len(header) : size]


@dataclass
class Desk:
    """`common` is what bench.toml says; change it and call `write`."""

    folder: Path
    common: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "ca.crt").write_bytes(tls.authority().certificate)
        (self.folder / "wifi.txt").write_text(WIFI_PASSWORD + "\n")
        images = {}
        for chip in _CHIP_IDS:
            content = firmware(chip)
            (self.folder / f"{chip}.bin").write_bytes(content)
            images[chip] = {"path": f"{chip}.bin", "sha256": hashlib.sha256(content).hexdigest()}
        self.common = {
            "city": "tirana",
            "profile": "air",
            "ca": "ca.crt",
            "wifi": {"ssid": "city", "password_file": "wifi.txt"},
            "broker": {"host": "127.0.0.1", "name": "mqtt.tirana.example"},
            "image": images,
        }
        self.write()

    @property
    def config(self) -> Path:
        return self.folder / "bench.toml"

    @property
    def settings(self) -> settings.BenchSettings:
        return settings.load(self.config)

    @property
    def vault(self) -> Vault:
        return Vault(self.folder / "vault")

    def write(self) -> None:
        self.config.write_text("\n".join(_toml(self.common)))

    def listed(self, text: str) -> Path:
        """A list of devices, its owner's alone."""
        path = self.folder / "devices.csv"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def run(self, *arguments: str, typed: str | None = None) -> Result:
        """The command with `--config`; an error of ours is raised."""
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.config)], input=typed)
        if isinstance(result.exception, QytetError):
            raise result.exception
        return result

    def says(self, *arguments: str) -> Any:
        """The JSON that the command prints, which must succeed."""
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


def _toml(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if not isinstance(value, dict)]
    for name, value in table.items():
        if isinstance(value, dict):
            lines += [f"[{prefix}{name}]", *_toml(value, f"{prefix}{name}.")]
    return lines
