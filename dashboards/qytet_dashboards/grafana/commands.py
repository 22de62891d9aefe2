"""`qytet dashboards push`, `diff`, `pull-check` and `permissions`: our dashboards in a Grafana that runs."""

import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn

from qytet.errors import InputError
from qytet_dashboards.grafana import alert_files, files, folders, report, survey, takeover
from qytet_dashboards.grafana.access import Access
from qytet_dashboards.grafana.findings import Finding
from qytet_dashboards.grafana.push import Account, carry_out
from qytet_dashboards.grafana.server import connect
from qytet_dashboards.grafana.where import resolve

__all__ = ["register"]

Url = Annotated[
    str, typer.Option(help="https://host[:port][/path] of Grafana; else the setting grafana.url.")
]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with the token; else QYTET_GRAFANA__TOKEN or a secret file.")
]
Http = Annotated[bool, typer.Option("--insecure-http", help="Permit http:// to another machine.")]
Folder = Annotated[Path | None, typer.Option(help="The generated files; default: the package's own.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written; write nothing.")]
Alerts = Annotated[bool, typer.Option("--alerts/--no-alerts", help="Alert rules, too.")]
Points = Annotated[bool, typer.Option("--contact-points", help="Contact points and templates, too.")]
Policies = Annotated[
    bool, typer.Option("--policies", help="The tree of notification policies, too: replaced whole.")
]
Editable = Annotated[
    bool,
    typer.Option(
        "--editable-alerts", help="Leave alerting unlocked in Grafana's pages (X-Disable-Provenance)."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the four commands to the `dashboards` group."""
    for command in (push, diff, permissions):
        app.command()(command)
    app.command("pull-check")(pull_check)


def push(
    url: Url = "",
    token_file: TokenFile = None,
    insecure_http: Http = False,
    folder: Folder = None,
    overwrite_edited: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Overwrite this one though edited by hand; may be repeated."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite everything that was edited by hand.")
    ] = False,
    alerts: Alerts = True,
    contact_points: Points = False,
    policies: Policies = False,
    editable_alerts: Editable = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Bring folders, dashboards and alert rules to a running Grafana; what is the same is not written.

    Exit code 1 if something was kept because it was edited by hand, or could not be written.
    """
    scope = survey.Scope(alerts, contact_points, policies, editable_alerts)
    known = files.read(folder or files.PROVISIONED)
    alerting = alert_files.read(known.root, known.folders, contact_points=contact_points, policies=policies)
    told = overwrite_edited or []
    _known_uids(told, known, alerting)
    account = Account()
    with connect(resolve(url, token_file, insecure_http=insecure_http)) as server:
        lacking = survey.no_datasource(server)
        findings = _looked(survey.everything(server, known, alerting, scope), as_json)
        _carry_out(findings, account, as_json, told=told, force=force, dry_run=dry_run)
    notes = [f"{name} is not set: alerting gets nothing in its place." for name in alerting.unset]
    if lacking:
        notes.append(f"No data source has the uid {survey.DATASOURCE}: panels stay empty until one has.")
    _close(account, as_json, notes)


def diff(
    url: Url = "",
    token_file: TokenFile = None,
    insecure_http: Http = False,
    folder: Folder = None,
    alerts: Alerts = True,
    contact_points: Points = False,
    policies: Policies = False,
    editable_alerts: Editable = False,
    as_json: AsJson = False,
) -> None:
    """Show what a push would change, panel by panel (- on the server, + in the files). Exit code 1 if anything."""
    scope = survey.Scope(alerts, contact_points, policies, editable_alerts)
    known = files.read(folder or files.PROVISIONED)
    alerting = alert_files.read(known.root, known.folders, contact_points=contact_points, policies=policies)
    with connect(resolve(url, token_file, insecure_http=insecure_http)) as server:
        findings = _looked(survey.everything(server, known, alerting, scope), as_json)
    different = [finding for finding in findings if finding.state != "same"]
    if as_json:
        _json({"different": bool(different), "findings": [report.as_json(each) for each in findings]})
    else:
        console = _console()
        report.show_findings(console, [each for each in findings if each.state != "same" or each.note])
        console.print(f"{len(different)} of {len(findings)} differ")
    raise typer.Exit(1 if different else 0)


def pull_check(
    url: Url = "",
    token_file: TokenFile = None,
    insecure_http: Http = False,
    folder: Folder = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the JSON of edited dashboards there, for review."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell which dashboards were edited by hand since they were pushed. Exit code 1 if any."""
    known = files.read(folder or files.PROVISIONED)
    with connect(resolve(url, token_file, insecure_http=insecure_http)) as server:
        findings = _looked(survey.boards(server, known), as_json)
        others = survey.strangers(server, known)
    edited = [finding for finding in findings if finding.state == "edited"]
    written = takeover.save(write, edited) if write and edited else []
    if as_json:
        found = [report.as_json(each) for each in edited]
        _json({"edited": found, "unknown": others, "written": [str(path) for path in written]})
    else:
        _show_edited(edited, others, written)
    raise typer.Exit(1 if edited else 0)


def permissions(
    url: Url = "",
    token_file: TokenFile = None,
    insecure_http: Http = False,
    folder: Folder = None,
    team: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER=NAME", help="Another name for the team of a city's folder; may be repeated."
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a team for each city, and let it see the city's folder and the shared one."""
    known = files.read(folder or files.PROVISIONED)
    names = _team_names(team or [], known)
    account = Account()
    with connect(resolve(url, token_file, insecure_http=insecure_http)) as server:
        there = folders.located(server, known.folders)
        access = Access(server, there, names, files.SHARED | (there.keys() - known.folders.keys()))
        # In turn, as each looks at what the one before has made.
        stages: tuple[Callable[[], list[Finding]], ...] = (
            partial(folders.examine, server, there),
            access.teams,
            access.folders,
        )
        for stage in stages:
            if account.interrupted or account.stopped:
                break
            _carry_out(stage(), account, as_json, dry_run=dry_run)
    _close(account, as_json, [])


def _known_uids(told: list[str], known: files.Files, alerting: alert_files.Alerting) -> None:
    """Refuse a uid that no file holds: it would be a slip, and the wrong one might be meant."""
    there = {board.uid for board in known.boards} | {
        f"{group.folder}/{group.name}" for group in alerting.groups
    }
    if wrong := [uid for uid in told if uid not in there]:
        raise InputError(
            f"--overwrite-edited names what no file holds: {', '.join(wrong)}.",
            do="`qytet dashboards pull-check` lists what was edited.",
        )


def _team_names(given: list[str], known: files.Files) -> dict[str, str]:
    names: dict[str, str] = {}
    for each in given:
        uid, equals, name = each.partition("=")
        if not equals or not name.strip() or uid not in known.folders or uid in files.SHARED:
            cities = ", ".join(uid for uid in known.folders if uid not in files.SHARED)
            raise InputError(f"--team {each} is not FOLDER=NAME.", do=f"The cities' folders are: {cities}.")
        names[uid] = name.strip()
    return names


def _looked(looks: Iterable[survey.Thunk], quiet: bool) -> list[Finding]:
    """Take every look, with a line of progress on a terminal."""
    found: list[Finding] = []
    with _progress(quiet) as progress:
        task = progress.add_task("reads", total=None, what="")
        for what, look in looks:
            progress.update(task, what=what)
            found += look()
    return found


def _carry_out(
    findings: list[Finding],
    account: Account,
    quiet: bool,
    *,
    told: list[str] | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> None:
    with _progress(quiet) as progress:
        task = progress.add_task("writes", total=None, what="")
        step: Callable[[Finding], object] = lambda each: progress.update(task, what=each.uid)  # noqa: E731
        carry_out(findings, account, told=told or [], force=force, dry_run=dry_run, progress=step)


def _progress(quiet: bool) -> Progress:
    """On standard error, gone when done; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), TextColumn("{task.fields[what]}", markup=False))
    return Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)


def _close(account: Account, as_json: bool, notes: list[str]) -> None:
    """Report, then end with the right code: 130 interrupted, 1 not complete."""
    if as_json:
        steps = [report.step_json(step) for step in account.steps]
        _json(
            {"complete": account.complete, "interrupted": account.interrupted, "steps": steps, "notes": notes}
        )
    else:
        console = _console()
        report.show_account(console, account)
        for note in notes:
            console.print(note)
    if account.interrupted:
        raise typer.Exit(130)
    if not account.complete:
        raise typer.Exit(1)


def _show_edited(edited: list[Finding], others: list[dict[str, str]], written: list[Path]) -> None:
    console = _console()
    report.show_findings(console, edited)
    for other in others:
        console.print(
            f"unknown     dashboard {other['uid']}  {other['title']} (tagged qytet, in no file)", markup=False
        )
    for path in written:
        console.print(f"wrote       {path}", markup=False)
    console.print(f"{len(edited)} edited by hand" if edited else "none edited by hand")
    if edited and not written:
        console.print("--write FOLDER puts their JSON into a folder, for review.")


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _json(content: object) -> None:
    typer.echo(json.dumps(content, ensure_ascii=False))
