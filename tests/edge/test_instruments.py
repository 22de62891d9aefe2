"""The whole gateway on simulated instruments of every kind: whatever half of them suffer, the other half goes on."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from qytet_edge import service, supervisor
from qytet_edge.config import read
from qytet_edge.gateway import Gateway
from qytet_edge.inbox import gpio
from qytet_edge.inbox.i2c import bus
from qytet_edge.inbox.pins import contact
from qytet_edge.inbox.relay import local
from qytet_edge.spool import Spool
from qytet_edge.systemd import Systemd
from tests.edge.instruments_support import HARMS, TRUTH, Deed, Street
from tests.edge.spool_support import everything
from tests.edge.test_http import serving
from tests.servers.mosquitto import MosquittoServer

pytestmark = pytest.mark.servers

HALVES = ({"rtu", "dust", "gnss", "log", "nodes"}, {"tcp", "co2", "air", "door", "page"})


@pytest.fixture
def street(tmp_path: Path, private_mosquitto: MosquittoServer, monkeypatch: pytest.MonkeyPatch) -> Street:
    """A street, and a gateway that loses no time over it."""
    found = Street(tmp_path, private_mosquitto)
    monkeypatch.setattr(bus, "open_smbus", lambda _path: found.i2c)
    monkeypatch.setattr(gpio, "_default", lambda: found.pins)
    monkeypatch.setattr(contact, "_CHATTER_S", 0.1)
    monkeypatch.setattr(local, "RECONNECT_S", (1, 1))
    quick = supervisor.Patience(first=0.05, most=0.2)
    monkeypatch.setattr(supervisor, "Patience", lambda: quick)
    return found


@pytest.mark.parametrize("harm", HARMS)
def test_half_of_the_instruments_fail_and_the_other_half_goes_on(
    street: Street, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unplugged, garbled or silent, each source is told to be in trouble, no other is held up, each comes back by
    itself, and nothing false was ever read."""

    async def main() -> None:
        async with street.there(), _at_work(street, monkeypatch) as gateway:
            await _move_on(gateway, HALVES[0] | HALVES[1])
            for half in HALVES:
                await _suffer(street, gateway, harm, half)
        async with Spool(street.folder / "data/spool.db") as kept:
            found = await everything(kept)
        for (device, _boot), said in found.items():
            for record in said if device != "gw-1" else ():
                for key, value in msgspec.json.decode(record.m).items():
                    assert any(value == pytest.approx(true, rel=2e-3) for true in TRUTH[device][key]), record
        assert {device for device, _boot in found} == {*TRUTH, "gw-1"}

    with serving(street.answer) as server:
        street.url = server.url
        asyncio.run(main())


@asynccontextmanager
async def _at_work(street: Street, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """The gateway as its service runs it."""
    found: asyncio.Future[Gateway] = asyncio.get_running_loop().create_future()

    async def opened(gateway: Gateway) -> None:
        found.set_result(gateway)

    monkeypatch.setattr(Gateway, "open_outputs", opened)
    config, stop = read(street.configure()), asyncio.Event()
    with Systemd({}) as systemd, service.claimed(config.data_dir):
        serving_ = asyncio.create_task(service.serve(config, stop, systemd))
        try:
            yield await asyncio.wait_for(found, 90)
        finally:
            stop.set()
            await serving_


async def _suffer(street: Street, gateway: Gateway, harm: str, half: set[str]) -> None:
    """Let it happen to one half, see it told and the other half go on; undo it, and see that half come back."""
    deeds = [(name, *deed) for name, deed in HARMS[harm].items() if name in half]
    accounts, others = gateway.supervisor.accounts, (HALVES[0] | HALVES[1]) - half
    errors = {name: accounts[name].errors for name, *_ in deeds}
    restarts = {name: accounts[name].restarts for name in others}
    await _do(street, (done for _, done, _ in deeds))
    await _until(
        lambda: [name for name in errors if accounts[name].errors <= errors[name]], "nothing is told"
    )
    await _move_on(gateway, others)
    assert {name: accounts[name].restarts for name in others} == restarts
    await _do(street, (undone for _, _, undone in deeds))
    await _move_on(gateway, half)


async def _do(street: Street, deeds: Iterable[Deed]) -> None:
    for deed in deeds:
        done = deed(street)
        if inspect.isawaitable(done):
            await done


async def _move_on(gateway: Gateway, names: set[str]) -> None:
    """Wait until each of these sources has read something new, three times over."""
    before = {name: _read(gateway, name) for name in names}
    await _until(lambda: [name for name in names if _read(gateway, name) < before[name] + 3], "nothing comes")


def _read(gateway: Gateway, name: str) -> int:
    """How much a source has read; a satellite receiver makes no records."""
    account = gateway.supervisor.accounts.get(name)
    if name == "gnss":
        source = next(source for source in gateway.sources if source.name == name)
        return int(source.state()["sentences_good"])  # type: ignore[attr-defined]
    return account.records if account else 0


async def _until(left: Callable[[], list[str]], what: str) -> None:
    """Wait until none is left."""
    try:
        async with asyncio.timeout(90):
            while left():  # noqa: ASYNC110 (an account tells nobody)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what}: {left()}") from None
