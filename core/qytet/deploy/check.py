"""`qytet deploy check`: what can be known about a deployment without starting it."""

import datetime as dt
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from qytet.deploy import composition, passwords, tls
from qytet.deploy.create import CERTIFICATE, INNER_HOSTS
from qytet.deploy.credentials import BROKER_USERS, CREDENTIALS
from qytet.deploy.layout import Layout
from qytet.deploy.services import service_findings
from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.embedded.ports import free_port
from qytet.errors import QytetError

__all__ = ["check", "local_configuration"]

_RENEW_BEFORE = dt.timedelta(days=30)
_BROKER_STARTS = 30.0  # s; a broker that has said nothing for so long, and has not ended, is taken to run
_LOOKS = 0.05  # s between two looks at what it has said
_RUNS = re.compile(rb"mosquitto version \S+ running")
_TAKEN = "Address already in use"
_PORTS = 5  # are tried: what was free when we looked may be another's when the broker asks for it


def check(root: Path) -> list[Finding]:
    """Every finding about the deployment in `root`; raises nothing."""
    layout = Layout(root)
    groups: list[tuple[str, Callable[[Layout], Iterable[Finding]]]] = [
        ("compose.yaml", _compose),
        (".env", _environment),
        ("secrets", _secrets),
        ("certificates", _certificates),
        ("broker", _broker),
    ]
    findings: list[Finding] = []
    for group, function in groups:
        try:
            found = list(function(layout))
        except QytetError as error:
            found = [problem(f"{error.what} {error.why}".strip(), error.do or "Mend the file.")]
        except OSError as error:
            found = [problem(str(error), "Run `qytet deploy init`, or mend the permissions.")]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            found = [
                problem(
                    f"a part has a form that is not known here ({why})",
                    "Write it as the committed file does.",
                )
            ]
        findings += [_grouped(group, finding) for finding in found]
    return findings


def _grouped(group: str, finding: Finding) -> Finding:
    return Finding(finding.state, finding.what, finding.do, finding.group or group, finding.name or group)


def _compose(layout: Layout) -> Iterable[Finding]:
    variables = {**composition.read_variables(layout.env), **os.environ}
    document = composition.read(layout.compose, variables)
    yield from service_findings(document, layout.root)
    for name, secret in document.get("secrets", {}).items():
        if not (layout.root / secret["file"]).is_file():
            yield problem(
                f"the file {secret['file']} of the secret {name} does not exist", "qytet deploy init"
            )
    yield from _build(document, layout)


def _build(document: composition.Composition, layout: Layout) -> Iterable[Finding]:
    builds = [service["build"] for service in document["services"].values() if "build" in service]
    for build in builds[:1]:  # one image for all
        dockerfile = layout.root / build["context"] / build["dockerfile"]
        if not dockerfile.is_file():
            yield problem(
                f"{dockerfile} does not exist", "Deploy from a checkout, or name a published image."
            )


def _environment(layout: Layout) -> Iterable[Finding]:
    used = composition.variables_used(layout.compose)
    known = composition.read_variables(layout.env_example)
    chosen = composition.read_variables(layout.env)
    for name in sorted(set(used) - set(known)):
        yield problem(f"{name} is not described in .env.example", "Describe it there.")
    for name in sorted((set(known) | set(chosen)) - set(used)):
        yield warning(f"{name} is set and compose.yaml does not use it", "Remove it, or mend its spelling.")
    missing = [
        name for name, needed in used.items() if needed and not (chosen.get(name) or os.environ.get(name))
    ]
    for name in missing:
        yield problem(f"{name} is not set", "Run `qytet deploy init`.")
    if chosen.get("QYTET_UID") == "0":
        yield problem("QYTET_UID is 0: the services would run as root", "Set it to the owner of the secrets.")
    elif not missing:
        yield ok(f"{len(used)} variables, all described")


def _secrets(layout: Layout) -> Iterable[Finding]:
    uid = composition.read_variables(layout.env).get("QYTET_UID", "")
    wrong = 0
    files = [path for path in sorted(layout.secrets.rglob("*")) if path.is_file()]
    expected = [layout.secrets / credential.file for credential in CREDENTIALS]
    for path in [*files, *(file for file in expected if not file.exists())]:
        for finding in _secret(path, uid):
            wrong += 1
            yield finding
    if not wrong:
        yield ok(f"{len(files)} files, each readable by its owner only")


