"""Ports are found, and why one cannot be used is said in words that can be acted on."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from serial.tools import list_ports

from qytet.errors import InputError, NotFoundError, ServerError
from qytet_bench import serialport
from qytet_bench.serialport import Port

LINUX = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells who has a file open"
)


def there(*found: tuple[str, int | None]) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(device=path, vid=vid, description="n/a", serial_number=None) for path, vid in found
    ]


@pytest.fixture
def pseudo() -> Iterator[str]:
    """A device file that nobody has open but us."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    yield name
    os.close(master)


def test_the_only_boards_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that are no USB, and USB that is no board's bridge, do not stand in the way of the one board."""
    ports = there(("/dev/ttyS0", None), ("/dev/ttyACM0", 0x1234), ("/dev/ttyUSB0", 0x10C4))
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    assert serialport.choose() == "/dev/ttyUSB0"
    assert [port.path for port in serialport.ports()] == ["/dev/ttyUSB0", "/dev/ttyACM0"]


def test_no_port_means_cable_or_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no port is, the technician hears of cables that only charge and of drivers."""
    monkeypatch.setattr(list_ports, "comports", lambda: there(("/dev/ttyS0", None)))
    with pytest.raises(NotFoundError) as caught:
        serialport.choose()
    assert "charge" in str(caught.value)
    assert "driver" in str(caught.value)


def test_among_several_ports_nobody_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two boards are named and the technician asked which; one that is not there is said to be so."""
    ports = there(("/dev/ttyUSB1", 0x1A86), ("/dev/ttyUSB0", 0x10C4))
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    with pytest.raises(InputError, match=r"/dev/ttyUSB0 .*, /dev/ttyUSB1"):
        serialport.choose()
    with pytest.raises(NotFoundError, match=r"/dev/ttyUSB0, /dev/ttyUSB1"):
        serialport.choose("/dev/none-such")
    assert serialport.choose("rfc2217://127.0.0.1:4000") == "rfc2217://127.0.0.1:4000"


def test_a_board_that_is_plugged_in_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher gives a port when it appears, again after it was away, and never one that just stays."""
    a, b = Port("/dev/a", "", "CP210x", ""), Port("/dev/b", "", "CP210x", "")
    looks = iter([[a], [a], [a, b], [a, b], [b], [b], [a, b], [a, b]])
    last: list[Port] = [a, b]
    watcher = serialport.Watcher({"/dev/a"}, lambda: next(looks, last))
    monkeypatch.setattr(watcher, "_settle", lambda _path: None)
    assert watcher.next(5) == b
    assert watcher.next(5) == a
    assert watcher.next(0) is None


@pytest.mark.skipif(os.name != "posix", reason="on Windows ports are no files")
def test_a_port_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    """A device that is there again within its time counts as back; one that stays away, and an address, do not."""
    port = tmp_path / "ttyUSB0"
    timer = threading.Timer(0.1, port.touch)
    timer.start()
    assert serialport.comes_back(str(port), 10)
    timer.join()
    port.unlink()
    assert not serialport.comes_back(str(port), 0)
    assert not serialport.comes_back("rfc2217://127.0.0.1:1", 10)


def test_who_only_looks_at_a_new_port_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch, pseudo: str) -> None:
    """A program that has the port open for a moment, as a modem manager at each one that appears, is waited for."""
    looks = iter([["ModemManager (1)"], ["ModemManager (1)"], []])
    monkeypatch.setattr(serialport, "holders", lambda _port: next(looks))
    seconds = [0.0]
    clock = SimpleNamespace(monotonic=lambda: seconds[0], sleep=lambda s: seconds.append(seconds.pop() + s))
    monkeypatch.setattr(serialport, "time", clock)
    serialport.check_usable(pseudo)
    monkeypatch.setattr(serialport, "holders", lambda _port: ["screen (2)"])
    with pytest.raises(ServerError, match="busy"):
        serialport.check_usable(pseudo)
    assert seconds[0] < 5


@LINUX
def test_a_busy_port_names_who_has_it(monkeypatch: pytest.MonkeyPatch, pseudo: str) -> None:
    """Before anything is begun, the process that has the port open is named with its number."""
    serialport.check_usable(pseudo)
    monkeypatch.setattr(serialport, "_BUSY_S", 0.0)
    with (
        Path(pseudo).open("rb") as opened,
        subprocess.Popen(["cat"], stdin=opened, stdout=subprocess.DEVNULL) as cat,
    ):
        try:
            with pytest.raises(ServerError) as caught:
                serialport.check_usable(pseudo)
        finally:
            cat.terminate()
    assert "busy" in caught.value.what
    assert f"cat ({cat.pid})" in caught.value.why
    assert "Close that program" in caught.value.do


@pytest.mark.skipif(os.name != "posix", reason="groups are POSIX's")
def test_a_refused_port_says_which_group(monkeypatch: pytest.MonkeyPatch, pseudo: str) -> None:
    """Without permission the command that gives it is named, with the group that owns the device."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(serialport, "_user", lambda: "drita")
    with pytest.raises(ServerError) as caught:
        serialport.check_usable(pseudo)
    assert f"usermod -aG {Path(pseudo).group()} drita" in caught.value.do
    with pytest.raises(NotFoundError, match="no port /dev/pulled"):  # it was there a moment ago
        serialport.check_usable("/dev/pulled")
    monkeypatch.setattr(serialport, "_is_member", lambda _group: True)
    with pytest.raises(ServerError, match="log out and in again"):
        serialport.check_usable(pseudo)


def test_the_module_imports_without_posix() -> None:
    """On Windows there is no grp, fcntl or termios: the bench's modules are imported without them."""
    code = (
        "import sys, subprocess, tempfile, serial.tools.list_ports, psutil, littlefs, segno, typer, rich.progress\n"
        "for name in ('grp', 'pwd', 'fcntl', 'termios', 'tty', 'pty', 'resource'): sys.modules[name] = None\n"
        "import qytet.cli, qytet_bench.commands\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
