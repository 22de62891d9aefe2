"""The generated part of docs/reference/commands.md: every command and option as the program declares them."""

from collections.abc import Iterator
from typing import Any

import typer

from qytet import cli

__all__ = ["commands", "page"]


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, groups before their members."""
    cli.add_plugins(strict=True)
    yield from _walk("qytet", typer.main.get_command(cli.app))


def page() -> str:
    """A heading, the help and a table of arguments and options for each command."""
    return "".join(_entry(name, command) for name, command in commands())


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner in sorted(getattr(command, "commands", {})):
        yield from _walk(f"{name} {inner}", command.commands[inner])


def _entry(name: str, command: Any) -> str:
    level = "##" if name.count(" ") < 2 else "###"
    lines = [f"\n{level} `{name}`\n", (command.help or "").strip().replace("\n\n", "\n\n"), ""]
    params = [param for param in command.params if not getattr(param, "hidden", False)]
    params = [param for param in params if param.name != "help"]
    if params:
        lines += ["| argument or option | default | meaning |", "|---|---|---|", *map(_row, params), ""]
    return "\n".join(lines)


def _row(param: Any) -> str:
    is_argument = param.param_type_name == "argument"
    names = [param.metavar or param.name.upper()] if is_argument else [*param.opts, *param.secondary_opts]
    names = [name.replace("|", "\\|") for name in names]
    help_text = (getattr(param, "help", "") or "").replace("|", "\\|")
    return f"| {', '.join(f'`{name}`' for name in names)} | {_default(param)} | {help_text} |"


def _default(param: Any) -> str:
    if param.required:
        return "(required)"
    value = None if callable(param.default) else param.default
    if value in (None, "", False, ()) or type(value).__name__ == "Sentinel":
        return ""
    return f"`{value}`"
