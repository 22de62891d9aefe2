"""Runs all checks side by side, each within a time limit; one that fails or hangs is a finding itself."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from qytet.doctor.finding import Finding, State, ok, problem, warning
from qytet.errors import QytetError, ServerError, SettingsError
from qytet_edge import config as configuration
from qytet_edge import status
from qytet_edge.doctor import city, machine, ports, sources
from qytet_edge.doctor.scene import Scene

__all__ = ["diagnose", "examine"]

_LIMIT_S = 60.0


class _Check(NamedTuple):
    group: str
    name: str
    look: Callable[[Scene], Iterable[Finding]]


_BLOCKING = (
    _Check("gateway", "password", machine.password),
    _Check("wires", "serial port", ports.serial),
    _Check("wires", "pins", ports.pins),
    _Check("machine", "spool", machine.spool),
    _Check("machine", "board", machine.board),
    _Check("city", "registered", city.registered),
)


def diagnose(path: Path) -> list[Finding]:
    """Everything that is found, by group; a configuration that is wrong is the only finding then."""
    try:
        config = configuration.read(path)
    except SettingsError as error:
        return [
            Finding(State.PROBLEM, f"{error.what} {error.why}".strip(), error.do, "gateway", "configuration")
        ]
    counts = f"{len(config.sources)} sources, {len(config.outputs)} outputs, {len(config.rules)} rules"
    head = [_shown("gateway", "configuration", ok(f"{config.path} is right: {counts}"))]
    try:
        running = status.ask(config.data_dir)
        head.append(_shown("gateway", "service", ok("it runs")))
    except ServerError as error:
        running = None
        head.append(_shown("gateway", "service", warning(f"{error.what} {error.why}", error.do)))
    return head + asyncio.run(examine(Scene(config, running)))


async def examine(scene: Scene) -> list[Finding]:
    """All findings about a gateway, grouped."""
    blocking = [_within(check.group, check.name, _in_thread(check, scene)) for check in _BLOCKING]
    found = await asyncio.gather(
        *blocking,
        _within("machine", "clock", machine.clock(scene)),
        _within("city", "broker", city.broker(scene)),
        _named("sources", sources.sources(scene)),
        _named("outputs", _now(sources.outputs(scene))),
    )
    order = {"gateway": 0, "wires": 1, "sources": 2, "outputs": 3, "machine": 4, "city": 5}
    return sorted((one for part in found for one in part), key=lambda one: order[one.group])


async def _in_thread(check: _Check, scene: Scene) -> list[Finding]:
    return await asyncio.to_thread(lambda: list(check.look(scene)))


async def _now(found: list[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    return found


async def _within(group: str, name: str, looking: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        found = await asyncio.wait_for(looking, _LIMIT_S)
    except TimeoutError:
        found = [problem(f"no result within {_LIMIT_S:.0f} s", "Something on the way swallows the answer.")]
    except QytetError as error:
        found = [
            problem(f"{error.what} {error.why}".strip(), error.do or "See docs/how-to/gateway-failures.md.")
        ]
    except Exception as error:  # noqa: BLE001  a broken check is told like any other trouble
        found = [
            problem(f"the check itself failed: {type(error).__name__}: {error}", "Report this as a bug.")
        ]
    return [_shown(group, name, one) for one in found]


async def _named(group: str, looking: Awaitable[list[tuple[str, Finding]]]) -> list[Finding]:
    return [_shown(group, name, one) for name, one in await looking]


def _shown(group: str, name: str, found: Finding) -> Finding:
    return replace(found, group=group, name=name)
