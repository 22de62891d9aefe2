"""What tests of the flashing page share: an operator's folder, a page with a board behind it, and its form."""

import base64
import contextlib
import hashlib
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from qytet_simulators.hardware.flash import FlashFile
from tests.api.flash_bench import FAKE
from tests.hardware.bench import filesystem

__all__ = [
    "DEVICE_PASSWORD",
    "SLOW_MS",
    "WIFI_PASSWORD",
    "begin",
    "fill",
    "micropython_image",
    "opened",
    "problem",
    "read",
    "runs",
    "small_program",
    "step",
    "write_images",
]

WIFI_PASSWORD, DEVICE_PASSWORD = "wifi-password-7", "device-password-9"
SLOW_MS = 90_000
_PARTITIONS = (
    (1, 2, 0x9000, 0x6000, b"nvs"),
    (0, 0, 0x10000, 0x1F0000, b"factory"),
    (1, 0x81, 0x200000, 0x200000, b"vfs"),
)


def micropython_image(chip_id: int = 0, size: int = 96 * 1024) -> bytes:
    """What begins as MicroPython's image for an ESP32: a bootloader's header, partitions, something of a program."""
    content = bytearray(hashlib.shake_256(b"an image").digest(size // 2) + bytes(size // 2))
    content[0:24] = struct.pack("<BBBBIBBBBHBHH4sB", 0xE9, 1, 2, 0x20, *[0] * 5, chip_id, 0, 0, 0, b"", 0)
    rows = b"".join(struct.pack("<HBBII16sI", 0x50AA, *row, 0) for row in _PARTITIONS)
    content[0x7000:0x8000] = rows.ljust(0x1000, b"\xff")
    return bytes(content)


def write_images(folder: Path) -> None:
    """Put an image for the ESP32 into the operator's folder."""
    image = micropython_image()
    (folder / "micropython.bin").write_bytes(image)
    described = {"file": "micropython.bin", "offset": 0x1000, "sha256": hashlib.sha256(image).hexdigest()}
    (folder / "images.json").write_text(json.dumps({"esp32": described}))


def small_program(folder: Path, *, filler: int = 20_000) -> None:
    """Put a program.json there whose main.py says so when it runs, and which takes a moment to go over."""
    boards = {f"boards/{name}.json": json.dumps({"chip": chip}).encode() for name, chip in _BOARDS.items()}
    slot = {"profiles/air.json": b"{}", **boards, "filler.bin": hashlib.shake_256(b"f").digest(filler)}
    root = {"boot.py": b"", "main.py": b"print('the small program runs')\n"}
    document = {"v": 1, "version": "9.9.9", "root": _encoded(root), "slot": _encoded(slot)}
    (folder / "program.json").write_text(json.dumps(document))


_BOARDS = {"esp32-devkitc": "esp32", "esp32-c3-devkitm": "esp32c3"}


def _encoded(files: dict[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(content).decode() for name, content in files.items()}


@contextlib.contextmanager
def opened(browser: Browser, *, before: str = "") -> Iterator[Page]:
    """A page with a fake port; an error of a script, or anything that the page's policy forbids, fails the test."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    context.add_init_script("localStorage.setItem('language', 'en')")
    context.add_init_script(path=FAKE)
    if before:
        context.add_init_script(before)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda one: errors.append(one.text) if "Content Security" in one.text else None)
    try:
        yield page
        assert errors == []
    finally:
        context.close()


def fill(page: Page, device: str = "node-1", *, tls: bool = False) -> None:
    """Type a node's settings."""
    typed = {"city": "tirana", "device": device, "ssid": "city", "wifi_password": WIFI_PASSWORD}
    typed |= {"host": "broker.test", "user": device, "password": DEVICE_PASSWORD}
    for name, value in typed.items():
        page.locator(f"#f-{name}").fill(value)
    page.locator("#f-profile").select_option("air")
    page.locator("#f-board").select_option("esp32-devkitc")
    page.locator("#f-tls").set_checked(tls)


def begin(page: Page, mode: str = "full") -> None:
    """Choose what is to be done, and press the button."""
    page.locator(f'[name="mode"][value="{mode}"]').check()
    page.locator("#go").click()


def step(page: Page, name: str, state: str) -> None:
    """Wait until a step is in that state."""
    expect(page.locator(f'[data-step="{name}"]')).to_have_attribute("data-state", state, timeout=SLOW_MS)


def runs(page: Page, words: str = "the small program runs") -> None:
    """Wait until the board's log says so; a problem that the page shows instead is told."""
    page.wait_for_function(
        "words => document.getElementById('log').textContent.includes(words)"
        " || !document.getElementById('problem').hidden",
        arg=words,
        timeout=SLOW_MS,
    )
    assert words in (page.locator("#log").text_content() or ""), page.locator("main").inner_text()


def problem(page: Page, words: str) -> str:
    """Wait until the page says what went wrong; returns what it says of why and what to do."""
    expect(page.locator("#problem-what")).to_have_text(re.compile(words), timeout=SLOW_MS)
    expect(page.locator("#go")).to_be_visible()
    parts = [page.locator(f"#problem-{part}").inner_text().strip() for part in ("why", "do")]
    assert all(parts)
    return " ".join(parts)


def read(flash: FlashFile, path: str) -> bytes | None:
    """A file of a board that is off; None if there is no such file."""
    with filesystem(flash) as files:
        try:
            with files.open(path, "rb") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None
