"""The node's promise under fire: power cuts, lost networks, killed servers, clock steps, a full flash and an update."""

import http.server
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from qytet.db.migrate import connect
from qytet_bench import device_code, program
from qytet_bench.update import bundle
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.profiles import wiring_for
from tests.flow.kills import settle
from tests.nodes.account import judge
from tests.nodes.chaos import Chaos, Storm, plan
from tests.nodes.street import NODE, UPDATE_HOST, Street, register_node, settings_files
from tests.servers.micropython import MicroPython
from tests.servers.mosquitto import MosquittoServer

PROFILE = "water"
NEXT = "9.0.0"
SIX_HOURS_MS = 6 * 3600 * 1000
_FIRMWARE = "select firmware from qytet.device where device = %(device)s"
_COUNTED = "select max(value)::int from qytet.reading where device = %(device)s and property = 'dropped_records_total'"


@pytest.mark.parametrize(
    "chaos",
    [
        pytest.param(Chaos(seed=5), id="6h", marks=pytest.mark.timeout(1500)),
        *(
            pytest.param(Chaos(seed=seed, hours=24), id=f"24h-{seed}", marks=pytest.mark.soak)
            for seed in (21, 22, 23)
        ),
    ],
)
def test_nothing_that_a_node_accepted_is_lost_or_doubled(
    chaos: Chaos,
    micropython: MicroPython,
    mosquitto_tls: MosquittoServer,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    """Each record that the node accepted is stored once, with its values, or the node counted it as given up."""
    mosquitto_tls.add_users([NODE])
    mosquitto_tls.wait_for_user(NODE)
    built = program.build()
    signer = rsa.generate_private_key(65537, 2048)
    etc = settings_files(mosquitto_tls, PROFILE, report_s=10, keep_bytes=32768)
    etc["/etc/update.key"] = f"{signer.public_key().public_numbers().n:0512x}".encode()
    content = bundle.make(NEXT, _next_version(tmp_path).slot, signer)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "node.bundle").write_bytes(content)
    kind = device_code.kind(device_code.check_settings(json.loads(etc["/etc/node.json"])))
    register_node(postgres_url, kind.datastreams, PROFILE)
    with (
        _served(tmp_path / "served") as port,
        FlashFile(tmp_path / "flash.bin") as flash,
        Street(
            flash,
            wiring_for(kind.profile, kind.board, chaos.seed),
            mosquitto_tls,
            postgres_url,
            tmp_path,
            hosts={UPDATE_HOST: ("127.0.0.1", port)},
            start_unix_ms=int(time.time() * 1000) - int(chaos.hours * 3600_000) - SIX_HOURS_MS,
            stepped=True,
        ) as street,
    ):
        street.install(built, etc)
        order = {"url": f"http://{UPDATE_HOST}/node.bundle", "sha256": bundle.read(content).sha256}
        street.board.power_on()
        storm = Storm(street, lambda: _order(street, "storm", order))
        storm.play(plan(chaos))
        _calm(street, order)
        street.worker.stop()
        with connect(postgres_url) as connection:
            verdict = judge(connection, NODE, street.made)
            firmware = connection.execute(_FIRMWARE, {"device": NODE}).fetchone()
            counted = connection.execute(_COUNTED, {"device": NODE}).fetchone()
        print(f"\nseed {chaos.seed}: {verdict}\ndeeds: {dict(storm.done)}\nanswers: {street.marks.answers}")
        print(
            f"{len({boot for boot, _ in street.made})} boots, {sum(flash.erases)} erases, "
            f"{street.board.waited_s:.0f} s of waiting for servers, the node counted {counted} dropped"
        )
    assert verdict.lost == []
    assert verdict.wrong == []
    assert verdict.rejected == 0
    assert verdict.dropped, "the long outage filled no backlog"
    assert counted is not None
    assert counted[0] >= verdict.dropped, (
        "the node counts what it gives up, some of which had arrived without a mark"
    )
    assert firmware == (NEXT,)
    assert all(storm.done[what] for what in ("power", "wifi", "broker", "ingest", "clock", "full", "update"))


def _calm(street: Street, order: dict[str, str]) -> None:
    """All is well again: the update that the storm may have undone is ordered again, and everything drains."""

    if street.marks.answer("storm") != "done":
        street.run_for(600)
        _order(street, "calm", order)
        street.run_until(lambda: bool(street.marks.answer("calm")), 30, 7200, "the update ends")
    street.run_until(lambda: street.marks.drained, 60, 14400, "everything that was sent has its mark")
    street.run_for(900)
    settle(street.worker)


def _order(street: Street, ident: str, args: dict[str, str]) -> None:
    expires = street.board.clock.unix_ms() + SIX_HOURS_MS
    street.watcher.order(ident, "update", args, expires)


def _next_version(folder: Path) -> program.Program:
    """The same program under another version."""
    source = folder / "next"
    shutil.copytree(program.SOURCE, source)
    names = source / "qytet_node" / "__init__.py"
    text, count = re.subn(r'VERSION = "[^"]+"', f'VERSION = "{NEXT}"', names.read_text())
    assert count == 1
    names.write_text(text)
    return program.build(source)


@contextmanager
def _served(folder: Path) -> Iterator[int]:
    """A web server for updates, on loopback; its port."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
