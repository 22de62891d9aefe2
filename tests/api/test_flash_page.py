"""The flashing page in a real browser, on a simulated board: its loader, its flash, and the MicroPython that boots."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from qytet_bench.commands import app as bench
from qytet_bench.filesystem import image as filesystem_image
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.faults import Act, Fault
from qytet_simulators.hardware.rom.packets import Command
from qytet_simulators.hardware.rom.port import RomPort
from tests.api.browser import chromium
from tests.api.flash_bench import Link, api_settings, serve
from tests.api.flash_page import (
    DEVICE_PASSWORD,
    SLOW_MS,
    WIFI_PASSWORD,
    begin,
    fill,
    micropython_image,
    opened,
    problem,
    read,
    small_program,
    step,
    write_images,
)
from tests.hardware.bench import filesystem, install
from tests.servers import esptool_js
from tests.servers.cache import UnavailableError
from tests.servers.certificates import Authority
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
    """One browser for this file."""
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
        link.port, link.busy = port, False
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


def forbid_ports(page: Page) -> None:
    """From now on asking for a port is an error of a script, which fails the test."""
    page.evaluate(
        "() => { navigator.serial.requestPort = () => { reportError(new Error('a port was asked for')) } }"
    )


def test_blank_board_becomes_a_node(
    browser: Browser, link: Link, port: RomPort, flash: FlashFile, tmp_path: Path
) -> None:
    """Flashed and set up from the page alone, a blank board runs the node's real program, whose log is shown.

    What is secret goes over the cable only: no request to the server bears it, and the page shows it nowhere.
    """
    assert CliRunner().invoke(bench, ["program", "--out", str(tmp_path)]).exit_code == 0
    program = json.loads((tmp_path / "program.json").read_text())
    write_images(tmp_path)
    asked: list[str] = []
    with serve(api_settings(tmp_path), link) as url, opened(browser, before=PATIENT) as page:
        page.on("request", lambda one: asked.append(f"{one.url} {one.post_data}"))
        page.goto(f"{url}/flash")
        expect(page.locator("#version")).to_contain_text(program["version"])
        fill(page)
        begin(page)
        step(page, "write", "done")
        assert flash.read(0x1000, 96 * 1024) == micropython_image()
        expect(page.locator("#rate")).to_contain_text(
            re.compile(r"of \d+ KB, .* KB/s, \d+ s left"), timeout=SLOW_MS
        )
        step(page, "start", "done")
        expect(page.locator("#log")).to_contain_text(
            re.compile(r"info qytet|restart in \d+ s"), timeout=SLOW_MS
        )
        log = page.locator("#log").inner_text()
        assert f"info qytet {program['version']}, boot" in log, log[-1500:]
        expect(page.locator("#log time").last).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
        expect(page.locator("#board")).to_have_text(re.compile(r"ESP32.*24:0a:c4:51:74:01, flash 4 MB"))
        page.locator("#stop").click()
        expect(page.locator("#go")).to_be_visible()
        asked.append(page.locator("body").inner_text())
    assert len(asked) > 10
    assert not any(secret in one for one in asked for secret in (WIFI_PASSWORD, DEVICE_PASSWORD))
    port.unplug()
    with filesystem(flash) as files:
        assert set(files.listdir("/")) == {"a", "data", "etc", "boot.py", "main.py", "slot.json"}
        slot = {
            f"{where}/{name}".removeprefix("/a/") for where, _, names in files.walk("/a") for name in names
        }
    assert slot == set(program["slot"])
    node = json.loads(read(flash, "/etc/node.json") or b"")
    assert (node["city"], node["device"], node["wifi"]["password"]) == ("tirana", "node-1", WIFI_PASSWORD)
    assert node["broker"]["password"] == DEVICE_PASSWORD


def test_ready_image_is_flashed_whole(page: Page, port: RomPort, flash: FlashFile, tmp_path: Path) -> None:
    """A file system made elsewhere is written beside MicroPython and boots; one of a wrong size is refused."""
    good, bad = tmp_path / "good.img", tmp_path / "bad.img"
    good.write_bytes(filesystem_image(DATA_SIZE, {"/main.py": b"print('hello from the image')"}))
    bad.write_bytes(filesystem_image(DATA_SIZE // 2, {"/main.py": b""}))
    page.locator('[name="mode"][value="image"]').check()
    page.locator("#f-filesystem").set_input_files(bad)
    begin(page, "image")
    assert "--size 0x200000" in problem(
        page, "file system has 0x100000 bytes, its place on this board 0x200000"
    )
    assert flash.is_blank(0, flash.size)
    page.locator("#f-filesystem").set_input_files(good)
    begin(page, "image")
    expect(page.locator("#log")).to_contain_text("hello from the image", timeout=SLOW_MS)
    step(page, "erase", "skipped")
    begin_again_keeps_files(page, good)


def begin_again_keeps_files(page: Page, image: Path) -> None:
    """A second time the board holds files: they go only if the technician says so."""
    page.locator("#stop").click()
    expect(page.locator("#go")).to_be_visible()
    begin(page, "image")
    assert "Erase everything first" in problem(page, "The board holds files")


def test_board_that_does_not_answer(browser: Browser, url: str, port: RomPort, flash: FlashFile) -> None:
    """A loader that stays silent ends in words about BOOT, and nothing is written."""
    port.faults.add(Fault(Act.IGNORE, Command.SYNC, times=0))
    with opened(browser, before=IMPATIENT) as page:
        page.goto(f"{url}/flash")
        expect(page.locator("#version")).to_contain_text("9.9.9")
        fill(page)
        begin(page)
        assert "Hold BOOT" in problem(page, "does not answer")
        step(page, "connect", "failed")
    assert flash.is_blank(0, flash.size)


def test_flash_that_differs_is_told(page: Page, port: RomPort) -> None:
    """If the chip's checksum is not that of what was written, the page says so and does not go on."""
    port.faults.add(Fault(Act.WRONG_MD5, Command.SPI_FLASH_MD5))
    fill(page)
    begin(page)
    problem(page, "does not hold what was written")
    step(page, "files", "todo")


