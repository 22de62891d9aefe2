"""Checks of every source and output: what the running gateway says of it, or what its plug-in finds when it asks."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.errors import SettingsError
from qytet_edge.doctor.scene import Scene
from qytet_edge.inbox import kinds
from qytet_edge.inbox.kinds import SourceConfig

__all__ = ["outputs", "sources"]

_LIMIT_S = 45.0  # a bus with many silent units takes its time
_RECENT_S = 900.0


async def sources(scene: Scene) -> list[tuple[str, Finding]]:
    """Each source's findings with its name: those on one port are asked one after another."""
    ports: dict[str, list[SourceConfig]] = {}
    for one in scene.config.sources:
        ports.setdefault(str(getattr(one, "port", "") or one.name), []).append(one)
    found = await asyncio.gather(*(_in_turn(scene, group) for group in ports.values()))
    return [finding for group in found for finding in group]


def outputs(scene: Scene) -> list[tuple[str, Finding]]:
    """What the running gateway says of its outputs."""
    if scene.running is None:
        return []
    return [(one["name"], _output(one)) for one in scene.running["outputs"]]


async def _in_turn(scene: Scene, group: Sequence[SourceConfig]) -> list[tuple[str, Finding]]:
    found = []
    for one in group:
        told = scene.source(one.name)
        findings = [_told(told, getattr(one, "kind", ""))] if told else await _asked(scene, one)
        found += [(one.name, finding) for finding in findings]
    return found


async def _asked(scene: Scene, one: SourceConfig) -> list[Finding]:
    """Let the plug-in ask its instrument, as the gateway does not run."""
    try:
        module = kinds.load(kinds.SOURCES, getattr(one, "kind", ""))
        probe = getattr(module, "probe", None)
        if probe is None:
            return [warning("it can be tested only by running it", "Start the gateway and ask again.")]
        context = scene.config.context()
        findings: list[Finding] = await asyncio.wait_for(probe(one, context), _LIMIT_S)
    except SettingsError as error:
        return [problem(f"{error.what} {error.why}".strip(), error.do)]
    except TimeoutError:
        return [problem(f"no answer within {_LIMIT_S:.0f} s", "Check the wires, the supply and the address.")]
    except Exception as error:  # noqa: BLE001  one broken plug-in must not hide what the others found
        return [
            problem(f"it cannot be asked: {error}", "Check the port and the wires; or report this as a bug.")
        ]
    return [_tidy(one.name, finding) for finding in findings] or [ok("nothing to be said of it")]


def _tidy(name: str, finding: Finding) -> Finding:
    """Its source's name stands before it already."""
    return replace(finding, what=finding.what.removeprefix(f"Source {name}: ").rstrip("."))


def _told(told: dict[str, Any], kind: str = "") -> Finding:
    """What the running gateway has seen of a source."""
    ages = [one["seen_s"] for one in told["devices"].values() if one["seen_s"] is not None]
    counted = f"{told['records']} records, {told['errors']} errors, {told['restarts']} restarts"
    error = f"; last: {told['last_error']}" if told["last_error"] else ""
    if told["state"] == "stuck":
        return problem(f"it hangs ({counted}{error})", "Unplug its adapter and plug it in again.")
    silent = sorted(
        name
        for name, one in told["devices"].items()
        if one["last_error"] and (one["seen_s"] is None or one["seen_s"] > _RECENT_S)
    )
    if silent:
        return problem(
            f"nothing comes from {', '.join(silent)} ({counted}{error})",
            "Check the supply, the wires and the address of the device.",
        )
    if not ages:
        if told["errors"] or told["restarts"]:
            return problem(f"it has read nothing yet ({counted}{error})", "Check port, wires and supply.")
        return _quiet(told, kind, counted)
    said = f"last reading {min(ages):.0f} s ago ({counted}{error})"
    if min(ages) > _RECENT_S:
        return warning(said, "Longer than a quarter of an hour: is that its interval?")
    return ok(said)


def _quiet(told: dict[str, Any], kind: str, counted: str) -> Finding:
    """Of a source without readings and without errors: some make none, others wait for somebody else."""
    detail = told["detail"]
    if "fix" in detail:  # a satellite receiver gives time and place, no readings
        seen = f"{detail['sentences_good']} sentences, {detail['satellites'] or 0} satellites"
        if detail["fix"]:
            return ok(f"time and place by satellite ({seen})")
        return warning(
            f"no fix yet ({seen})", "Give its antenna a view of the sky, and ask again in ten minutes."
        )
    if kind == "nodes":
        return warning(
            "the local broker is connected; no node that is named in `devices` has said anything new",
            "Is the node on, let in (sudo /opt/qytet-edge/nodes.sh list), and named in `devices`?",
        )
    if kind in ("file", "http"):
        return ok(f"nothing new to read since the start ({counted})")
    return warning(f"it has read nothing yet ({counted})", "Ask again after its interval.")


def _output(told: dict[str, Any]) -> Finding:
    if told["error"]:
        return problem(f"cannot be moved: {told['error']}", "Check its wires and its supply.")
    if told["wanted"] is None:
        return ok("no rule has moved it yet")
    return ok(f"is at {told['is']:g}" if told["is"] is not None else "is being moved")
