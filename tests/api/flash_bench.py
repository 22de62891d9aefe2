"""A bench for the flashing page: the API on a port of its own, and behind it a simulated board for a fake port.

The page's own server carries the bytes, so that the page's Content-Security-Policy stays in force.
"""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.websockets import WebSocket, WebSocketDisconnect

from qytet.settings import Settings
from qytet_api.app import create_app
from qytet_simulators.hardware.rom.port import RomPort
from tests.api.conftest import settings_for

__all__ = ["FAKE", "Link", "api_settings", "serve"]

FAKE = Path(__file__).parent / "fakeserial.js"
_NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
_DEADLINE_S = 60


def api_settings(folder: Path | None) -> Settings:
    """An API without a database: the page needs none."""
    return settings_for(_NOWHERE, flash_folder=folder)


class Link:
    """The cable: one WebSocket while the fake port is open; bytes as bytes, control lines as text."""

    def __init__(self) -> None:
        self.port: RomPort | None = None
        self.busy = False
        self.pull_at = b""
        """Once these bytes have gone to the board, the cable is pulled: it loses its power, the port vanishes."""

    async def line(self, socket: WebSocket) -> None:
        """One opening of the port; refused while it is busy or nothing is plugged in."""
        port = self.port
        if self.busy or port is None or not port.plugged:
            await socket.close()
            return
        loop, said = asyncio.get_running_loop(), asyncio.Queue[bytes | None]()
        await socket.accept()
        # The bench answers at once, so asking it from the server's own thread is quicker than from another.
        port.set_baud(int(socket.query_params["baud"]))

        def heard(data: bytes) -> None:
            loop.call_soon_threadsafe(said.put_nowait, data)

        end = port.on_data(heard)
        hearing = asyncio.create_task(self._hear(socket, port, said))
        try:
            while (data := await said.get()) is not None:
                await socket.send_bytes(data)
            await socket.close()
        except WebSocketDisconnect:
            pass
        finally:
            hearing.cancel()
            with contextlib.suppress(RuntimeError):  # the board has ended before
                end()
                port.set_signals(dtr=False, rts=False)

    async def _hear(self, socket: WebSocket, port: RomPort, said: "asyncio.Queue[bytes | None]") -> None:
        sent = b""
        while (message := await socket.receive())["type"] == "websocket.receive":
            if message.get("bytes"):
                port.write(message["bytes"])
                sent = (sent + message["bytes"])[-4096:]
                if self.pull_at and self.pull_at in sent:
                    self.pull_at = b""
                    port.unplug()
                if not port.plugged:  # a fault has pulled the cable
                    said.put_nowait(None)
            elif message.get("text"):
                signals = json.loads(message["text"])
                port.set_signals(signals.get("dataTerminalReady"), signals.get("requestToSend"))
        said.put_nowait(None)


@contextlib.contextmanager
def serve(settings: Settings, link: Link) -> Iterator[str]:
    """The API with the cable's addresses, in a thread; gives its URL."""
    app = create_app(settings)
    app.add_api_websocket_route("/board/line", link.line)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, ws="websockets-sansio", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_DEADLINE_S)
            assert not thread.is_alive(), "the API does not end"
