"""The gateway's state as a technician reads it on a terminal."""

import time
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["show_status"]

_MIB = 1 << 20


def show_status(state: dict[str, Any]) -> None:
    """Print what `status` told."""
    console = Console(highlight=False, soft_wrap=True)
    gateway, clock = state["gateway"], state["clock"]
    console.print(
        f"{gateway['name']} ({gateway['city']}), version {gateway['version']}, boot {gateway['boot']}, "
        f"running for {_span(gateway['running_s'])}"
    )
    offset = "" if clock["offset_s"] is None else f", {clock['offset_s']:+.3f} s"
    console.print(
        f"Clock   {'not known' if clock['tq'] == 'none' else clock['tq']} ({clock['source']}){offset}"
    )
    console.print("Uplink  " + _uplink(state["uplink"]))
    for line in _spool(state["spool"]):
        console.print("Spool   " + line)
    console.print()
    console.print(_sources(state["sources"]))
    if state["outputs"]:
        console.print()
        console.print(_outputs(state["outputs"]))
    for event in state["events"][:10]:
        at = (
            time.strftime("%H:%M:%S", time.localtime(event["at_ms"] / 1000)) if event["at_ms"] else "--:--:--"
        )
        console.print(Text(f"{at}  {event['level']:8}{event['event']}"))


def _uplink(uplink: dict[str, Any]) -> str:
    stands = "connected" if uplink["connected"] else "not connected"
    since = f"{stands} to {uplink['broker']} for {_span(uplink['since_s'])}"
    mark = "never" if uplink["last_mark_s"] is None else f"{_span(uplink['last_mark_s'])} ago"
    why = f"; {uplink['refusal']}" if uplink["refusal"] and not uplink["connected"] else ""
    return f"{since}{why}; the city last confirmed {mark}"


def _spool(spool: dict[str, Any]) -> list[str]:
    said = [
        f"{spool['records']:,} records wait ({spool['bytes'] / _MIB:.1f} of {spool['limit_bytes'] / _MIB:.0f} MiB)"
    ]
    if spool["oldest_age_s"] is not None:
        said[0] += f", the oldest for {_span(spool['oldest_age_s'])}"
    if spool["dropped"]:
        said.append(f"{spool['dropped']:,} records were dropped, oldest first, because it was full")
    if spool["full_since_ms"] is not None:
        said.append(f"THE DISK TAKES NOTHING: {spool['full_why']}")
    if spool["set_aside"]:
        said.append(f"corrupt files were set aside: {', '.join(spool['set_aside'])}")
    return said


def _sources(sources: list[dict[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("source", "state", "device", "last reading", "errors", "last error"):
        table.add_column(column, overflow="fold")
    for source in sources:
        table.add_row(
            source["name"], _state(source), "", "", str(source["errors"]), Text(source["last_error"])
        )
        for name, device in source["devices"].items():
            values = ", ".join(f"{key} {value}" for key, value in device["values"].items())
            seen = "never" if device["seen_s"] is None else f"{_span(device['seen_s'])} ago"
            said = f"{seen}: {values}" if values else seen
            table.add_row("", "", name, Text(said), str(device["errors"]), Text(device["last_error"]))
    return table


def _state(source: dict[str, Any]) -> str:
    said = f"{source['state']}, {source['restarts']} restarts" if source["restarts"] else str(source["state"])
    return f"{said}, waits for the disk" if source["waiting_for_disk"] else said


def _outputs(outputs: list[dict[str, Any]]) -> Table:
    table = Table("output", "wanted", "is", "error", box=None, header_style="bold", pad_edge=False)
    for output in outputs:
        table.add_row(output["name"], str(output["wanted"]), str(output["is"]), Text(output["error"] or ""))
    return table


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
