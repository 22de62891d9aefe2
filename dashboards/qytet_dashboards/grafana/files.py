"""The generated files as a push reads them: folders, and each folder's dashboards."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qytet.errors import InputError
from qytet_dashboards.grafana.server import UID

__all__ = ["PROVISIONED", "SHARED", "Board", "Files", "read", "read_json"]

PROVISIONED = Path(__file__).parent.parent / "provisioned"
# uids of the folders that all cities share (dashboards, alert rules); every other folder is one city's
SHARED = frozenset({"qytet", "qytet-alerts"})
_BUILD = "Generate the files again: qytet dashboards build."


@dataclass(frozen=True)
class Board:
    """A dashboard and the folder (uid) that it belongs to."""

    uid: str
    folder: str
    json: dict[str, Any] = field(repr=False)

    @property
    def title(self) -> str:
        """Its title, as people see it."""
        return str(self.json["title"])


@dataclass(frozen=True)
class Files:
    """Folders' titles by uid, and the dashboards, ordered by folder and uid."""

    root: Path
    folders: dict[str, str]
    boards: tuple[Board, ...]


def read(root: Path = PROVISIONED) -> Files:
    """All dashboards below `root`, checked. Raises InputError, naming the file."""
    folders = _folders(root / "folders.json")
    boards = [_board(path, folders) for path in sorted((root / "dashboards").glob("*/*.json"))]
    if not boards:
        raise InputError(f"There are no dashboards in {root / 'dashboards'}.", do=_BUILD)
    seen: dict[str, str] = {}
    for board in boards:
        if board.uid in seen:
            raise InputError(
                f"Two files hold the dashboard {board.uid}.",
                why=f"It is in the folders {seen[board.uid]} and {board.folder}.",
                do=_BUILD,
            )
        seen[board.uid] = board.folder
    return Files(root, folders, tuple(boards))


def _folders(path: Path) -> dict[str, str]:
    found = read_json(path)
    if not all(isinstance(title, str) and title and UID.fullmatch(uid) for uid, title in found.items()):
        raise InputError(f"{path} is not a table of folders' uids and titles.", do=_BUILD)
    return found


def _board(path: Path, folders: dict[str, str]) -> Board:
    content = read_json(path)
    uid, folder = path.stem, path.parent.name
    if content.get("uid") != uid or not UID.fullmatch(uid):
        raise InputError(f"{path} holds the dashboard {content.get('uid')!r}, not {uid!r}.", do=_BUILD)
    if not isinstance(content.get("title"), str) or not content["title"]:
        raise InputError(f"{path} has no title.", do=_BUILD)
    if folder not in folders:
        raise InputError(f"{path} lies in the folder {folder}, which folders.json does not name.", do=_BUILD)
    return Board(uid, folder, content)


def read_json(path: Path) -> dict[str, Any]:
    """An object of a JSON file. Raises InputError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read.", why=str(error), do=_BUILD) from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object.", do=_BUILD)
    return found
