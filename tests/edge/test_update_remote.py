"""The city's command `update`: fetched over a bad line, installed by another, answered by whoever runs at the end."""

import asyncio
import contextlib
import hashlib
import http.client
import io
import threading
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from qytet.errors import InputError
from qytet_edge.update import apply, trial
from qytet_edge.update.fetch import _Redirects, check_url, fetch
from qytet_edge.update.remote import ATTEMPTS, Updates
from tests.edge.update_site import Site, build

LIMIT_S = 60


class Shop:
    """An HTTP server on loopback that gives one file; `cuts`: after how many bytes each answer breaks off."""

    def __init__(self, content: bytes) -> None:
        shop = self
        self.cuts: list[int] = []
        self.asked: list[str] = []
        self.status = 200
        self.drips = False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                shop.asked.append(wanted)
                start = int(wanted[6:-1]) if wanted else 0
                if start >= len(content):
                    self.send_error(416)
                    return
                status = 206 if wanted and shop.status == 200 else shop.status
                body = content[start:]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if shop.drips:
                    with contextlib.suppress(OSError):  # nobody listens any more
                        for byte in range(400):
                            self.wfile.write(body[byte : byte + 1])
                            time.sleep(0.005)
                    return
                self.wfile.write(body[: shop.cuts.pop(0)] if shop.cuts else body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/bundle.tar"
        self.sha256 = hashlib.sha256(content).hexdigest()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A gateway on which 0.1.0 runs."""
    return Site(tmp_path)


@pytest.fixture
def shop(site: Site) -> Iterator[Shop]:
    """A server that offers 0.2.0."""
    found = Shop(site.bundle("0.2.0").read_bytes())
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


class Process:
    """One life of the gateway's process: what it answers and logs."""

    def __init__(self, site: Site) -> None:
        self.answers: list[tuple[str, str, str]] = []
        self.told: list[str] = []
        self.changed = asyncio.Event()
        self.updates = Updates(site.layout, self._answer, self._tell, poll_s=0.01, pauses_s=(0.0,))

    async def _answer(self, ident: str, state: str, why: str) -> None:
        self.answers.append((ident, state, why))
        self.changed.set()

    async def _tell(self, level: str, line: str) -> None:
        self.told.append(f"{level}: {line}")

    async def until(self, state: str) -> str:
        """Wait for an answer; return its reason."""
        while True:
            self.changed.clear()
            for _ident, said, why in self.answers:
                if said == state:
                    return why
            await asyncio.wait_for(self.changed.wait(), LIMIT_S)


def live(site: Site, act: Callable[[Process], Awaitable[None]]) -> Process:
    """Let a process live while `act` lasts, then end it as a restart does."""

    async def life() -> Process:
        process = Process(site)
        task = asyncio.create_task(process.updates.run())
        try:
            await act(process)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return process

    return asyncio.run(life())


async def requested(site: Site) -> None:
    """Wait until the process asks for the installation, as systemd's path unit does."""
    async with asyncio.timeout(LIMIT_S):
        while not site.layout.request.exists():  # noqa: ASYNC110 (what appears is a file)
            await asyncio.sleep(0.005)


def install(site: Site) -> str:
    """What qytet-edge-update.service does."""
    return apply.requested(site.layout, builder=build, smoke=lambda *_: None, restart=lambda: None)


def ask(site: Site, shop: Shop) -> Callable[[Process], Awaitable[None]]:
    """A process that gets the command and is ended when it has handed the bundle over."""

    async def act(process: Process) -> None:
        await process.updates.command("c1", {"url": shop.url, "sha256": shop.sha256})
        await requested(site)

    return act


def test_the_new_release_answers_done(site: Site, shop: Shop) -> None:
    """Accepted by the old process, done by the new one after the city stored its record; nothing fetched is left."""
    old = live(site, ask(site, shop))
    assert old.answers == [("c1", "accepted", "")]
    assert install(site) == "0.2.0"

    async def prove(process: Process) -> None:
        site.proves(site.starts())
        site.guard("look")
        await process.until("done")

    new = live(site, prove)
    assert new.answers == [("c1", "done", "")]
    assert new.told == ["info: update committed: release 0.2.0"]
    assert site.running() == "0.2.0"
    assert sorted(path.name for path in site.layout.service.iterdir()) == ["evidence", "told"]


def test_the_old_release_answers_failed(site: Site, shop: Shop) -> None:
    """A release that never proves itself is gone, and the city hears why from the one that came back."""
    live(site, ask(site, shop))
    install(site)
    for _ in range(trial.STARTS + 1):
        site.guard("start")

    async def wait(process: Process) -> None:
        assert "went back to 0.1.0" in await process.until("failed")

    old = live(site, wait)
    assert old.told[0].startswith("warning: update failed: release 0.2.0")
    assert live(site, lambda _process: asyncio.sleep(0.05)).told == [], "told once"


def test_a_line_that_breaks_is_taken_up_where_it_broke(site: Site, shop: Shop) -> None:
    """Each attempt goes on after the bytes that are there; the bundle arrives whole."""
    shop.cuts = [3000, 2000]
    live(site, ask(site, shop))
    assert shop.asked == ["", "bytes=3000-", "bytes=5000-"]
    assert install(site) == "0.2.0"


def test_what_was_fetched_before_a_crash_is_no_trap(site: Site, shop: Shop) -> None:
    """A part that is as long as the bundle, but wrong, is thrown away and fetched anew."""
    part = site.layout.service / f"bundle-{shop.sha256}.tar.part"
    part.write_bytes(b"x" * 1_000_000)
    live(site, ask(site, shop))
    assert shop.asked == ["bytes=1000000-", ""]


def test_a_dead_line_fails_in_the_end(site: Site, shop: Shop) -> None:
    """After the last attempt the city hears that the bundle could not be fetched."""
    shop.cuts = [10] * 50

    async def act(process: Process) -> None:
        await process.updates.command("c1", {"url": shop.url, "sha256": shop.sha256})
        assert "could not be fetched" in await process.until("failed")

    live(site, act)
    assert len(shop.asked) == ATTEMPTS
    assert site.running() == "0.1.0"


def test_the_wrong_file_is_not_handed_over(site: Site, shop: Shop) -> None:
    """What has another SHA-256, or an error page in its place, fails at once and leaves nothing."""
    for status, sha256, why in ((200, "0" * 64, "not the bundle"), (404, shop.sha256, "404")):
        shop.status = status

        async def act(process: Process, sha256: str = sha256, why: str = why) -> None:
            await process.updates.command("c1", {"url": shop.url, "sha256": sha256})
            assert why in await process.until("failed")

        live(site, act)
    assert not site.layout.request.exists()
    assert not list(site.layout.service.glob("bundle-*"))


def test_a_broken_file_in_the_way_does_not_stop_the_gateway(site: Site, shop: Shop) -> None:
    """A command file that cannot be read is passed over, and the next command is carried out."""
    (site.layout.service / "command").write_bytes(b"\x00garbage")
    assert live(site, ask(site, shop)).answers == [("c1", "accepted", "")]


def test_the_same_command_twice_is_one_update(site: Site, shop: Shop) -> None:
    """Repeated while it is under way: accepted again. Repeated after its end: the end again. Another one: refused."""
    args = {"url": shop.url, "sha256": shop.sha256}

    async def twice(process: Process) -> None:
        await ask(site, shop)(process)
        await process.updates.command("c1", args)
        await process.updates.command("c2", args)

    first = live(site, twice)
    assert [answer[:2] for answer in first.answers] == [
        ("c1", "accepted"),
        ("c1", "accepted"),
        ("c2", "failed"),
    ]
    install(site)
    site.proves(site.starts())
    site.guard("look")

    async def again(process: Process) -> None:
        await process.until("done")
        await process.updates.command("c1", args)

    assert live(site, again).answers == [("c1", "done", "")] * 2
    assert len(shop.asked) == 1


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"url": "http://example.org/b", "sha256": "0" * 64},
        {"url": "file:///etc/passwd", "sha256": "0" * 64},
        {"url": "https://example.org/b", "sha256": "short"},
        {"url": 7, "sha256": None},
    ],
)
def test_wrong_arguments_are_answered(site: Site, args: dict[str, object]) -> None:
    """A command that cannot be carried out fails with a reason, and nothing is fetched or kept."""

    async def act(process: Process) -> None:
        await process.updates.command("c1", args)

    (answer,) = live(site, act).answers
    assert answer[:2] == ("c1", "failed")
    assert answer[2]
    assert not (site.layout.service / "command").exists()


