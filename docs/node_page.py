"""The generated part of docs/reference/node.md: boards with their pins, profiles with their sensors, drivers.

Read from what is put onto boards: the JSON of boards and profiles, the drivers' own words and constants.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DEVICE = Path(__file__).parents[1] / "firmware/device"


def page() -> str:
    """Three chapters."""
    return "".join([*_boards(), *_profiles(), *_drivers()])


def _boards() -> Iterator[str]:
    yield "\n## Boards\n"
    for path in sorted(DEVICE.glob("boards/*.json")):
        board = json.loads(path.read_text())
        yield f"\n### `{path.stem}`\n\nChip: `{board['chip']}`.\n\n| name in profiles | GPIO |\n|---|---|\n"
        for name, number in board["pins"].items():
            yield f"| `pin:{name}` | {number} |\n"
        for kind in ("i2c", "uart"):
            for name, lines in board[kind].items():
                yield f"| `{name}` | {_lines(lines)} |\n"


def _lines(lines: Mapping[str, int]) -> str:
    return ", ".join(
        f"{value / 1000:g} kHz" if line == "hz" else f"{line.upper()} {value}"
        for line, value in lines.items()
    )


def _profiles() -> Iterator[str]:
    units = dict(line.split(" ", 1) for line in (DEVICE / "profiles/units.txt").read_text().splitlines())
    yield "\n## Profiles\n"
    for path in sorted(DEVICE.glob("profiles/*.json")):
        profile = json.loads(path.read_text())
        yield f"\n### `{path.stem}`\n\nA record every {profile['report_s']} s.\n\n"
        yield "| sensor | driver | wired to | every | readings |\n|---|---|---|---|---|\n"
        for row in profile["sensors"]:
            readings = ", ".join(_reading(key, rule, units) for key, rule in row["keys"].items())
            yield f"| {row['name']} | `{row['driver']}` | `{row['bus']}` | {row['every_s']} s | {readings} |\n"
        for row in profile.get("outputs", ()):
            yield f"\nOutput `{row['name']}`: {row['kind']} on `pin:{row['pin']}`, told as `{row['key']}`.\n"


def _reading(key: str, rule: str, units: Mapping[str, str]) -> str:
    return f"`{key}` ({units[key.partition(':')[0]]}, {rule.partition(' ')[0]})"


def _drivers() -> Iterator[str]:
    """Those that a profile may name: the table in the node's own `parts.py`."""
    yield "\n## Drivers\n"
    module = ast.parse((DEVICE / "qytet_node/parts.py").read_text())
    for line in sorted(_constants(module)["DRIVERS"].split("\n")):
        if line:
            name, kind, *_ = line.split()
            yield from _driver(name, kind)


def _driver(name: str, kind_name: str) -> Iterator[str]:
    module = ast.parse((DEVICE / f"qytet_node/drivers/{name}.py").read_text())
    kind = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == kind_name)
    yield f"\n### `{name}`\n\n{_words(module)}\n\n{_words(kind)}\n\n"
    facts = {fact: value for fact, value in _constants(kind).items() if isinstance(value, int)}
    if warm_up := facts.get("WARM_UP_MS"):
        yield f"- warms up for {_seconds(warm_up)}\n"
    if least := facts.get("MIN_INTERVAL_MS"):
        yield f"- is asked every {_seconds(least)} at most\n"
    yield f"- options: {', '.join(_options(kind, _constants(module))) or 'none'}\n"


def _words(node: ast.Module | ast.ClassDef) -> str:
    """Its docstring, lists kept as lists, `ug/m3` and the like as they are."""
    text = ast.get_docstring(node) or ""
    return "\n".join(line.replace("<", "&lt;") for line in text.splitlines())


def _constants(kind: ast.Module | ast.ClassDef) -> dict[str, Any]:
    found = {}
    for node in kind.body:
        if isinstance(node, ast.Assign):
            try:
                found[ast.unparse(node.targets[0])] = ast.literal_eval(node.value)
            except ValueError:
                continue  # computed, so it depends on the options
    return found


def _options(kind: ast.ClassDef, known: Mapping[str, Any]) -> Iterator[str]:
    """Parameters that a profile may give: those with a default; what a driver hangs on has none."""
    made = next(
        (node for node in kind.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None
    )
    if made is None:
        return
    arguments = [*made.args.args, *made.args.kwonlyargs]
    defaults = [*made.args.defaults, *made.args.kw_defaults]
    for argument, default in zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True):
        if argument.arg not in ("clock", "store") and default is not None:
            text = ast.unparse(default)
            yield f"`{argument.arg}` ({hex(known[text]) if text in known else text})"


def _seconds(ms: int) -> str:
    return f"{ms / 3600000:g} h" if ms >= 3600000 else f"{ms / 1000:g} s"
