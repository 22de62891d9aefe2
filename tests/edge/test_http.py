"""Pulling pages: each value once, however often it is shown; a server that misbehaves costs nothing but its turn."""

import asyncio
import http.client
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from qytet.embedded.ports import LOOPBACK, free_port
from qytet_edge.inbox.files import HttpConfig, HttpSource, create, probe
from qytet_edge.inbox.files.fetch import Request, fetch
from qytet_edge.inbox.kinds import Context
from tests.edge.memory_sink import MemorySink
from tests.servers.certificates import Authority

T0 = 1789000000000
Handler = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server(http.server.ThreadingHTTPServer):
    """Answers with a function that the test may change; counts requests and remembers their headers."""

    daemon_threads = True

    def __init__(self, handle: Handler) -> None:
        super().__init__((LOOPBACK, 0), _Asked)
        self.handle_one = handle
        self.headers: list[dict[str, str]] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.server_address[1]}/data?key=secret"


class _Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.headers.append(dict(self.headers.items()))
        self.server.handle_one(self)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(handle: Handler, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(handle)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(body: bytes, **headers: str) -> Handler:
    def answer(asked: http.server.BaseHTTPRequestHandler) -> None:
        if headers.get("ETag") and asked.headers.get("If-None-Match") == headers["ETag"]:
            asked.send_response(304)
            asked.end_headers()
            return
        asked.send_response(200)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            asked.send_header(name, value)
        asked.end_headers()
        asked.wfile.write(body)

    return answer


def items(*rows: tuple[int, Any], **more: Any) -> bytes:
    return msgspec.json.encode(
        {"data": {"items": [{"at": T0 + t, "main": {"temp": v}, **more} for t, v in rows]}}
    )


def config(url: str, **more: Any) -> HttpConfig:
    settings = {
        "kind": "http",
        "name": "station",
        "url": url,
        "rows": "data.items",
        "column": [{"column": "main.temp", "key": "air_temperature"}],
        "time": {"column": "at", "format": "unix_ms"},
        "interval_s": 0.05,
        "timeout_s": 60,
    }
    return HttpConfig.model_validate(settings | more)


def context(folder: Path) -> Context:
    return Context("tirana", "gw-01", folder, folder)


async def pull(source: Any, sink: MemorySink, until: Callable[[], bool]) -> None:
    """Run the source until a condition on the sink holds."""
    assert isinstance(source, HttpSource)
    task = asyncio.create_task(source.run(sink))
    try:
        await sink.until(until)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def got(sink: MemorySink) -> list[tuple[Any, Any]]:
    return [((reading.t_ms or T0) - T0, *reading.values.values()) for reading in sink.readings]


def test_each_value_is_kept_once_however_often_it_is_shown(tmp_path: Path) -> None:
    """Pages overlap; what was seen is known by time, also after a restart; new rows come in the order of time."""

    async def work() -> None:
        sink = MemorySink()
        with serving(page(items((2, 20), (1, 10)))) as server:
            source = create(config(server.url), context(tmp_path))
            beats = sink.beats
            await pull(source, sink, lambda: sink.beats >= beats + 3)
            assert got(sink) == [(1, 10), (2, 20)]
            server.handle_one = page(items((2, 20), (3, 30)))
            await pull(create(config(server.url), context(tmp_path)), sink, lambda: len(sink.readings) == 3)
        assert got(sink) == [(1, 10), (2, 20), (3, 30)]
        assert {reading.tq for reading in sink.readings} == {"rtc"}

    asyncio.run(work())


def test_each_datastream_has_its_own_last_instant(tmp_path: Path) -> None:
    """A slow datastream of a page is not taken for seen because a quick one is ahead."""
    columns = [
        {"column": "main.temp", "key": "air_temperature", "device": "station-{who}"},
        {"column": "hum", "key": "relative_humidity", "device": "station-{who}"},
    ]
    first = b'[{"who":"a","at":%d,"main":{"temp":1}},{"who":"b","at":%d,"main":{"temp":2}}]' % (
        T0 + 9,
        T0 + 1,
    )
    second = b'[{"who":"a","at":%d,"hum":50},{"who":"b","at":%d,"main":{"temp":3}}]' % (T0 + 5, T0 + 2)

    async def work() -> None:
        sink = MemorySink()
        with serving(page(first)) as server:
            source = create(config(server.url, rows="", column=columns), context(tmp_path))
            await pull(source, sink, lambda: len(sink.readings) == 2)
            server.handle_one = page(second)
            await pull(source, sink, lambda: len(sink.readings) == 4)
        assert [(reading.device, *reading.values.items()) for reading in sink.readings] == [
            ("station-b", ("air_temperature", 2)),
            ("station-a", ("air_temperature", 1)),
            ("station-b", ("air_temperature", 3)),
            ("station-a", ("relative_humidity", 50)),
        ]

    asyncio.run(work())


def test_a_page_that_has_not_changed_is_not_sent_again(tmp_path: Path) -> None:
    """The page's tag is kept with its readings and asked with; an unchanged page is a sign of life, no reading."""

    async def work() -> None:
        sink = MemorySink()
        body = msgspec.json.encode({"main": {"temp": 21.5}})
        with serving(page(body, ETag='"one"', **{"Last-Modified": "yesterday"})) as server:
            settings = config(server.url, rows="", time=None)
            await pull(create(settings, context(tmp_path)), sink, lambda: sink.beats >= 3)
            await pull(create(settings, context(tmp_path)), sink, lambda: sink.beats >= 5)
        assert got(sink) == [(0, 21.5)]
        assert sink.readings[0].t_ms is None
        assert "If-None-Match" not in server.headers[0]
        assert {asked["If-None-Match"] for asked in server.headers[1:]} == {'"one"'}
        assert {asked["If-Modified-Since"] for asked in server.headers[1:]} == {"yesterday"}

    asyncio.run(work())


def test_csv_is_read_as_files_are(tmp_path: Path) -> None:
    """A CSV page has a header, and each bad row is told by its number without harm to the others."""
    body = f"\ufeffat,main.temp\r\n{T0 + 1},1\r\nnever,2\r\n{T0 + 3},x\r\n{T0 + 4},4\r\n"

    async def work() -> None:
        sink = MemorySink()
        with serving(page(body.encode())) as server:
            await pull(
                create(config(server.url, format="csv"), context(tmp_path)),
                sink,
                lambda: len(sink.readings) == 2,
            )
        assert got(sink) == [(1, 1), (4, 4)]
        assert [what.split(":")[0] for _, what in sink.troubles[:2]] == ["row 2", "row 3"]

    asyncio.run(work())


def test_two_values_for_one_instant_are_told(tmp_path: Path) -> None:
    """A page that contradicts itself gives the first value, and says so; the same for a page without times."""

    async def work() -> None:
        for time_rule in ({"column": "at", "format": "unix_ms"}, None):
            sink = MemorySink()
            with serving(page(items((1, 10), (1, 11)))) as server:
                source = create(config(server.url, time=time_rule), context(tmp_path))
                await pull(source, sink, lambda: bool(sink.readings))  # noqa: B023 - awaited here
            assert got(sink)[0][1] == 10
            assert "another air_temperature" in sink.troubles[0][1]

    asyncio.run(work())


def _status(code: int, **headers: str) -> Handler:
    def answer(asked: http.server.BaseHTTPRequestHandler) -> None:
        asked.send_response(code)
        for name, value in headers.items():
            asked.send_header(name, value)
        asked.send_header("Content-Length", "0")
        asked.end_headers()

    return answer


def _short(asked: http.server.BaseHTTPRequestHandler) -> None:
    asked.send_response(200)
    asked.send_header("Content-Length", "1000")
    asked.end_headers()
    asked.wfile.write(b'{"data":')


def _endless(asked: http.server.BaseHTTPRequestHandler) -> None:
    asked.send_response(200)
    asked.end_headers()
    try:
        while True:
            asked.wfile.write(b" " * 65536)
    except OSError:
        pass


def _garbage(asked: http.server.BaseHTTPRequestHandler) -> None:
    asked.wfile.write(b"\x00\x01\x02 no http\r\n\r\n")


@pytest.mark.parametrize(
    ("handle", "words"),
    [
        (_status(500), "500"),
        (_status(404), "404"),
        (_status(302, Location="http://elsewhere.example/"), "points to elsewhere.example"),
        (_short, "too early"),
        (_endless, "longer than max_bytes"),
        (_garbage, "not HTTP"),
        (page(b"<html>"), "no JSON"),
        (page(b'{"other":1}'), "nothing at 'data.items'"),
        (page(b"[" * 100_000), "no JSON"),
        (page(b'{"data":{"items":[1,"x",null]}}'), "not a time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_server_that_misbehaves_is_told_and_asked_again(
    handle: Handler, words: str, tmp_path: Path
) -> None:
    """Errors, redirections, broken and endless answers are troubles; the next good page is read. No secret is told."""

    async def work() -> None:
        sink = MemorySink()
        with serving(handle) as server:
            source = create(config(server.url), context(tmp_path))
            assert isinstance(source, HttpSource)
            task = asyncio.create_task(source.run(sink))
            await sink.until(lambda: bool(sink.troubles))
            server.handle_one = page(items((1, 10)))
            await sink.until(lambda: bool(sink.readings))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert words in sink.troubles[0][1]
        assert "secret" not in sink.troubles[0][1]
        assert got(sink) == [(1, 10)]

    asyncio.run(work())


@pytest.mark.parametrize("part", ["connection", "header", "body"])
def test_no_answer_takes_longer_than_it_may(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that dribbles bytes for ever cannot hold a request beyond its whole time, however late it began."""
    done, connect = threading.Event(), http.client.HTTPConnection.connect

    def late(connection: http.client.HTTPConnection) -> None:
        done.wait(0.6)
        connect(connection)

    if part == "connection":
        monkeypatch.setattr(http.client.HTTPConnection, "connect", late)

    def dribble(asked: http.server.BaseHTTPRequestHandler) -> None:
        if part == "body":
            asked.send_response(200)
            asked.end_headers()
        else:
            asked.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            while not done.wait(0.05):
                asked.wfile.write(b"x")
        except OSError:
            pass

    with serving(dribble) as server:
        at_last = threading.Timer(60, done.set)
        at_last.start()
        try:
            with pytest.raises(TimeoutError, match=r"within 0\.4 s"):
                fetch(Request(server.url, 0.4, 1000))
            assert not done.is_set(), "it would dribble for ever"
        finally:
            at_last.cancel()
            done.set()


def test_a_server_must_prove_who_it_is(tmp_path: Path) -> None:
    """TLS is verified by the given authority; another authority's server is refused, and gets no authorization."""
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate, key = authority.issue("localhost", server=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    (tmp_path / "token").write_text("Bearer abc\n")

    async def work() -> None:
        sink = MemorySink()
        with serving(page(items((1, 10))), tls) as server:
            trusting = config(server.url, ca_file=authority.certificate, authorization_file="token")
            await pull(create(trusting, context(tmp_path)), sink, lambda: bool(sink.readings))
            assert server.headers[0]["Authorization"] == "Bearer abc"
        with serving(page(items((1, 10))), tls) as server:
            doubting = config(server.url, ca_file=other.certificate, authorization_file="token")
            await pull(create(doubting, context(tmp_path)), sink, lambda: bool(sink.troubles))
            assert server.headers == []
        assert "certificate" in sink.troubles[0][1].lower()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "http://station.example/data"}, "plain http"),
        ({"url": "ftp://localhost/"}, "https://"),
        ({"url": "https://a:b@localhost/"}, "authorization_file"),
        ({"deadline_s": 100, "interval_s": 60}, "deadline_s"),
    ],
)
def test_an_unsafe_configuration_is_refused(change: dict[str, Any], words: str) -> None:
    """Plain http over the network, passwords in the URL, and deadlines that no good server could keep are refused."""
    with pytest.raises(ValidationError, match=words):
        config(**{"url": "http://localhost/"} | change)


def test_doctor_asks_once_and_says_what_it_saw(tmp_path: Path) -> None:
    """A good server, one that is away, one with other fields and one without values are told apart."""

    def levels(settings: HttpConfig) -> list[str]:
        return [found.state for found in asyncio.run(probe(settings, context(tmp_path)))]

    with serving(page(items((1, 10)))) as server:
        assert levels(config(server.url)) == ["ok"]
        assert levels(config(server.url, rows="nowhere")) == ["problem"]
        server.handle_one = page(items())
        assert levels(config(server.url)) == ["warning"]
        assert levels(config(server.url, authorization_file="nowhere")) == ["problem"]
    assert levels(config(f"http://localhost:{free_port()}/")) == ["problem"]
