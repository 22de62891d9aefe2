"""What the doctor's tests share: a gateway's site to be examined, and what a running gateway says."""

from pathlib import Path
from typing import Any

from qytet.doctor.finding import Finding
from qytet_edge import config as configuration
from qytet_edge.config import Config
from qytet_edge.doctor import Scene
from qytet_edge.doctor.scene import User

__all__ = ["GATEWAY", "GNSS", "NOBODY", "ROOT", "Site", "running", "source", "the_problem"]

NOBODY = User("qytet-edge", 64_123, frozenset({64_123}))


ROOT = User("root", 0, frozenset({0}))


GATEWAY = "tirana-gateway-01"


GNSS = {"fix": 0, "satellites": 7, "sentences_good": 12}


class Site:
    """A gateway's folder, with a configuration that a test changes by adding tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        (self.root / "proc").mkdir(parents=True)
        (folder / "data").mkdir()
        self.path = folder / "qytet-edge.toml"
        self.url = "mqtt://127.0.0.1:1"
        self.uplink = ""
        self.gateway = ""
        self.tables = ""
        self.trust = "host"

    def write(self) -> Path:
        self.path.write_text(
            f'[gateway]\ncity = "tirana"\nname = "{GATEWAY}"\ndata_dir = "data"\n{self.gateway}\n'
            f'[uplink]\nurl = "{self.url}"\n{self.uplink}\n[spool]\nmax_mb = 1\n'
            f'[clock]\ntrust = "{self.trust}"\n{self.tables}\n'
        )
        return self.path

    def config(self) -> Config:
        return configuration.read(self.write())

    def scene(self, running: dict[str, Any] | None = None, **more: Any) -> Scene:
        usual: dict[str, Any] = {"root": self.root, "user": ROOT, "ports": list}
        return Scene(self.config(), running, **{**usual, **more})

    def uart(self, port: Path | str) -> None:
        self.tables += f'[[source]]\nkind = "uart"\nname = "dust"\nsensor = "pms5003"\nport = "{port}"\n'


def the_problem(found: list[Finding]) -> Finding:
    (wrong,) = [one for one in found if one.state == "problem"]
    assert wrong.do, "a problem comes with what to do"
    return wrong


def running(**more: Any) -> dict[str, Any]:
    """What a gateway says that is well."""
    state: dict[str, Any] = {
        "clock": {"tq": "ntp", "source": "chrony (ntp.al)", "offset_s": 0.0},
        "spool": {"records": 3, "full_since_ms": None, "full_why": "", "dropped": 0},
        "uplink": {"connected": True, "since_s": 1000.0, "last_mark_s": 2.0, "unconfirmed": []},
        "sources": [],
        "outputs": [],
    }
    return {
        key: {**value, **more.get(key, {})} if isinstance(value, dict) else more.get(key, value)
        for key, value in state.items()
    }


def source(**more: Any) -> dict[str, Any]:
    """What a running gateway says of a source that is well."""
    device = {"seen_s": 5.0, "last_error": "", "errors": 0}
    usual = {"name": "dust", "state": "running", "records": 9, "errors": 0, "restarts": 0, "last_error": ""}
    return {**usual, "detail": {}, "devices": {"dust-1": device}, **more}
