"""How the node fetches a file over a bad line, in the VM at the ESP32's heap size, from a real server."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.device import run
from tests.firmware.fileserver import FileServer, serving
from tests.firmware.test_network import _files
from tests.servers.certificates import Authority
from tests.servers.micropython import MicroPython

CONTENT = random.Random(7).randbytes(30_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
_CODE = """
import asyncio, gc, hashlib, json, sys
from binascii import hexlify
from qytet_node import fetch
fetch.RETRY_MS, fetch.TRIES = 5, 4
SILENT_S, PATIENT_S = 0.4, 50  # who is not meant to be silent has all the time that a busy machine takes
async def some(self, view, true=fetch.Source._some):
    stalls = self._path == "/stalls" and self._at == 3000 and not self._breaks
    fetch.SILENCE_S = SILENT_S if stalls else PATIENT_S
    return await true(self, view)
fetch.Source._some = some
given = json.load(open(sys.argv[1]))
async def fetched(url):
    whole, view = hashlib.sha256(), memoryview(bytearray(1000))
    source = fetch.Source(url, given["etc"])
    try:
        for _ in range(given["size"] // 1000):
            await source.fill(view)
            whole.update(view)
        return hexlify(whole.digest()).decode()
    finally:
        await source.close()
async def main():
    for url in given["urls"]:
        fetch.SILENCE_S = SILENT_S if url.endswith("/silent") else PATIENT_S
        try:
            said = await fetched(url)
        except Exception as error:
            said = [isinstance(error, fetch.FetchError), str(error) or type(error).__name__]
        print(json.dumps(said))
asyncio.run(main())
"""


def _fetch(vm: MicroPython, folder: Path, urls: Sequence[str], etc: Path | None = None) -> list[Any]:
    """The digest of what each gave, or whether it is hopeless and why."""
    given = folder / "given.json"
    given.write_text(json.dumps({"urls": urls, "size": len(CONTENT), "etc": str(etc or folder)}))
    return run(vm, _CODE, str(given))


def _after(server: FileServer, path: str) -> list[int]:
    """From where on a path was asked for, each time."""
    return [at for name, at in server.asked if name == path]


def test_a_bad_line_costs_time_only(micropython: MicroPython, tmp_path: Path) -> None:
    """A break or a stall is gone on from where it was; a server without Range, or that is busy, is borne with."""
    paths = ["file", "breaks", "stalls", "ignores_range", "once_busy"]
    with serving(CONTENT) as server:
        found = _fetch(micropython, tmp_path, [server.url(path) for path in paths])
        assert dict(zip(paths, found, strict=True)) == dict.fromkeys(paths, DIGEST)
        assert _after(server, "breaks") == [*range(0, 30_000, 4000)], "nothing is asked for twice"
        assert _after(server, "stalls")[:2] == [0, 3000]
        assert _after(server, "ignores_range") == [0, 5000, 5000]
        assert _after(server, "once_busy") == [0, 0, 0]


@pytest.mark.parametrize(
    ("path", "hopeless", "why"),
    [
        ("elsewhere", True, "the server answers 302, elsewhere"),
        ("missing", True, "the server answers 404"),
        ("short", True, "the server answers 416"),
        ("pieces", True, "the server encodes the file"),
        ("packed", True, "the server encodes the file"),
        ("another_part", True, "the server gives another part than it was asked for"),
        ("endless_head", True, "this is no HTTP server"),
        ("no_http", True, "this is no HTTP server"),
        ("dead", False, "the line broke"),
        ("silent", False, "TimeoutError"),
    ],
)
def test_what_will_not_come_ends_in_words(
    micropython: MicroPython, tmp_path: Path, path: str, hopeless: bool, why: str
) -> None:
    """Redirects are not followed; errors end at once, and silence after a bounded number of attempts."""
    with serving(CONTENT) as server:
        assert _fetch(micropython, tmp_path, [server.url(path)]) == [[hopeless, why]]
        tries = 4 if not hopeless else 2 if path in ("short", "another_part") else 1
        assert server.wait_for(tries) == tries


def test_addresses_that_are_none_are_refused(micropython: MicroPython, tmp_path: Path) -> None:
    """No other scheme, no port of letters, and no line break that would smuggle a second request in."""
    urls = [
        "ftp://x/y",
        "file:///etc/node.json",
        "http://",
        "http://x:y/",
        "http://x/a b",
        "http://x/\r\nA: b",
        "x",
    ]
    assert [hopeless for hopeless, _ in _fetch(micropython, tmp_path, urls)] == [True] * len(urls)


def test_https_is_verified_as_the_broker_is(micropython: MicroPython, tmp_path: Path) -> None:
    """With the city's authority and the server's own name the file comes, also over breaks; else not a byte."""
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    right, wrong = _files(tmp_path / "right", ours), _files(tmp_path / "wrong", other)
    with serving(CONTENT, ours) as server:
        urls = [server.url(), server.url("breaks")]
        assert _fetch(micropython, tmp_path, urls, right) == [DIGEST, DIGEST]
        asked = len(server.asked)
        strangers = _fetch(micropython, tmp_path, [server.url()], wrong)
        nobody = _fetch(micropython, tmp_path, [server.url()], tmp_path)
        assert "certificate" in strangers[0][1]
        assert "ENOENT" in nobody[0][1]
        assert len(server.asked) == asked, "no request went out"