def test_own_image_is_checked(page: Page, tmp_path: Path) -> None:
    """A file with another SHA-256 than asked for, or that is no image at all, is refused before a port is opened."""
    image, text = tmp_path / "image.bin", tmp_path / "text.bin"
    image.write_bytes(micropython_image())
    text.write_bytes(b"MicroPython, surely" * 9)
    forbid_ports(page)
    fill(page)
    page.locator("#source-own").check()
    page.locator("#f-image").set_input_files(text)
    begin(page)
    problem(page, "no image for an ESP32")
    page.locator("#f-image").set_input_files(image)
    expect(page.locator("#image-hash")).to_contain_text(hashlib.sha256(micropython_image()).hexdigest())
    page.locator("#f-image_hash").fill("0" * 64)
    begin(page)
    problem(page, "does not have the SHA-256")


def test_image_of_another_chip_is_refused(
    page: Page, port: RomPort, flash: FlashFile, tmp_path: Path
) -> None:
    """An image whose header names another chip than the one on the cable never reaches the flash."""
    image = tmp_path / "image.bin"
    image.write_bytes(micropython_image(chip_id=9))
    fill(page)
    page.locator("#source-own").check()
    page.locator("#f-image").set_input_files(image)
    begin(page)
    problem(page, "image is for esp32s3, the chip is esp32")
    assert flash.is_blank(0, flash.size)


def test_board_of_another_chip_is_refused(page: Page, port: RomPort, flash: FlashFile) -> None:
    """Settings for a board with another chip than the one on the cable are refused before anything is written."""
    fill(page)
    page.locator("#f-board").select_option("esp32-c3-devkitm")
    begin(page)
    problem(page, "has the chip esp32, the settings say esp32c3")
    assert flash.is_blank(0, flash.size)


def test_unplugged_while_flashing(page: Page, port: RomPort) -> None:
    """A cable pulled in the middle is told at once, and the same button makes the board whole afterwards."""
    port.faults.add(Fault(Act.UNPLUG, Command.FLASH_DEFL_DATA, first=2))
    fill(page)
    begin(page)
    problem(page, "The board is gone")
    step(page, "write", "failed")
    port.plug()
    begin(page)
    expect(page.locator("#log")).to_contain_text("the small program runs", timeout=SLOW_MS)


