"""`qytet simulate node`: one whole node on a simulated board, against a broker, for developers without a board."""

import json
import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from qytet.errors import InputError
from qytet_simulators.device.address import Address
from qytet_simulators.device.stop import StopWish
from qytet_simulators.hardware import nodeflash
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.profiles import fitted, surroundings
from qytet_simulators.hardware.watcher import Watcher
from qytet_simulators.hardware.wifi import AccessPoint
from qytet_simulators.known import known_address

__all__ = ["node"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DAY_S = 86_400.0
_DATA_AT = 0x200000
_LOOK_S = 0.2
_LONGEST_LINE = 4096
_NOT_THE_BOARDS = "Warning: exception chaining not supported"
"""What the VM on a desk says and the one on a board does not."""


def node(
    profile: Annotated[str, typer.Option(help="What it measures: air, lighting, water, traffic, …")] = "air",
    city: Annotated[str, typer.Option(help="The city it belongs to.")] = "tirana",
    device: Annotated[str, typer.Option(help="Its name; default: node-PROFILE.")] = "",
    board: Annotated[str, typer.Option(help="The board that it is soldered to.")] = "esp32-devkitc",
    broker: Annotated[
        str,
        typer.Option(
            help="mqtt://user:password@host:port; default: the broker of the settings, else the embedded one."
        ),
    ] = "",
    ca: Annotated[Path | None, typer.Option(help="CA that signed the broker's certificate (mqtts).")] = None,
    seed: Annotated[int, typer.Option(help="What is measured follows from it.")] = 1,
    speed: Annotated[
        float, typer.Option(min=0.01, help="How many times faster than the clock at most.")
    ] = 1.0,
    duration: Annotated[
        float | None, typer.Option(min=1, help="Seconds of the board's time; default: until Ctrl-C.")
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0, help="Seconds to wait at the end for `stored` marks.")
    ] = 10.0,
    image: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File system made by `qytet bench image`.")
    ] = None,
    flash: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Keep the board's flash in this file, and go on with what it holds."
        ),
    ] = None,
    flash_mb: Annotated[int, typer.Option("--flash-mb", min=4, max=16, help="Size of the flash.")] = 4,
    as_json: Annotated[
        bool, typer.Option("--json", help="The account as JSON; the console then goes to standard error.")
    ] = False,
) -> None:
    """Run one node: its real program, on a simulated board with all sensors of its profile. Ctrl-C ends it.

    Exit code 1 if the city has not marked every record in the end.
    """
    address = _loopback(known_address(broker, ca))
    name = device or f"node-{profile}"
    bench = nodeflash.Bench(
        city=city,
        device=name,
        profile=profile,
        board=board,
        host=address.host,
        port=address.port,
        tls=address.tls,
        ca_file=address.ca_file,
        ssid="qytet-bench",
        wifi_password=secrets.token_urlsafe(12),
    )
    with _flash(flash, flash_mb, image, bench) as chip:
        here = _adopted(chip, address)
        life = _Life(seed, speed, duration, settle, sys.stderr if as_json else sys.stdout)
        account = life.run(chip, here, address)
    typer.echo(json.dumps(account, ensure_ascii=False) if as_json else _in_words(account))
    if account["waiting"]:
        raise typer.Exit(1)


def _loopback(address: Address) -> Address:
    if address.host not in _LOOPBACK:
        raise InputError(
            f"The broker {address} is on another machine.",
            why="The simulated board's network ends at this machine.",
            do="Give a broker on 127.0.0.1, or forward a port to it.",
        )
    if not address.user:
        raise InputError(
            "The broker's URL names no user.",
            why="A node never connects without one.",
            do="Write it as mqtt://user:password@127.0.0.1:1883.",
        )
    if address.tls and address.ca_file is None:
        raise InputError("The broker speaks TLS, and no authority is named.", do="Give it by --ca.")
    return address


@contextmanager
def _flash(
    kept: Path | None, megabytes: int, image: Path | None, bench: nodeflash.Bench
) -> Iterator[FlashFile]:
    """The board's flash: the one that was kept, or a new one with an image on it."""
    size = megabytes << 20
    with tempfile.TemporaryDirectory(prefix="qytet-node-") as folder:
        path = kept or Path(folder) / "flash.bin"
        if not path.exists():
            made = image or nodeflash.make_image(Path(folder), bench, size - _DATA_AT)
            _begin_flash(path, size, made)
            image = None
        try:
            chip = FlashFile(path, size)
        except ValueError as error:
            raise InputError(
                f"{path} is another board's flash.", why=str(error), do="Say --flash-mb."
            ) from error
        with chip:
            if image is not None:
                nodeflash.install(chip, image)
            yield chip


