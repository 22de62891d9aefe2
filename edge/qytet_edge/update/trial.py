"""What is on trial, and what became of it, as files that a POSIX shell can read too (edge/deploy/guard.sh).

trial/info          key=value lines: id, kind (release or config), from, to, ident (of the city's command, or empty)
trial/starts/NN     one for each start that the new one gets; the guard takes one away at each start
trial/checks/NN     one for each minute that it gets; the guard takes one away at each look
trial/back          release: a link as `current` was. (config: the old file lies beside the new one as *.back)
trial/reverted      the outcome, if it comes to that
trial/committed     the outcome, if the evidence comes

The folder is made whole and appears by one rename. From then on the guard only renames and removes, so it works on a
full disk too. `outcome` has the same form: id, kind, to, ident, result (done or failed), why.
"""

import secrets
from pathlib import Path

from qytet.errors import InputError
from qytet_edge.update import disk
from qytet_edge.update.layout import Layout

__all__ = ["CHECKS", "STARTS", "begin", "fail", "read"]

STARTS, CHECKS = 5, 30
"""How often the new one may start, and how many minutes it has, before the city must have stored a record of it."""
MAX_CHECKS = 14 * 24 * 60


def begin(
    layout: Layout,
    kind: str,
    old: str,
    new: str,
    *,
    ident: str = "",
    starts: int = STARTS,
    checks: int = CHECKS,
) -> None:
    """Let the trial of `new` begin. Raises InputError if there is one already, or a number is out of range."""
    if layout.trial.exists():
        raise InputError("Something is on trial already.", do="Wait for its end: qytet edge update status")
    if not (1 <= starts <= 100 and 1 <= checks <= MAX_CHECKS):
        raise InputError(f"A trial has 1 to 100 starts and 1 to {MAX_CHECKS} minutes.")
    named = {"id": secrets.token_hex(8), "kind": kind, "from": old, "to": new, "ident": ident}
    made = layout.trial.with_name("trial.partial")
    disk.remove(made)
    disk.make_folder(made)
    _count(made / "starts", starts)
    _count(made / "checks", checks)
    if kind == "release":
        disk.link(made / "back", f"releases/{old}")
    why = f"went back to {old[:64]}: no record of the new one was stored in time"
    disk.write(made / "reverted", _lines(named | {"result": "failed", "why": why}))
    disk.write(made / "committed", _lines(named | {"result": "done", "why": ""}))
    disk.write(made / "info", _lines(named))
    disk.sync()
    disk.rename(made, layout.trial)


def fail(layout: Layout, kind: str, new: str, ident: str, why: str) -> None:
    """Keep that an update came to nothing before it went on trial."""
    named = {
        "id": secrets.token_hex(8),
        "kind": kind,
        "to": new,
        "ident": ident,
        "result": "failed",
        "why": why,
    }
    disk.write(layout.outcome, _lines(named))


def read(path: Path) -> dict[str, str]:
    """The lines of `trial/info` or `outcome`; empty if there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _count(folder: Path, number: int) -> None:
    disk.make_folder(folder)
    for index in range(number):
        (folder / f"{index:05}").touch()


def _lines(named: dict[str, str]) -> bytes:
    """One line each; what could end a line becomes a space."""
    return "".join(f"{key}={' '.join(value.split())}\n" for key, value in named.items()).encode()