def _secret(path: Path, uid: str) -> Iterable[Finding]:
    if not path.exists():
        yield problem(f"{path.name} is missing", "Run `qytet deploy init`.")
        return
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & 0o077:
        yield problem(
            f"{path.name} can be read by others ({stat.filemode(found.st_mode)})", f"chmod 600 {path}"
        )
    if uid and str(found.st_uid) != uid:
        yield problem(
            f"{path.name} belongs to {found.st_uid}, the services run as {uid}", f"chown {uid} {path}"
        )
    if found.st_size == 0:
        yield problem(f"{path.name} is empty", "Delete it and run `qytet deploy init`.")


def _certificates(layout: Layout) -> Iterable[Finding]:
    ca = layout.ca_certificate.read_bytes()
    server = (layout.broker_secrets / "server.crt").read_bytes()
    yield from _dates(
        "authority", tls.summary(ca), "qytet deploy init --rotate authority, then tell every device"
    )
    summary = tls.summary(server)
    yield from _dates("broker", summary, "qytet deploy init --rotate broker-certificate")
    if not tls.signed_by(server, ca):
        yield problem("the authority did not sign the broker's certificate", "qytet deploy init")
    if not tls.fits((layout.broker_secrets / "server.key").read_bytes(), server):
        yield problem("the broker's key does not belong to its certificate", "qytet deploy init")
    lacking = [host for host in INNER_HOSTS if host not in summary.hosts]
    if lacking:
        yield problem(
            f"the broker's certificate lacks {', '.join(lacking)}",
            f"qytet deploy init --rotate {CERTIFICATE}",
        )
    if set(summary.hosts) == set(INNER_HOSTS):
        yield warning(
            "the broker's certificate names this machine only: no device can trust it from elsewhere",
            "qytet deploy init --rotate broker-certificate --host NAME",
        )


def _dates(whose: str, summary: tls.Summary, do: str) -> Iterable[Finding]:
    now, until = dt.datetime.now(dt.UTC), f"{summary.not_after:%Y-%m-%d}"
    if now < summary.not_before:
        yield problem(f"{whose}: not valid before {summary.not_before:%Y-%m-%d}", "Set this machine's clock.")
    elif now >= summary.not_after:
        yield problem(f"{whose}: expired on {until}", do)
    elif summary.not_after - now < _RENEW_BEFORE:
        yield warning(f"{whose}: expires on {until}", do)
    else:
        yield ok(f"{whose}: valid until {until}")


def _broker(layout: Layout) -> Iterable[Finding]:
    users = passwords.parse((layout.broker_secrets / "passwords").read_text(encoding="utf-8"))
    for user in (user for user in BROKER_USERS if user not in users):
        yield problem(f"the broker does not know the user {user}", "Run `qytet deploy init`.")
    program = shutil.which(
        "mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    )
    if program is None:
        yield ok(f"{len(users) - len(BROKER_USERS)} devices; no mosquitto here that could try mosquitto.conf")
        return
    with tempfile.TemporaryDirectory(prefix="qytet-broker-") as folder:
        for _ in range(_PORTS):
            file = local_configuration(layout, Path(folder), free_port())
            said = _refusal([program, "-c", str(file)])
            if _TAKEN not in said:
                break
    if said:
        yield problem(f"mosquitto refuses mosquitto.conf: {said}", "Mend deploy/broker/mosquitto.conf.")
    else:
        yield ok(f"mosquitto accepts mosquitto.conf; {len(users) - len(BROKER_USERS)} devices")


def local_configuration(layout: Layout, folder: Path, port: int) -> Path:
    """Write mosquitto.conf as it stands, but for this host: its paths, and a port of the loopback interface."""
    text = (layout.broker_configuration / "mosquitto.conf").read_text(encoding="utf-8")
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1")
    text = text.replace("/mosquitto/config/", f"{layout.broker_configuration.absolute()}/")
    text = text.replace("/mosquitto/secrets/", f"{layout.broker_secrets.absolute()}/")
    text = text.replace("/mosquitto/data/", f"{folder.absolute()}/")
    text += "\nlog_dest stderr\nlog_type information\n"  # among what it says then is that it runs
    if os.geteuid() == 0:
        text += "user root\n"  # else it becomes a user who may not read the secrets
    file = folder / "mosquitto.conf"
    file.write_text(text, encoding="utf-8")
    return file


def _refusal(command: list[str]) -> str:
    """What a broker says when it ends by itself; nothing if it runs (it is then stopped)."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as broker:
        deadline = time.monotonic() + _BROKER_STARTS
        while True:
            try:
                _, said = broker.communicate(timeout=_LOOKS)
                break
            except subprocess.TimeoutExpired as still:
                if not _RUNS.search(still.stderr or b"") and time.monotonic() < deadline:
                    continue
            broker.send_signal(signal.SIGTERM)
            broker.communicate()
            return ""
    lines = said.strip().splitlines()
    return lines[-1] if lines else f"exit code {broker.returncode}"
