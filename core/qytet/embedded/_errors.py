"""What can go wrong when a server is started from a folder of ours.

ServerError
└── EmbeddedError          any trouble with an embedded server
    ├── AlreadyRunningError   another process holds this data folder (`pid`)
    ├── PortTakenError        somebody listens on the port (`port`)
    ├── DataFolderError       the folder is damaged, foreign, unreadable or of another version (`path`)
    ├── MissingServerError    the server's program is not installed
    └── StartError            the server gave up or took too long (`log_tail`)
"""

from pathlib import Path

from qytet.errors import ServerError


class EmbeddedError(ServerError):
    """Any trouble with an embedded server."""


class AlreadyRunningError(EmbeddedError):
    """Another process holds the data folder; `pid` is that process, or None when it cannot be told."""

    def __init__(self, path: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"The data folder {path} is already in use.",
            why=f"It is held by {holder}, and two servers on one folder would destroy it.",
            do="Stop that process first (Ctrl-C in its terminal), or use another data folder.",
        )
        self.path = path
        self.pid = pid


class PortTakenError(EmbeddedError):
    """Somebody else listens on `port` of the loopback interface."""

    def __init__(self, server: str, port: int, pid: int | None = None) -> None:
        holder = f"process {pid}" if pid else "another program"
        super().__init__(
            f"{server} cannot listen on port {port}.",
            why=f"The port is taken by {holder}.",
            do="Stop that program, choose another port, or leave the port open so that a free one is found.",
        )
        self.port = port
        self.pid = pid


class DataFolderError(EmbeddedError):
    """The data folder at `path` is damaged, foreign, unreadable or of another version."""

    def __init__(self, path: Path, what: str, *, why: str = "", do: str = "") -> None:
        super().__init__(what, why=why, do=do)
        self.path = path


class MissingServerError(EmbeddedError):
    """The server's program is not installed."""


class StartError(EmbeddedError):
    """The server gave up or took too long; `log_tail` holds the last lines that it wrote."""

    def __init__(self, what: str, *, why: str = "", do: str = "", log_tail: str = "") -> None:
        super().__init__(what, why=f"{why} {_quoted(log_tail)}".strip(), do=do)
        self.log_tail = log_tail


def _quoted(log_tail: str) -> str:
    return f"Its last words were:\n{log_tail}\n" if log_tail else ""
