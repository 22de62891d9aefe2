"""The gateway's state as a technician reads it on a terminal: whole sentences, one line a device, as wide as it is."""

import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from qytet_contract.properties import PROPERTIES

__all__ = ["show_status"]

_MIB = 1 << 20
_LABEL = 8  # columns of "Uplink  "
_EVENTS = 10
_TOLD = ("fix", "state", "pulses")
"""What a source tells also while it is 0."""
_STYLES = {"warning": "yellow", "problem": "bold red"}


def show_status(state: dict[str, Any], *, values: bool = False) -> None:
    """Print what `status` told; `values`: each value on a line of its own, with its unit."""
    console = Console(highlight=False, soft_wrap=True)
    for line, style in _lines(state, max(40, console.width), values):
        console.print(Text(line, _STYLES.get(style, style)))


def _lines(state: dict[str, Any], width: int, values: bool) -> Iterator[tuple[str, str]]:
    """Lines of at most so many columns (but for words that are longer), with their styles."""
    gateway = state["gateway"]
    head = (
        f"{gateway['name']} ({gateway['city']}), version {gateway['version']}, boot {gateway['boot']}, "
        f"running for {_span(gateway['running_s'])}"
    )
    yield from _wrapped(head, width)
    for label, said, style in (
        *_clock(state["clock"]),
        *_uplink(state["uplink"], gateway["name"]),
        *_spool(state["spool"]),
    ):
        yield from _wrapped(said, width, label.ljust(_LABEL), style)
    yield "", ""
    for source in state["sources"]:
        if source["name"] != "rules" or source["errors"]:  # the rules themselves follow
            yield from _source(source, width, values)
    if state["rules"] or state["outputs"]:
        yield "", ""
        yield from _rules(state, width)
    if state["events"]:
        yield "", ""
    for event in state["events"][:_EVENTS]:
        style = "warning" if event["level"] in ("warning", "error") else ""
        yield from _wrapped(event["event"], width, _when(event["at_ms"]), style)


