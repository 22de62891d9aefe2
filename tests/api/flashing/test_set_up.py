"""A board that has MicroPython is set up from the page, and keeps what is not the page's to delete."""

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.port import RomPort
from tests.api.flash_bench import Link
from tests.api.flash_page import (
    begin,
    fill,
    problem,
    read,
    runs,
)
from tests.hardware.bench import filesystem, install
from tests.servers.certificates import Authority


def test_unplugged_while_set_up(
    page: Page, set_up: FlashFile, port: RomPort, link: Link, tmp_path: Path
) -> None:
    """A board that is left in the middle starts nothing; the same again goes on where it stopped."""
    certificate = Authority(tmp_path / "authority").certificate.read_text()
    settings = tmp_path / "node.json"
    settings.write_text(
        json.dumps({"broker": {"host": "other.test", "tls": True}, "ca": certificate, "keep_bytes": 500_000})
    )
    fill(page)
    page.locator("#f-settings").set_input_files(settings)
    expect(page.locator("#f-host")).to_have_value("other.test")
    link.pull_at = b'_new("/a/filler.bin")'
    begin(page, "files")
    problem(page, "The board is gone")
    assert read(set_up, "/main.py") is None
    port.plug()
    begin(page, "files")
    runs(page)
    port.unplug()
    assert (read(set_up, "/etc/ca.der") or b"").startswith(b"\x30\x82")
    assert json.loads(read(set_up, "/etc/node.json") or b"")["keep_bytes"] == 500_000


def test_readings_of_another_device(page: Page, set_up: FlashFile, port: RomPort) -> None:
    """Readings that a board keeps for another device are neither sent under a new name nor deleted unasked.

    The board runs another program meanwhile, which is stopped, and leaves nothing behind.
    """
    port.unplug()
    install(set_up, {"boot.py": "", "main.py": "import sys\nwhile True: sys.stdin.read(1)"})
    with filesystem(set_up) as files:
        for folder in ("etc", "data", "b"):
            files.mkdir(folder)
        for name, content in {
            "etc/node.json": '{"city": "tirana", "device": "old-1"}',
            "etc/outputs.json": "[1]",
            "data/00000001.seg": "readings",
            "b/stale.py": "",
        }.items():
            with files.open(name, "w") as file:
                file.write(content)
    port.plug()
    fill(page)
    begin(page, "files")
    assert "tirana/old-1" in problem(page, r"was tirana/old-1 and keeps readings")
    assert read(set_up, "/data/00000001.seg") == b"readings"
    page.locator("#f-forget").check()
    begin(page, "files")
    runs(page)
    port.unplug()
    assert read(set_up, "/data/00000001.seg") is None
    assert read(set_up, "/b/stale.py") is None
    assert read(set_up, "/etc/outputs.json") is None


def test_orders_of_the_city_stay(page: Page, set_up: FlashFile, port: RomPort) -> None:
    """Set up again, a node keeps its lamps' schedule and its readings; settings on trial and halves of files go."""
    port.unplug()
    install(set_up, {"boot.py": "", "main.py": "import sys\nwhile True: sys.stdin.read(1)"})
    with filesystem(set_up) as files:
        for folder in ("etc", "data"):
            files.mkdir(folder)
        for name, content in {
            "etc/node.json": '{"city": "tirana", "device": "node-1"}',
            "etc/node.trial.json": "{}",
            "etc/outputs.json": "[1]",
            "etc/outputs.json.new": "[",
            "data/00000001.seg": "readings",
        }.items():
            with files.open(name, "w") as file:
                file.write(content)
    port.plug()
    fill(page)
    begin(page, "files")
    runs(page)
    port.unplug()
    assert read(set_up, "/etc/outputs.json") == b"[1]"
    assert read(set_up, "/data/00000001.seg") == b"readings"
    assert read(set_up, "/etc/node.trial.json") is None
    assert read(set_up, "/etc/outputs.json.new") is None


def test_prompt_of_before_the_restart(page: Page, set_up: FlashFile, port: RomPort) -> None:
    """A prompt that arrives late, of the program before the restart, is not taken for the board's being ready."""
    page.evaluate("window.late = '>>> '")
    fill(page)
    begin(page, "files")
    runs(page)


def test_port_that_goes_with_each_restart(page: Page, set_up: FlashFile, port: RomPort) -> None:
    """A chip with USB of its own takes its port along when it restarts; the page opens it again when it is back."""
    page.evaluate("window.usbWithin = true")
    fill(page)
    begin(page, "files")
    runs(page)
    expect(page.locator("#problem")).to_be_hidden()
