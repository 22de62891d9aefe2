"""Acceptance in tests: the nodes that are looked at, and what stands in a record."""

from collections.abc import Callable
from typing import Any

from typer.testing import Result

from qytet.deploy import tls
from qytet_bench.node import NodeSettings, node
from tests.bench_tool.desk import Desk

__all__ = ["AUTHORITY", "NAME", "Accept", "check", "failing", "of"]

AUTHORITY = tls.authority()
NAME = "mqtt.tirana.example"

Accept = Callable[..., tuple[Result, dict[str, Any]]]


def of(desk: Desk, device: str, profile: str = "micromet") -> NodeSettings:
    """A node's settings."""
    return node(desk.settings, device, profile=profile)


def check(record: dict[str, Any], id_: str) -> dict[str, Any]:
    """A check of the record."""
    (found,) = [one for one in record["checks"] if one["id"] == id_]
    assert isinstance(found, dict)
    return found


def failing(record: dict[str, Any]) -> list[str]:
    """The checks that failed."""
    return [one["id"] for one in record["checks"] if one["state"] == "failed"]
