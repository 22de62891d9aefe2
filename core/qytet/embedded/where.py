"""Where the embedded broker is, for commands that are not given another."""

import json
from pathlib import Path
from urllib.parse import quote

from qytet.embedded.ports import LOOPBACK, is_free

__all__ = ["embedded_broker_url"]


def embedded_broker_url(folder: Path, user: str) -> str:
    """The URL of the broker that runs on the data folder, with that user's password; empty if none runs."""
    try:
        port = int((folder / "port").read_text(encoding="ascii"))
        password = json.loads((folder / "users.json").read_text(encoding="utf-8"))[user]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return "" if is_free(port) else f"mqtt://{quote(user)}:{quote(str(password), safe='')}@{LOOPBACK}:{port}"
