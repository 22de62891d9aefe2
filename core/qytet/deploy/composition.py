"""Reads compose.yaml: YAML, variables filled in as Compose does, and the shape of the parts that we use."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qytet.errors import InputError

__all__ = ["Composition", "read", "read_variables", "variables_used"]

# ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?error}, ${NAME?error}; $$ is a dollar sign.
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?])(?P<rest>[^}]*))?\})")

_TOP = frozenset({"name", "services", "networks", "volumes", "secrets"})
SERVICE_KEYS = frozenset(
    {"build", "cap_add", "cap_drop", "command", "cpus", "depends_on", "environment", "healthcheck", "image"}
    | {"init", "logging", "mem_limit", "networks", "pids_limit", "ports", "read_only", "restart", "secrets"}
    | {"security_opt", "shm_size", "stop_grace_period", "tmpfs", "ulimits", "user", "volumes"}
)

Composition = dict[str, Any]


def read(file: Path, variables: Mapping[str, str]) -> Composition:
    """The document with its variables filled in. Raises InputError for bad YAML, shape or variables."""
    text = _text(file)
    document = _parsed(_filled(text, variables), file)
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        raise InputError(f"{file} has no services.")
    document = {key: value for key, value in document.items() if not str(key).startswith("x-")}
    _known_keys(document, _TOP, file, "")
    for name, service in document["services"].items():
        if not isinstance(service, dict):
            raise InputError(f"{file}: the service {name} is not a mapping.")
        _known_keys(service, SERVICE_KEYS, file, f"services.{name}.")
    return document


def variables_used(file: Path) -> dict[str, bool]:
    """Every variable of the file, and whether it must be set (no default)."""
    found: dict[str, bool] = {}
    for match in _VARIABLE.finditer(_text(file)):
        if match["name"]:
            needed = not (match["how"] or "").endswith("-")
            found[match["name"]] = found.get(match["name"], False) or needed
    return found


def read_variables(file: Path) -> dict[str, str]:
    """The variables of an env file: NAME=value lines; empty if there is no such file."""
    if not file.exists():
        return {}
    lines = (line.strip() for line in _text(file).splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _filled(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        known, how = variables.get(match["name"]), match["how"] or ""
        if known or (known is not None and not how.startswith(":")):
            return known
        if how.endswith("?") or not how:
            raise InputError(
                f"The variable {match['name']} is not set.", why=match["rest"] or "It has no default."
            )
        return str(match["rest"])

    lines = (
        line if line.lstrip().startswith("#") else _VARIABLE.sub(value, line) for line in text.splitlines()
    )
    return "\n".join(lines)


def _parsed(text: str, file: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError:
        raise InputError(
            "compose.yaml cannot be read.", why="PyYAML is not installed.", do="pip install 'qytet[deploy]'"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML.", why=str(error)) from error


def _known_keys(found: Mapping[str, Any], known: frozenset[str], file: Path, where: str) -> None:
    foreign = sorted(set(found) - known)
    if foreign:
        raise InputError(
            f"{file}: {where}{foreign[0]} is not known here.",
            do="If Compose knows it and it is needed, teach it to qytet.deploy.composition.",
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be read.", why=str(error)) from error
