"""A board is flashed from the page: with proof, or with words about what went wrong and what to do."""

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from qytet_bench.commands import app as bench
from qytet_bench.filesystem import image as filesystem_image
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.rom.faults import Act, Fault
from qytet_simulators.hardware.rom.packets import Command
from qytet_simulators.hardware.rom.port import RomPort
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
    runs,
    step,
    write_images,
)
from tests.api.flashing.conftest import DATA_SIZE, IMPATIENT, PATIENT
from tests.hardware.bench import filesystem


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
    runs(page, "hello from the image")
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
    runs(page)


def test_stopped_while_flashing(page: Page, port: RomPort, flash: FlashFile) -> None:
    """Stopped in the middle, the page lets go of the port at once, and the same button begins anew."""
    port.faults.add(Fault(Act.IGNORE, Command.FLASH_DEFL_DATA, first=2))
    fill(page)
    begin(page)
    expect(page.locator("#rate")).to_contain_text("KB", timeout=SLOW_MS)
    page.locator("#stop").click()
    expect(page.locator("#problem")).to_be_hidden()
    begin(page)
    runs(page)
    assert flash.read(0x1000, 96 * 1024) == micropython_image()
