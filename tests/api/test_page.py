"""The first page in a real browser: values, ages, states, languages, and what happens when the server goes."""

import contextlib
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from qytet.embedded import EmbeddedPostgres
from tests.api import world
from tests.api.browser import chromium
from tests.api.served import Served, serve
from tests.servers.database import fresh_database

STATIC = Path(__file__).parents[2] / "api" / "qytet_api" / "page" / "static"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for this file."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_world(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database for this file; each test sets the readings that it looks at."""
    with fresh_database(postgres_server) as url:
        world.build(url)
        yield url


@pytest.fixture(scope="module")
def api(page_world: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The API on that database."""
    with serve(page_world, tmp_path_factory.mktemp("api")) as served:
        yield served


@pytest.fixture
def connection(page_world: str) -> Iterator[psycopg.Connection[Any]]:
    """The owner's connection to that database."""
    with psycopg.connect(page_world, autocommit=True) as connection:
        yield connection


WATCH = """cell => {
  window.shown = [];
  new MutationObserver(() => shown.push([cell.dataset.state, cell.querySelector(".state").textContent]))
    .observe(cell, {attributes: true});
}"""


def opened(browser: Browser, width: int, height: int) -> Iterator[Page]:
    """A page of that size; any script error and any sideways scrolling fails the test."""
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
        assert errors == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    finally:
        context.close()


@pytest.fixture(params=[(360, 740), (1366, 900)], ids=["phone", "desk"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of a phone's and of a desk's size."""
    yield from opened(browser, *request.param)


@pytest.fixture
def desk(browser: Browser) -> Iterator[Page]:
    """A page of a desk's size, where the size does not matter."""
    yield from opened(browser, 1366, 900)


def put(
    connection: psycopg.Connection[Any], key: str, value: float | None, age_s: float = 0, quality: int = 1
) -> int:
    """Make that the newest reading of tirana-air-01's `key`."""
    stream = world.datastream_id(connection, "tirana-air-01", key)
    world.add_latest(connection, stream, datetime.now(UTC) - timedelta(seconds=age_s), value, quality)
    return stream


def test_values_appear_change_and_age(api: Served, connection: psycopg.Connection[Any], page: Page) -> None:
    """A value appears with unit and decimal comma, changes without a reload, and its age ticks."""
    stream = put(connection, "pm2_5", 12.34)
    page.goto(f"{api.url}/city/tirana")
    cell = page.locator(f'[data-stream="{stream}"]')
    expect(cell).to_have_text("12,3µg/m³")
    expect(page.locator("h1")).to_have_text("Tirana")
    expect(page.get_by_role("heading", name="Ajri dhe moti")).to_be_visible()
    expect(page.locator("article .chip")).to_have_text("●gati")
    age = page.locator("article .age")
    expect(age).to_have_text(re.compile(r"para ([3-9]|[1-5]\d) s"))
    put(connection, "pm2_5", 1234.4)
    expect(cell.locator("b")).to_have_text("1234")


@pytest.mark.parametrize("back", [False, True], ids=["clock", "clock set back"])
def test_value_becomes_stale_before_the_eye(
    api: Served, connection: psycopg.Connection[Any], desk: Page, back: bool
) -> None:
    """A value that is not renewed becomes stale by itself: a shape and a word, not colour alone.

    It does so on a computer too whose clock is set back meanwhile.
    """
    stream = put(connection, "pm2_5", 12.34)
    desk.clock.install()
    desk.goto(f"{api.url}/city/tirana")
    cell = desk.locator(f'[data-stream="{stream}"]')
    expect(cell).to_have_attribute("data-state", "good")
    # The page may not show it for long: after five minutes without a word it asks the server anew, whose clock
    # says that no time has passed.
    cell.evaluate(WATCH)
    if back:
        desk.clock.set_system_time(datetime.now(UTC) - timedelta(hours=1))
    desk.clock.fast_forward("05:05")
    desk.wait_for_function("() => shown.length > 0", timeout=60_000)
    assert desk.evaluate("shown[0]") == ["stale", "◌ e vjetër para 5 min"]


@pytest.mark.parametrize(
    ("value", "quality", "words"),
    [(12.0, 3, "▲ e dyshimtë"), (12.0, 4, "✕ e pavlefshme"), (None, 9, "– mungon")],
)
def test_quality_has_shape_and_word(
    api: Served,
    connection: psycopg.Connection[Any],
    desk: Page,
    value: float | None,
    quality: int,
    words: str,
) -> None:
    """A value that is suspect, invalid or missing says so by shape and word."""
    stream = put(connection, "pm2_5", value, quality=quality)
    desk.goto(f"{api.url}/city/tirana")
    expect(desk.locator(f'[data-stream="{stream}"] .state')).to_have_text(words)


def test_language_switches_and_is_kept(api: Served, connection: psycopg.Connection[Any], desk: Page) -> None:
    """English is one click away, with its decimal point, and is kept over a reload."""
    stream = put(connection, "pm2_5", 12.34)
    desk.goto(f"{api.url}/city/tirana")
    cell = desk.locator(f'[data-stream="{stream}"]')
    expect(cell).to_have_text("12,3µg/m³")
    expect(desk.locator("html")).to_have_attribute("lang", "sq")
    desk.get_by_role("button", name="English").click()
    expect(cell).to_have_text("12.3µg/m³")
    expect(desk.get_by_role("heading", name="Air and weather")).to_be_visible()
    desk.reload()
    expect(cell).to_have_text("12.3µg/m³")
    expect(desk.locator("html")).to_have_attribute("lang", "en")


def test_page_outlives_the_server(
    page_world: str, connection: psycopg.Connection[Any], desk: Page, tmp_path: Path
) -> None:
    """When the server dies the page keeps its values and says since when; when it returns the page goes on."""
    stream = put(connection, "pm2_5", 12.34)
    cell = desk.locator(f'[data-stream="{stream}"]')
    notice = desk.locator("#notice")
    with held_port() as port:
        with serve(page_world, tmp_path, port=port) as api:
            desk.goto(f"{api.url}/city/tirana")
            expect(cell).to_have_text("12,3µg/m³")
            api.kill()
        expect(notice).to_have_text(re.compile(r"Lidhja u ndërpre në orën \d\d:\d\d:\d\d"))
        expect(cell).to_have_text("12,3µg/m³")
        put(connection, "pm2_5", 56.78)
        with serve(page_world, tmp_path, port=port):
            expect(cell).to_have_text("56,8µg/m³")
            expect(notice).to_be_hidden()


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody is given while the server is down; it may listen there all the same (SO_REUSEADDR)."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


def test_country_counts_devices(api: Served, page: Page) -> None:
    """The first view counts ready and silent devices of each city and leads to the city by keyboard."""
    page.goto(api.url)
    card = page.locator('a.card[href="/city/tirana"]')
    expect(card.locator(".count.ready")).to_have_text("●Gati2")
    expect(card.locator(".count.silent")).to_have_text("○Pa sinjal1")
    card.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Tirana")
    assert page.url.endswith("/city/tirana")


def test_unknown_city_says_so(api: Served, desk: Page) -> None:
    """A city that is not registered is said to be so, not an endless wait."""
    desk.goto(f"{api.url}/city/atlantis")
    expect(desk.locator("main")).to_have_text("Ky qytet nuk është i regjistruar.")


def test_page_has_landmarks_and_names(api: Served, connection: psycopg.Connection[Any], desk: Page) -> None:
    """A screen reader finds banner, navigation, main and footer, one first heading, and named cards."""
    put(connection, "pm2_5", 12.34)
    desk.goto(f"{api.url}/city/tirana")
    for role in ("banner", "navigation", "main", "contentinfo"):
        expect(desk.get_by_role(role)).to_have_count(1)
    expect(desk.get_by_role("heading", level=1)).to_have_count(1)
    expect(desk.get_by_role("article", name="Sheshi Skënderbej, tirana-air-01")).to_be_visible()
    desk.keyboard.press("Tab")
    expect(desk.locator(".skip")).to_be_focused()


def test_page_loads_nothing_from_elsewhere() -> None:
    """No file of the page names another host, save XML's own namespace."""
    for file in STATIC.iterdir():
        hosts = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text(encoding="utf-8"))
        assert set(hosts) <= {"http://www.w3.org"}, file.name


def test_texts_of_the_page_exist() -> None:
    """Every text that the page names is in the catalogue."""
    from qytet.messages import catalogue

    named = set()
    for file in STATIC.iterdir():
        named |= set(
            re.findall(r'(?:text\(|data-text=)"([a-z]+\.[a-z_]+)"', file.read_text(encoding="utf-8"))
        )
    assert len(named) > 10
    assert named <= set(catalogue("sq"))