def _begin_flash(path: Path, size: int, image: Path) -> None:
    """A new flash with this image, whole or not at all: a blank one would be taken for a node's the next time."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with FlashFile(part, size) as chip:
            nodeflash.install(chip, image)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _adopted(chip: FlashFile, address: Address) -> nodeflash.NodeFiles:
    """The node of a flash, told who it is at this broker: whoever made its image may not have known."""
    found = nodeflash.read_node(chip)
    settings = found.settings
    settings["broker"] = {
        "host": address.host,
        "port": address.port,
        "tls": address.tls,
        "user": address.user_of(settings["device"]),
        "password": address.password,
    }
    nodeflash.write_settings(chip, settings)
    return found


@dataclass
class _Life:
    """How a node is run."""

    seed: int
    speed: float
    duration: float | None
    settle: float
    out: Any

    def run(self, chip: FlashFile, here: nodeflash.NodeFiles, address: Address) -> dict[str, Any]:
        """Until its time is over or somebody asks to stop; then the account."""
        settings = here.settings
        around = surroundings(*fitted(here.profile, here.board, settings), seed=self.seed)
        point = AccessPoint(ssid=settings["wifi"]["ssid"], password=settings["wifi"]["password"])
        user = address.user_of(settings["device"])
        began, erased = time.monotonic(), sum(chip.erases)
        with (
            StopWish() as stop,
            Watcher(address, user, settings["city"], settings["device"]) as watcher,
            Board(
                chip, around.wiring, access_point=point, speed=self.speed, start_unix_ms=self._start_ms()
            ) as board,
        ):
            lines = _Lines(self.out)
            board.console.listen(lines)
            board.power_on()
            self._live(board, lambda: stop() or lines.error is not None)
            watcher.wait_until(lambda: _cut_if_settled(board, chip, watcher) or stop(), self.settle)
            board.power_cut()
            lived_s = board.now_s()
            account = _account(chip, watcher)
        if lines.error is not None:
            raise lines.error
        return {
            "city": settings["city"],
            "device": settings["device"],
            "profile": settings["profile"],
            "seconds": round(time.monotonic() - began, 1),
            "board_seconds": round(lived_s, 1),
            "erases": sum(chip.erases) - erased,
            **account,
        }

    def _live(self, board: Board, stop: Callable[[], bool]) -> None:
        over = threading.Event()
        if self.duration is not None:
            board.at(self.duration, over.set)
        while not over.wait(_LOOK_S) and not stop() and board.loop.failure is None:
            pass

    def _start_ms(self) -> int:
        """A board that is faster than the clock begins in the past, so that it never overtakes it."""
        lead_s = (self.duration or _DAY_S) * (1 - 1 / self.speed) if self.speed > 1 else 0.0
        return int((time.time() - lead_s) * 1000)


class _Lines:
    """Shows what the board says by whole lines. `error`: why it no longer can, as when whoever read them has gone."""

    def __init__(self, out: Any) -> None:
        self._out, self._held = out, b""
        self.error: OSError | None = None

    def __call__(self, data: bytes) -> None:
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            if text != _NOT_THE_BOARDS and self.error is None:
                self._show(text)
        self._held = self._held[-_LONGEST_LINE:]

    def _show(self, text: str) -> None:
        """In the bench's thread, which goes on: whoever waits for it sees the error."""
        try:
            print(text, file=self._out, flush=True)
        except OSError as error:
            self.error = error


def _cut_if_settled(board: Board, chip: FlashFile, watcher: Watcher) -> bool:
    """Take the power away in a moment in which all that is on the flash is marked; tells whether this is one.

    Both in one: a board that goes on may have made a record that nobody has heard of.
    """

    def cut() -> bool:
        settled = not _account(chip, watcher)["waiting"]
        if settled:
            board.power_cut()
        return settled

    return board.call(cut)


def _account(chip: FlashFile, watcher: Watcher) -> dict[str, Any]:
    """Records made, sent and marked; `sent` is null where the broker lets us hear none."""
    kept = nodeflash.kept_records(chip)
    boots = {boot: (one.mark, one.made) for boot, one in watcher.boots.items()}
    made = {boot: max(kept.get(boot, 0), boots.get(boot, (0, 0))[1]) for boot in {*kept, *boots}}
    marked = {boot: min(boots.get(boot, (0, 0))[0], made[boot]) for boot in made}
    return {
        "made": sum(made.values()),
        "sent": sum(len(one.seqs) for one in watcher.boots.values()) if watcher.sees else None,
        "repeated": sum(one.repeated for one in watcher.boots.values()) if watcher.sees else None,
        "marked": sum(marked.values()),
        "waiting": sum(made.values()) - sum(marked.values()),
        "marks": {boot: mark for boot, (mark, _) in boots.items()},
    }


def _in_words(account: dict[str, Any]) -> str:
    sent = "" if account["sent"] is None else f", {account['sent']} reached the broker"
    text = (
        f"{account['device']} ({account['profile']}) lived {account['board_seconds']:.0f} s of its time "
        f"in {account['seconds']:.0f} s: {account['made']} records made{sent}, {account['marked']} marked as stored."
    )
    if account["waiting"]:
        text += f"\n{account['waiting']} are on its flash and wait for a mark."
    return text
