"""What the platform knows of one device at one moment, and what the node should be."""

import ast
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from qytet_bench.acceptance.api import Api, MissingError
from qytet_bench.node import NodeSettings
from qytet_bench.program import SOURCE

__all__ = ["Facts", "Subject", "fetch", "program_version", "warm_up_s"]

_ROWS = 500
_REFUSED_ROWS = 20


@dataclass(frozen=True, slots=True)
class Subject:
    """The node as it should be."""

    node: NodeSettings
    firmware: str
    profile: Mapping[str, Any]
    """Checked, with what the settings change of it: `sensors`, `outputs`, `report_s`."""

    @classmethod
    def of(cls, node: NodeSettings, firmware: str = "") -> "Subject":
        """From the bench's settings; `firmware` is this release's program, unless another is wanted."""
        return cls(node, firmware or program_version(), node.kind.profile)

    @property
    def report_s(self) -> int:
        """Seconds between two records."""
        return int(self.profile["report_s"])

    @property
    def fresh_s(self) -> float:
        """How old the newest reading may be: one report may be late, and one more on its way."""
        return 2.5 * self.report_s + 60


@dataclass(frozen=True, slots=True)
class Facts:
    """`device` is None for a device that is not registered; `refused` is None without a key.

    `at` is `time.monotonic` when it was asked.
    """

    device: dict[str, Any] | None
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    registered: frozenset[str] = frozenset()
    ledger: list[dict[str, Any]] = field(default_factory=list)
    undated: int = 0
    refused: list[dict[str, Any]] | None = None
    at: float = 0.0

    @property
    def boot(self) -> str:
        """The node's present boot; "" if it has not introduced itself."""
        return str((self.device or {}).get("boot") or "")

    def value(self, key: str) -> float | None:
        """The newest value of a key; None if there is none."""
        found = self.latest.get(key, {}).get("value")
        return None if found is None else float(found)

    @property
    def up_s(self) -> float | None:
        """Seconds since the node started, by its last health record; None if it has not told."""
        up = self.value("uptime")
        return None if up is None else up + float(self.latest["uptime"]["age_s"])


def fetch(api: Api, subject: Subject) -> Facts:
    """Ask for everything. Raises ApiError, but for a device that is not there."""
    name = subject.node.device
    refused = api.items("deadletters", device=name, open="true", limit=_REFUSED_ROWS) if api.has_key else None
    try:
        device = api.get(f"devices/{name}")
    except MissingError:
        return Facts(None, refused=refused, at=time.monotonic())
    boot = str(device.get("boot") or "")
    undated = api.items("undated", device=name, limit=_ROWS)
    return Facts(
        device=device,
        latest={str(row["key"]): row for row in api.items("latest", device=name, limit=_ROWS)},
        registered=frozenset(
            str(row["key"])
            for row in api.items("datastreams", device=name, limit=_ROWS)
            if row["valid_to"] is None or datetime.fromisoformat(row["valid_to"]).timestamp() > time.time()
        ),
        ledger=api.items("ledger", device=name, limit=_ROWS),
        undated=sum(1 for row in undated if row["boot"] == boot),
        refused=refused,
        at=time.monotonic(),
    )


def program_version() -> str:
    """The version of the node's program that this release brings along."""
    for part in ast.parse((SOURCE / "qytet_node/__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "VERSION":
            return str(ast.literal_eval(part.value))
    raise AssertionError(json.dumps(str(SOURCE)))


def warm_up_s(driver: str) -> float:
    """How long a driver says that its sensor warms up."""
    tree = ast.parse((SOURCE / f"qytet_node/drivers/{driver}.py").read_text(encoding="utf-8"))
    found = [
        float(ast.literal_eval(part.value))
        for part in ast.walk(tree)
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "WARM_UP_MS"
    ]
    return max(found, default=0.0) / 1000
