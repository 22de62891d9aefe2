"""The flashing page in a real browser, on a simulated board: its loader, its flash, and the MicroPython that boots."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.port import RomPort
from tests.api.browser import chromium
from tests.api.flash_bench import Link, api_settings, serve
from tests.api.flash_page import (
    micropython_image,
    opened,
    small_program,
    write_images,
)
from tests.servers import esptool_js
from tests.servers.cache import UnavailableError
from tests.servers.micropython import MicroPython

DATA_SIZE = 0x200000
CLOCK = "{ const real = Date.now, began = real(); Date.now = () => began + (real() - began) * %s }"
PATIENT, IMPATIENT = CLOCK % 0.2, CLOCK % 5
"""esptool-js gives a chip 100 ms for an answer, by this clock; a simulated one on a busy machine takes longer."""


@pytest.fixture(scope="module", autouse=True)
def _esptool() -> None:
    """esptool-js, fetched if it is not there; without npm a failure in CI, elsewhere a skip that says why."""
    try:
        esptool_js.prepare()
    except UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def link() -> Link:
    """The cable; a test puts its board at the end."""
    return Link()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, link: Link) -> Iterator[str]:
    """The API with an image and a small program."""
    folder = tmp_path_factory.mktemp("small")
    write_images(folder)
    small_program(folder)
    with serve(api_settings(folder), link) as url:
        yield url


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[FlashFile]:
    """A blank chip of 4 MB."""
    with FlashFile(tmp_path / "flash.bin") as chip:
        yield chip


@pytest.fixture
def port(flash: FlashFile, link: Link, micropython: MicroPython) -> Iterator[RomPort]:
    """A board with that flash on the cable."""
    with Board(flash, needs_image=True) as board, RomPort(board) as port:
        link.port, link.busy, link.pull_at = port, False, b""
        yield port
        link.port = None


@pytest.fixture
def set_up(flash: FlashFile) -> FlashFile:
    """The same chip with MicroPython on it already."""
    flash.write(0x1000, micropython_image())
    return flash


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page, with a fake port that leads to the link."""
    with opened(browser, before=PATIENT) as page:
        page.goto(f"{url}/flash")
        expect(page.locator("#version")).to_contain_text("9.9.9")
        yield page