def test_stopped_while_flashing(page: Page, port: RomPort, flash: FlashFile) -> None:
    """Stopped in the middle, the page lets go of the port at once, and the same button begins anew."""
    port.faults.add(Fault(Act.IGNORE, Command.FLASH_DEFL_DATA, first=2))
    fill(page)
    begin(page)
    expect(page.locator("#rate")).to_contain_text("KB", timeout=SLOW_MS)
    page.locator("#stop").click()
    expect(page.locator("#problem")).to_be_hidden()
    begin(page)
    expect(page.locator("#log")).to_contain_text("the small program runs", timeout=SLOW_MS)
    assert flash.read(0x1000, 96 * 1024) == micropython_image()


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
    begin(page, "files")
    expect(page.locator("#rate")).to_contain_text("KB", timeout=SLOW_MS)
    link.unplug()
    problem(page, "The board is gone")
    assert read(set_up, "/main.py") is None
    port.plug()
    begin(page, "files")
    expect(page.locator("#log")).to_contain_text("the small program runs", timeout=SLOW_MS)
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
    expect(page.locator("#log")).to_contain_text("the small program runs", timeout=SLOW_MS)
    port.unplug()
    assert read(set_up, "/data/00000001.seg") is None
    assert read(set_up, "/b/stale.py") is None


def test_port_that_goes_with_each_restart(page: Page, set_up: FlashFile, port: RomPort) -> None:
    """A chip with USB of its own takes its port along when it restarts; the page opens it again when it is back."""
    page.evaluate("window.usbWithin = true")
    fill(page)
    begin(page, "files")
    expect(page.locator("#log")).to_contain_text("the small program runs", timeout=SLOW_MS)
    expect(page.locator("#problem")).to_be_hidden()


def test_log_is_shown_and_explained(page: Page, port: RomPort) -> None:
    """The log changes nothing on the board, restarts it when asked, and explains what the chip cannot."""
    begin(page, "log")
    step(page, "connect", "done")
    page.locator("#restart").click()
    expect(page.locator("#log .said").last).to_contain_text("invalid header: 0xffffffff")
    expect(page.locator("#log .hint")).to_contain_text("There is no MicroPython on the board")
    page.locator("#stop").click()
    expect(page.locator("#log")).to_contain_text("stopped by you")
    expect(page.locator("#problem")).to_be_hidden()


def test_port_that_cannot_be_had(page: Page, link: Link, port: RomPort) -> None:
    """No port chosen speaks of cables that only charge; a busy one of other programs and of permission."""
    page.evaluate("window.noPort = true")
    begin(page, "log")
    assert "only charge" in problem(page, "No port was chosen")
    page.evaluate("window.noPort = false")
    link.busy = True
    begin(page, "log")
    assert "dialout" in problem(page, "could not be opened")


def test_settings_are_checked_before_a_port_is_opened(page: Page) -> None:
    """What the node would refuse is marked in the form, with the first mistake in focus; no port is asked for."""
    forbid_ports(page)
    fill(page, "Node 1", tls=True)
    page.locator("#f-wifi_password").fill("short")
    begin(page)
    problem(page, "not complete")
    expect(page.locator("#f-device")).to_be_focused()
    for name, words in (("device", "Only a–z"), ("wifi_password", "8 characters"), ("ca", "TLS needs")):
        expect(page.locator(f"#w-{name}")).to_contain_text(words)
        expect(page.locator(f"#f-{name}")).to_have_attribute("aria-invalid", "true")


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("delete navigator.serial; delete Navigator.prototype.serial", "no Web Serial"),
        ("Object.defineProperty(window, 'isSecureContext', {value: false})", "no access to a serial port"),
    ],
    ids=["browser", "address"],
)
def test_without_web_serial(browser: Browser, url: str, before: str, words: str) -> None:
    """Where there is no Web Serial the page says which browsers or addresses have it, and points to the command."""
    with opened(browser, before=before) as page:
        page.goto(f"{url}/flash")
        expect(page.locator("#unable")).to_contain_text(words)
        expect(page.locator("#unable")).to_contain_text("qytet bench flash")
        expect(page.locator("#form")).to_be_hidden()
        page.get_by_role("button", name="Shqip").click()
        expect(page.locator("h1")).to_have_text("Përgatit një nyje")


def test_page_is_accessible_on_a_phone_too(page: Page) -> None:
    """It has its landmarks and one first heading, every input has a name, and nothing scrolls sideways."""
    page.set_viewport_size({"width": 360, "height": 740})
    for role in ("banner", "main"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select')]"
        ".filter(one => !one.labels[0]?.textContent.trim()).map(one => one.id)"
    )
    assert unnamed == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