def _clock(clock: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    offset = "" if clock["offset_s"] is None else f", {clock['offset_s']:+.3f} s"
    if clock["tq"] == "none":
        yield "Clock", "not known: records carry no time until it is, and are dated later", "warning"
    else:
        source = "" if clock["source"] == clock["tq"] else f" ({clock['source']})"
        yield "Clock", f"{clock['tq']}{source}{offset}", ""


def _uplink(uplink: dict[str, Any], gateway: str) -> Iterator[tuple[str, str, str]]:
    stands = "connected" if uplink["connected"] else "not connected"
    since = f"{stands} to {uplink['broker']} for {_span(uplink['since_s'])}"
    marked = uplink["last_mark_s"]
    mark = "has confirmed nothing yet" if marked is None else f"last confirmed {_span(marked)} ago"
    why = f"; {uplink['refusal']}" if uplink["refusal"] and not uplink["connected"] else ""
    style = "" if uplink["connected"] else "warning"
    yield "Uplink", f"{since}{why}; the city {mark}", style
    for one in uplink["unconfirmed"][:_EVENTS]:
        behind = "" if one["device"] == gateway else f' with gateway = "{gateway}"'
        ask = f"Is it registered there{behind}? `qytet edge doctor` says what to ask."
        waiting = f"{_count(one['records'], 'record')} waiting for {_span(one['for_s'])}"
        yield "", f"THE CITY CONFIRMS NOTHING of {one['device']}: {waiting}. {ask}", "problem"


def _spool(spool: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    said = f"{_count(spool['records'], 'record')} waiting"
    if spool["records"] and spool["oldest_age_s"] is not None:
        said += f", the oldest for {_span(spool['oldest_age_s'])}"
    yield "Spool", f"{said} ({spool['bytes'] / _MIB:.1f} of {spool['limit_bytes'] / _MIB:.0f} MiB)", ""
    if spool["dropped"]:
        yield (
            "",
            f"{_count(spool['dropped'], 'record')} dropped, oldest first, because it was full",
            "warning",
        )
    if spool["full_since_ms"] is not None:
        yield "", f"THE DISK TAKES NOTHING, new readings wait: {spool['full_why']}", "problem"
    if spool["set_aside"]:
        yield "", f"corrupt files were set aside: {', '.join(spool['set_aside'])}", "warning"


def _source(source: dict[str, Any], width: int, values: bool) -> Iterator[tuple[str, str]]:
    devices = source["devices"]
    style = "warning" if source["state"] in ("waiting", "stuck") or source["waiting_for_disk"] else ""
    yield from _wrapped(f"{source['name']}: {_state(source)}", width, "", style or "bold")
    yield from _wrapped(_detail(source["detail"]), width, "  ")
    longest = max((len(name) for name in devices), default=0)
    for name, device in devices.items():
        yield from _device(name.ljust(longest), device, width, values)
    if source["last_error"] and source["last_error"] not in {one["last_error"] for one in devices.values()}:
        yield from _wrapped(f"last error: {source['last_error']}", width, "  ", "warning")


def _device(name: str, device: dict[str, Any], width: int, values: bool) -> Iterator[tuple[str, str]]:
    seen = "never" if device["seen_s"] is None else f"{_span(device['seen_s'])} ago"
    head = f"  {name}  {seen}"
    found = device["values"]
    yield (f"{head}: {_clipped(found, width - len(head) - 2)}" if found and not values else head), ""
    if values:
        longest = max(map(len, found), default=0)
        for key, value in found.items():
            yield f"    {key:<{longest}}  {_number(value)} {_unit(key)}".rstrip(), ""
    if device["errors"]:
        said = f"{_count(device['errors'], 'error')}, last: {device['last_error']}"
        yield from _wrapped(said, width, "    ", "warning")


def _clipped(values: Mapping[str, Any], room: int) -> str:
    """As many values as fit, the first one at least, and how many are left out."""
    said = [f"{key} {_number(value)}" for key, value in values.items()]
    for shown in range(len(said), 1, -1):
        left = f", … {len(said) - shown} more" if shown < len(said) else ""
        line = ", ".join(said[:shown]) + left
        if len(line) <= room:
            return line
    return said[0] + (f", … {len(said) - 1} more" if len(said) > 1 else "")


def _state(source: dict[str, Any]) -> str:
    said = [str(source["state"])]
    if source["restarts"]:
        said.append(_count(source["restarts"], "restart"))
    if source["errors"]:
        said.append(_count(source["errors"], "error"))
    if source["waiting_for_disk"]:
        said.append("WAITS FOR THE DISK")
    return ", ".join(said)


def _rules(state: dict[str, Any], width: int) -> Iterator[tuple[str, str]]:
    for rule in state["rules"]:
        since = "" if rule["since_s"] is None else f" for {_span(rule['since_s'])}"
        said = f"rule {rule['name']}: {rule['position']}{since}; {'; '.join(rule['conditions'])}"
        yield from _wrapped(said, width, "", "warning" if rule["position"] == "failed" else "")
    for output in state["outputs"]:
        wanted, now = output["wanted"], output["is"]
        said = "not moved yet" if wanted is None else f"wanted {wanted:g}, "
        said += "" if wanted is None else f"is {now:g}" if now is not None else "is not known"
        error = f"; {output['error']}" if output["error"] else ""
        yield from _wrapped(f"output {output['name']}: {said}{error}", width, "", "warning" if error else "")


def _detail(told: Mapping[str, Any]) -> str:
    """What a plug-in tells beside its readings; what counts bad things only once there are some."""
    return ", ".join(
        f"{key.replace('_', ' ')} {_number(value)}"
        for key, value in told.items()
        if value or (value == 0 and (key in _TOLD or key.endswith("_good")))
    )


def _number(value: Any) -> str:
    """Seven digits, as much as an instrument's 32 bits hold; whole numbers whole."""
    if value is None:
        return "no value"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _unit(key: str) -> str:
    """The catalogue's unit of a key; "" if it has none or is unknown."""
    found = PROPERTIES.get(key.split(":")[0])
    return "" if found is None or found[0] == "1" or found[0].startswith("{") else found[0]


def _wrapped(text: str, width: int, label: str = "", style: str = "") -> Iterator[tuple[str, str]]:
    """Its lines, those after the first below its beginning."""
    lines = textwrap.wrap(
        " ".join(text.split()), max(20, width - len(label)), break_long_words=False, break_on_hyphens=False
    )
    for number, line in enumerate(lines):
        yield (label if not number else " " * len(label)) + line, style


def _when(at_ms: int | None) -> str:
    """The time of an event, with the day if it is another one."""
    if not at_ms:
        return "--:--:--  "
    at = time.localtime(at_ms / 1000)
    today = at[:3] == time.localtime()[:3]
    return time.strftime("%H:%M:%S  " if today else "%Y-%m-%d %H:%M  ", at)


def _count(number: int, what: str) -> str:
    """`1 record`, `12,345 records`; `no records`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else f"no {what}s"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