def test_a_gateway_without_the_install_script_says_so(site: Site) -> None:
    """A gateway that runs from a checkout cannot be updated from afar, and answers that."""
    site.layout.current.unlink()

    async def act(process: Process) -> None:
        await process.updates.command("c1", {"url": "https://example.org/b", "sha256": "0" * 64})

    assert "install script" in live(site, act).answers[0][2]


def test_a_power_cut_while_installing_is_made_good(site: Site, shop: Shop) -> None:
    """The request outlives an installation that was cut; after three cuts it ends as failed."""
    live(site, ask(site, shop))
    kept = site.layout.request.read_bytes()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    for _ in range(apply.ATTEMPTS):
        with contextlib.suppress(KeyboardInterrupt):
            apply.requested(site.layout, builder=dies, smoke=lambda *_: None, restart=lambda: None)
        site.layout.request.write_bytes(kept)  # a power cut runs no `finally`
    with pytest.raises(InputError, match="cut off 3 times"):
        install(site)

    async def wait(process: Process) -> None:
        assert "cut off" in await process.until("failed")

    live(site, wait)
    assert site.running() == "0.1.0"


@pytest.mark.parametrize("kind", ["link", "pipe", "junk", "path", "folder"])
def test_root_trusts_nothing_in_the_gateway_s_folder(site: Site, kind: str) -> None:
    """A gateway that was taken over cannot make root read, write or run what it may not."""
    request = site.layout.request
    if kind == "link":
        (site.root / "secret").write_bytes(b'{"ident":"c1","bundle":"x"}')
        request.symlink_to(site.root / "secret")
    elif kind == "pipe":
        import os

        os.mkfifo(request)
    elif kind == "junk":
        request.write_bytes(b"\xff" * 10_000)
    elif kind == "path":
        request.write_bytes(msgspec.json.encode({"ident": "c1", "bundle": "../../../etc/passwd"}))
    else:
        name = f"bundle-{'0' * 64}.tar"
        (site.layout.service / name).mkdir()
        request.write_bytes(msgspec.json.encode({"ident": "c1", "bundle": name}))
    with pytest.raises((InputError, OSError)):
        install(site)
    assert not request.is_symlink()
    assert not request.exists()
    assert site.running() == "0.1.0"


