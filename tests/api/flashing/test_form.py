"""The page itself: what it asks for, refuses before a port is opened, shows of a log, and says where it cannot work."""

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from qytet_simulators.hardware.rom.port import RomPort
from tests.api.flash_bench import Link
from tests.api.flash_page import (
    begin,
    fill,
    micropython_image,
    opened,
    problem,
    step,
)


def forbid_ports(page: Page) -> None:
    """From now on asking for a port is an error of a script, which fails the test."""
    page.evaluate(
        "() => { navigator.serial.requestPort = () => { reportError(new Error('a port was asked for')) } }"
    )


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


def test_the_user_follows_the_device(page: Page) -> None:
    """The next board's name is its user's, too, unless another was typed: two boards of one user cut each other."""
    user = page.locator("#f-user")
    for name in ("node-1", "node-2"):
        page.locator("#f-device").fill(name)
        page.locator("#f-device").blur()
        expect(user).to_have_value(name)
    user.fill("gateway")
    page.locator("#f-device").fill("node-3")
    page.locator("#f-device").blur()
    expect(user).to_have_value("gateway")


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
