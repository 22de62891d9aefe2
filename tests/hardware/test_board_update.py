"""A simulated board updates itself over TLS: the real main.py and program, flash, watchdog, radio and time."""

import contextlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from qytet_bench.program import Program, build
from qytet_bench.update import bundle
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from qytet_simulators.hardware.profiles import surroundings
from qytet_simulators.hardware.wiring import Wiring
from tests.firmware.device import DEVICE
from tests.firmware.fileserver import serving
from tests.firmware.test_network import _files
from tests.firmware.test_uplink import City
from tests.hardware.bench import filesystem
from tests.hardware.conftest import MakeBoard
from tests.hardware.node import put
from tests.servers.mosquitto import MosquittoServer

NODE = "node-1"
PRESENT = re.findall(r'^VERSION = "(.+)"', (DEVICE / "qytet_node/__init__.py").read_text(), re.MULTILINE)[0]
_LIMITS = "TRIAL_MS, SETTINGS_MS = {}, 600000"
_SHORT_TRIAL = ("ota.py", _LIMITS.format(1800000), _LIMITS.format(150000))
pytestmark = pytest.mark.servers


class StoringCity(City):
    """A city that stores what comes and says so at once, unless it is `deaf` to a version; it remembers answers."""

    def __init__(self, broker: MosquittoServer, deaf: str = "") -> None:
        self._deaf, self._versions = deaf, dict[str, str]()
        self.answers: dict[str, list[str]] = {}
        self.whys: dict[str, str] = {}
        super().__init__(broker)
        self.subscribe(f"qytet/v1/tirana/{NODE}/ack/+")

    def order(self, ident: str, name: str, **args: object) -> None:
        """Send a command."""
        exp = int(time.time() * 1000) + 86_400_000
        payload = json.dumps({"v": 1, "cmd": name, "exp": exp, "args": args})
        self.mqtt.publish(f"qytet/v1/tirana/{NODE}/cmd/{ident}", payload, 1).wait_for_publish(10)

    def born(self) -> list[str]:
        """The versions in the order of their births."""
        return [birth["fw"] for birth in self.of("birth")]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """The same with more patience: half an hour of the board's passes meanwhile."""
        with self._came:
            assert self._came.wait_for(condition, 150), (self.born(), self.answers, self.whys)

    def _on_message(self, client: object, user: object, message: mqtt.MQTTMessage) -> None:
        said = json.loads(message.payload)
        kind = message.topic.split("/")[4]
        if kind == "ack":
            ident = message.topic.rpartition("/")[2]
            self.answers.setdefault(ident, []).append(said["s"])
            self.whys[ident] = said["why"]
        elif kind == "birth":
            self._versions[said["boot"]] = said["fw"]
        elif kind in ("obs", "hist") and self._versions.get(said["boot"]) != self._deaf:
            last = said["seq"] if kind == "obs" else max((row[0] for row in said["r"]), default=0)
            mark = {"v": 1, "boot": said["boot"], "seq": last}
            self.mqtt.publish(f"qytet/v1/tirana/{NODE}/stored", json.dumps(mark), 1)
        super()._on_message(client, user, message)


@pytest.fixture(scope="module")
def program() -> Program:
    """This release, compiled."""
    made = build()
    assert made.version == PRESENT
    return made


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """A key that signs."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def broker(mosquitto_tls: MosquittoServer) -> MosquittoServer:
    """A broker with TLS that knows the node."""
    mosquitto_tls.add_users([NODE])
    mosquitto_tls.wait_for_user(NODE)
    return mosquitto_tls


def _board_files(
    program: Program, broker: MosquittoServer, key: rsa.RSAPrivateKey, folder: Path
) -> dict[str, bytes]:
    assert broker.authority is not None
    settings = {
        "v": 1,
        "city": "tirana",
        "device": NODE,
        "profile": "air",  # the largest: what an update needs must be free beside it
        "board": "esp32-devkitc",
        "wifi": {"ssid": "qytet-bench", "password": "bench-password"},
        "broker": {
            "host": "localhost",
            "port": broker.tls_port,
            "tls": True,
            "user": NODE,
            "password": broker.password(NODE),
        },
        "ntp": ["time.test"],
        "report_s": 60,
    }
    etc = _files(folder / "etc", broker.authority)
    files = {f"/a/{name}": content for name, content in program.slot.items()}
    files |= {f"/{name}": content for name, content in program.root.items()}
    return files | {
        "/slot.json": b'{"run":"a","trial":null,"left":0}',
        "/etc/node.json": json.dumps(settings).encode(),
        "/etc/ca.der": (etc / "ca.der").read_bytes(),
        "/etc/update.key": f"{key.public_key().public_numbers().n:0512x}".encode(),
    }


def _sensors() -> Wiring:
    """Everything that the profile measures with, at the board's pins."""
    board = json.loads((DEVICE / "boards/esp32-devkitc.json").read_text())
    return surroundings(json.loads((DEVICE / "profiles/air.json").read_text()), board).wiring