def test_a_bundle_bigger_than_allowed_is_not_taken(site: Site, shop: Shop) -> None:
    """A server that sends without end cannot fill the disk."""
    with pytest.raises(InputError, match="bigger than"):
        fetch(shop.url, shop.sha256, site.root / "x.tar", threading.Event(), most=1000)
    assert not (site.root / "x.tar").exists()
    assert (site.root / "x.tar.part").stat().st_size <= 1000


def test_an_ending_gateway_waits_for_no_download(site: Site, shop: Shop) -> None:
    """A stop ends a download at its next piece; the next process goes on from there."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(OSError, match="ending"):
        fetch(shop.url, shop.sha256, site.root / "x.tar", stop)


def test_a_download_leaves_the_spool_its_room(site: Site, shop: Shop) -> None:
    """Where the disk is short, nothing that was fetched stays on it, and the city hears why."""
    with pytest.raises(InputError, match="no room"):
        fetch(shop.url, shop.sha256, site.root / "x.tar", threading.Event(), spare=1 << 60)
    assert not list(site.root.glob("x.tar*"))


def test_a_server_that_drips_is_left(site: Site, shop: Shop) -> None:
    """A server that sends a byte now and then holds no update up for ever; what came is kept for the next attempt."""
    shop.drips = True
    with pytest.raises(OSError, match="too slow"):
        fetch(shop.url, shop.sha256, site.root / "x.tar", threading.Event(), longest_s=0.1)
    assert (site.root / "x.tar.part").stat().st_size > 0
    shop.drips = False
    fetch(shop.url, shop.sha256, site.root / "x.tar", threading.Event())
    assert len(shop.asked) == 2
    assert shop.asked[1]


def test_a_piece_that_took_too_long_is_kept_all_the_same(site: Site, shop: Shop) -> None:
    """A machine that stands still past the end of an attempt keeps what that attempt brought, and so gets on."""
    shop.drips = True
    with pytest.raises(OSError, match="too slow"):
        fetch(shop.url, shop.sha256, site.root / "x.tar", threading.Event(), longest_s=0.0)
    assert (site.root / "x.tar.part").stat().st_size > 0


def test_no_server_sends_us_to_our_own_machine() -> None:
    """A redirection from https to plain http of this machine, where other services listen, is not followed."""
    handler, request = _Redirects(), urllib.request.Request("https://example.org/x")
    headers = http.client.HTTPMessage()
    with pytest.raises(InputError, match="https only"):
        handler.redirect_request(request, io.BytesIO(), 302, "", headers, "http://127.0.0.1:8080/admin")
    assert handler.redirect_request(request, io.BytesIO(), 302, "", headers, "https://cdn.example.org/x")


def test_only_https_leaves_the_machine() -> None:
    """Bundles come over TLS; plain HTTP is for this machine only."""
    check_url("https://example.org/x")
    check_url("http://127.0.0.1:80/x")
    for url in ("http://example.org", "ftp://example.org", "http://127.0.0.1.example.org", "https:///x", "x"):
        with pytest.raises(InputError):
            check_url(url)
