"""Writes what was edited by hand to a folder, for review: the server's JSON, without what Grafana sets."""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from qytet.errors import InputError
from qytet_dashboards.grafana.files import PROVISIONED
from qytet_dashboards.grafana.findings import Finding

__all__ = ["save"]


def save(folder: Path, findings: Sequence[Finding]) -> list[Path]:
    """A file `<uid>.json` for each; one that exists with other content is not replaced. Raises InputError."""
    if folder.resolve().is_relative_to(PROVISIONED.resolve()):
        raise InputError(
            f"{folder} belongs to the generated files.",
            why="`qytet dashboards build` would remove what is put there.",
            do="Name another folder; bring the edit into its builder, then build and push.",
        )
    wanted = {folder / f"{finding.uid}.json": _text(finding) for finding in findings}
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
            raise InputError(f"{path} exists and holds something else.", do="Name an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        _write(path, text)
    return list(wanted)


def _text(finding: Finding) -> str:
    """As `qytet dashboards build` writes files, so that `git diff --no-index` shows the edit alone."""
    content = {
        key: value for key, value in (finding.have or {}).items() if key not in {"id", "version", "iteration"}
    }
    return json.dumps(content, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
