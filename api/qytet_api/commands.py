"""`qytet api`: serves the API and writes its OpenAPI document."""

import asyncio
import json
import signal
import socket
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from rich.console import Console

from qytet import settings as all_settings
from qytet.errors import InputError, ServerError
from qytet.settings import ApiSettings, DatabaseSettings, Settings
from qytet_api.app import create_app
from qytet_api.reference import markdown
from qytet_api.security import refuse_open_door

__all__ = ["app"]

app = typer.Typer(help="The HTTP API and the first page.", no_args_is_help=True)

Output = Annotated[Path | None, typer.Option(help="File to write. Default: standard output.")]

_STOP_SECONDS = 5  # answers that are under way get so long after Ctrl-C


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: `api.host`.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. Default: `api.port`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Serve the API and the page until Ctrl-C."""
    settings = _with_address(all_settings.load(), host, port)
    application = create_app(settings)
    wanted = settings.api.port if port is None else port
    with _listener(settings.api.host, wanted) as listener:
        _announce(settings.api.host, listener.getsockname()[1], as_json)
        config = uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
            limit_concurrency=1000,
        )
        _Server(config, application).run(sockets=[listener])


@app.command()
def openapi(output: Output = None) -> None:
    """Write the OpenAPI document."""
    _write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", output)


@app.command()
def reference(output: Output = None) -> None:
    """Write the reference page in Markdown."""
    _write(markdown(document()), output)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written.", why=str(error)) from error


def document() -> dict[str, Any]:
    """The OpenAPI document; needs no database."""
    nowhere = DatabaseSettings(url=SecretStr("postgresql://127.0.0.1:9/none"))
    return create_app(Settings(database=nowhere, api=ApiSettings())).openapi()


class _Server(uvicorn.Server):
    """Ends live streams as soon as a signal comes; otherwise they would outlast the time to stop."""

    def __init__(self, config: uvicorn.Config, application: FastAPI) -> None:
        super().__init__(config)
        self._application = application
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal stops in order, and that is a success; a second Ctrl-C does not wait."""
        del frame
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._application.state.hub.stop)


def _with_address(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings with the address that was asked for. Raises SettingsError if it is unsafe."""
    changes = {"host": host or settings.api.host, "port": port or settings.api.port}
    api = settings.api.model_copy(update=changes)
    refuse_open_door(api.host, api)
    return settings.model_copy(update={"api": api})


def _listener(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises ServerError if it is taken or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ServerError(f"The API cannot listen on {host}.", why=str(error)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise ServerError(
            f"The API cannot listen on {host}, port {port}.",
            why=error.strerror or str(error),
            do="Stop what listens there, or choose another port: `qytet api serve --port 0` takes a free one.",
        ) from error
    return listener


def _announce(host: str, port: int, as_json: bool) -> None:
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    if as_json:
        typer.echo(json.dumps({"url": url}))
    else:
        Console(soft_wrap=True).print(f"The API and the page are at [bold]{url}[/]  (Ctrl-C stops)")