@dataclass
class Pole:
    """A board with this release on it, on its way to a city; `bundle` makes a version for it."""

    make_board: MakeBoard
    flash: FlashFile
    broker: MosquittoServer
    key: rsa.RSAPrivateKey
    folder: Path

    def bundle(self, *changes: tuple[str, str, str]) -> bytes:
        """The same program as version 9.9.9, with changes: module, what is there, what comes in its place."""
        source = self.folder / "device"
        shutil.copytree(DEVICE, source)
        for name, old, new in (("__init__.py", f'"{PRESENT}"', '"9.9.9"'), *changes):
            path = source / "qytet_node" / name
            text = path.read_text()
            assert text.count(old) == 1, (name, old)
            path.write_text(text.replace(old, new))
        made = build(source)
        assert made.version == "9.9.9"
        return bundle.make(made.version, made.slot, self.key)

    @contextlib.contextmanager
    def born(self, wiring: Wiring | None = None, deaf: str = "") -> Iterator[tuple[Board, StoringCity]]:
        """The board, and the city that has heard of it."""
        with StoringCity(self.broker, deaf) as city:
            board = self.make_board(None, wiring)
            board.power_on()
            city.wait_until(lambda: bool(city.of("birth")))
            yield board, city


@pytest.fixture
def pole(
    make_board: MakeBoard,
    flash: FlashFile,
    broker: MosquittoServer,
    program: Program,
    key: rsa.RSAPrivateKey,
    tmp_path: Path,
) -> Pole:
    """A board with this release."""
    with filesystem(flash, fresh=True) as there:
        put(there, _board_files(program, broker, key, tmp_path).items())
    return Pole(make_board, flash, broker, key, tmp_path)


def _ordered(city: StoringCity, new: bytes, url: str, state: str) -> str:
    """Order the update, and wait until it is answered with that; returns why."""
    city.order("u1", "update", url=url, sha256=sha256(new).hexdigest())
    city.wait_until(lambda: state in city.answers.get("u1", []))
    return city.whys["u1"]


def test_a_board_updates_itself_and_stays(pole: Pole) -> None:
    """Ordered, fetched over TLS while it goes on reporting, restarted, proved by a stored reading, answered once."""
    new = pole.bundle()
    with serving(new, pole.broker.authority) as server, pole.born(_sensors()) as (board, city):
        _ordered(city, new, server.url("breaks"), "done")
        assert city.born()[0] == PRESENT
        assert city.born()[-1] == "9.9.9"
        assert city.answers["u1"].count("done") == 1
        assert "failed" not in city.answers["u1"]
        board.power_cut()
        board.power_on()
        births = len(city.born())
        city.wait_until(lambda: len(city.born()) > births)
        assert city.born()[-1] == "9.9.9", "what is kept needs no trial any more"
    board.power_cut()
    pole.flash.restore()
    with filesystem(pole.flash) as files, files.open("/slot.json", "rb") as file:
        state = json.loads(file.read())
    assert (state["run"], state["trial"], state["why"]) == ("b", None, "")


def test_a_board_comes_back_from_what_brings_no_reading(pole: Pole) -> None:
    """From a network with a wrong password, and from a version of which no reading is stored, each in its time.

    The version gives itself some minutes instead of thirty.
    """
    new = pole.bundle(_SHORT_TRIAL)
    with serving(new) as server, pole.born(_sensors(), deaf="9.9.9") as (board, city):
        city.order("n1", "network", wifi={"password": "not the password"})
        city.wait_until(lambda: "failed" in city.answers.get("n1", []))
        assert city.whys["n1"] == "no reading of it was stored in time"
        assert _ordered(city, new, server.url(), "failed") == "no reading of it was stored in time"
        assert city.born()[-1] == PRESENT
        assert "9.9.9" in city.born()
        assert 12 * 60 < board.now_s() < 22 * 60


def test_a_version_that_measures_nothing_goes(pole: Pole) -> None:
    """Nulls and health that are stored prove nothing: with no sensor that answers, the version before runs again."""
    new = pole.bundle(_SHORT_TRIAL)
    with serving(new) as server, pole.born() as (_, city):
        assert _ordered(city, new, server.url(), "failed") == "no reading of it was stored in time"
        (tried,) = {birth["boot"] for birth in city.of("birth") if birth["fw"] == "9.9.9"}
        assert any(record["boot"] == tried for record in city.of("obs")), "its health was stored"


def test_a_version_that_hangs_is_bitten_until_it_goes(pole: Pole) -> None:
    """The watchdog is on before anything of a slot runs: three bites, and the version before is back.

    Then Ctrl-C gives the prompt, with ten minutes to work at it, and Ctrl-D starts the node again.
    """
    last = "    asyncio.run(App("
    new = pole.bundle(("app.py", last, f"    import time\n\n    time.sleep(100000)\n{last}"))
    with serving(new) as server, pole.born() as (board, city):
        why = _ordered(city, new, server.url(), "failed")
        assert why == "no reading of it was stored, and its starts are used up"
        assert [event.facts["limit_ms"] for event in board.events.all("watchdog")] == [120_000] * 3
        _interrupt(board)
        assert board.chip.watchdog_ms == 600_000
        births = len(city.born())
        board.console.feed(b"\x04")
        city.wait_until(lambda: len(city.born()) > births)


def _interrupt(board: Board) -> None:
    """Press Ctrl-C until the prompt is there."""
    said = len(board.console.text)
    for _ in range(10):
        board.console.feed(b"\x03")
        with contextlib.suppress(TimeoutError):
            board.console.wait_for(">>> ", 2, since=said)
            return
    raise AssertionError(board.console.text[said:])
