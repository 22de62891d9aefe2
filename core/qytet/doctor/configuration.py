"""Checks of the settings: where they come from, and whether any of them is unsafe."""

import ipaddress
import os
import stat
from pathlib import Path

from qytet import settings as sources
from qytet.doctor.context import Context
from qytet.doctor.finding import Finding, ok, problem, warning

__all__ = ["exposure", "origin"]


def origin(_context: Context) -> list[Finding]:
    """The sources that were read; names only, never values."""
    file, folder = sources.file_path(), sources.secrets_dir()
    names = sorted(name for name in os.environ if name.startswith("QYTET_"))
    said = [f"file {file.absolute()}" if file.is_file() else f"no file {file}"]
    if folder is not None:
        said.append(f"secret files in {folder}")
    said.append(f"environment: {', '.join(names)}" if names else "nothing in the environment")
    findings = [ok("; ".join(said))]
    private = [path for path in (file, *_files(folder)) if path.is_file() and _others_may_read(path)]
    if any(_holds_secret(path, is_secret=path != file) for path in private):
        paths = ", ".join(str(path) for path in private)
        findings.append(warning(f"others may read secrets in {paths}", f"chmod 600 {paths}"))
    return findings


def _files(folder: Path | None) -> list[Path]:
    return sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []


def _others_may_read(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IROTH)


def _holds_secret(path: Path, *, is_secret: bool) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return is_secret or "operator_token" in text or "://" in text


def exposure(context: Context) -> list[Finding]:
    """What listens beyond this machine is protected."""
    api, ingest = context.settings.api, context.settings.ingest
    findings = []
    if not _is_loopback(api.host) and not api.operator_token.get_secret_value():
        findings.append(
            problem(f"the API is to listen on {api.host} without a token", "Set [api] operator_token.")
        )
    if not _is_loopback(ingest.http_host):
        findings.append(
            warning(
                f"ingest's metrics are to listen on {ingest.http_host}",
                "Make sure that only Prometheus gets there.",
            )
        )
    token = api.operator_token.get_secret_value()
    if token and len(token) < 24:
        findings.append(warning("the operator token is short", "Make a random one: `openssl rand -hex 24`."))
    return findings or [ok("nothing of ours listens beyond this machine unprotected")]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
