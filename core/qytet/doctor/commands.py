"""`qytet doctor`: one command, no sub-commands."""

from typing import Annotated

import typer

from qytet import settings
from qytet.doctor.context import Context
from qytet.doctor.finding import Finding, State
from qytet.doctor.runner import run
from qytet.doctor.show import show
from qytet.doctor.table import CHECKS
from qytet.errors import InputError, SettingsError

__all__ = ["app"]

app = typer.Typer(help="Check settings, host, servers and services, and say how to mend what is wrong.")

_GROUPS = tuple(dict.fromkeys(check.group for check in CHECKS))


@app.callback(invoke_without_command=True)
def doctor(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Only this group; may be repeated: {', '.join(_GROUPS)}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Check settings, host, servers and services. Exit code 1 if there is a problem; warnings are no problem."""
    unknown = sorted(set(only or ()) - set(_GROUPS))
    if unknown:
        raise InputError(f"There is no group {unknown[0]!r}.", do=f"Choose among {', '.join(_GROUPS)}.")
    checks = [check for check in CHECKS if not only or check.group in only]
    try:
        context = Context(settings.load())
    except SettingsError as error:
        show(
            [Finding(State.PROBLEM, f"{error.what} {error.why}".strip(), error.do, "settings", "values")],
            as_json=as_json,
        )
        return
    show(run(checks, context), as_json=as_json)
