"""The gateway's state as JSON on a unix socket: who connects gets one document, and the end.

The socket `status.sock` lies in the data folder and only the gateway's user (and root) may connect.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from qytet.errors import ServerError

__all__ = ["SOCKET", "ask", "serving"]

SOCKET = "status.sock"
_LIMIT = 107  # bytes of a unix socket's path, unix(7)
_ANSWER_S = 10.0
_MOST_BYTES = 16_000_000


@contextlib.asynccontextmanager
async def serving(folder: Path, state: Callable[[], dict[str, Any]]) -> AsyncIterator[None]:
    """Answer while the block runs. Raises ServerError if the socket cannot be made."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                writer.write(json.dumps(state(), ensure_ascii=False).encode())
                writer.close()
                await writer.wait_closed()
        except OSError:  # it hung up, or does not read; TimeoutError is one
            writer.transport.abort()

    path = folder / SOCKET
    listener = _listener(path)
    server = await asyncio.start_unix_server(answer, sock=listener)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        path.unlink(missing_ok=True)


def ask(folder: Path) -> dict[str, Any]:
    """The state of the gateway that runs on this data folder. Raises ServerError if none answers."""
    path = folder / SOCKET
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_ANSWER_S)
            link.connect(str(path))
            with link.makefile("rb") as file:
                found: dict[str, Any] = json.loads(file.read(_MOST_BYTES))
    except PermissionError as error:
        raise ServerError(
            "The gateway's state may not be read.", why=str(error), do=f"Use sudo, or the owner of {folder}."
        ) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise ServerError(
            "The gateway does not run.",
            why=f"Nobody listens at {path}.",
            do="sudo systemctl start qytet-edge; why it ended: systemctl status qytet-edge, journalctl -u qytet-edge.",
        ) from error
    except (OSError, ValueError) as error:
        raise ServerError(
            "The gateway does not answer.",
            why=f"{path}: {error}",
            do="Look whether it runs: systemctl status qytet-edge; journalctl -u qytet-edge.",
        ) from error
    return found


def _listener(path: Path) -> socket.socket:
    """A listening socket that nobody else may connect to: it is closed to others before it listens."""
    if len(os.fsencode(path)) > _LIMIT:
        raise ServerError(
            f"The path of the status socket is too long: {path}.", do="Choose a shorter [gateway] data_dir."
        )
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)  # of a run that was killed: the folder's lock says that it is over
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(8)
    except OSError as error:
        listener.close()
        raise ServerError(f"The status socket {path} cannot be made.", why=str(error)) from error
    return listener
