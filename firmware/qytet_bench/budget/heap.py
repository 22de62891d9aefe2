"""How much memory a node takes: its life in a VM, connected over TLS, with every driver of its profile."""

import asyncio
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qytet.errors import QytetError
from qytet_bench.budget import micropython
from qytet_bench.budget.city import city
from qytet_bench.budget.dump import Heap, tables, weigh
from qytet_bench.program import Program

__all__ = ["Use", "measure"]

_RECORDS, _LOOKS = 5, 1500
_SETTINGS = {
    "v": 1,
    "city": "tirana",
    "device": "node-1",
    "board": "esp32-devkitc",
    "wifi": {"ssid": "city", "password": "12345678"},
    "report_s": 1,
}
_BROKER = {"host": "127.0.0.1", "tls": True, "name": "localhost", "user": "node-1"}


@dataclass(frozen=True, slots=True)
class Use:
    """A profile's memory in bytes of a 32-bit chip, after collection: in the steady state, and at its highest."""

    profile: str
    steady: int
    peak: int


async def measure(vm: Path, program: Program, profiles: Sequence[str]) -> list[Use]:
    """Let each profile live, two at a time. Raises QytetError where one does not come to a steady state."""
    turn = asyncio.Semaphore(2)
    with tempfile.TemporaryDirectory(prefix="qytet-budget-") as name:
        folder = Path(name)
        micropython.install(program, folder / "a")

        async def one(profile: str) -> Use:
            async with turn:
                return await _live(vm, folder, profile)

        return list(await asyncio.gather(*map(one, profiles)))


async def _live(vm: Path, folder: Path, profile: str) -> Use:
    own = folder / profile
    own.mkdir()
    async with city(own) as server:
        (own / "ca.der").write_bytes(server.ca)
        broker = {**_BROKER, "port": server.port, "password": "a password of the usual length"}
        settings = {
            **_SETTINGS,
            "profile": profile,
            "broker": broker,
            "ntp": [f"127.0.0.1:{server.ntp_port}"],
        }
        (own / "node.json").write_text(json.dumps(settings))
        files = {"root": "a", "etc": str(own), "flash": str(own / "flash"), "dump": str(own / "heap")}
        given = {**files, "records": _RECORDS, "looks": _LOOKS}
        (own / "life.json").write_text(json.dumps(given))
        said = await micropython.run(vm, "life.py", own / "life.json", folder)
    return _use(profile, said)


def _use(profile: str, said: str) -> Use:
    told = micropython.told(said)
    if not told.get("settled"):
        raise QytetError(f"The profile {profile} did not come to a steady state.", why=said[-800:])
    before, after = (_heap(part) for part in said.split("HEAP ")[1:3])
    resting = after.chip - before.chip + tables(after.names - before.names)
    # What comes and goes is mostly text, so it counts as it does in the VM.
    steady = resting + round(statistics.median(told["looks"])) - told["now"]
    return Use(profile, steady, resting + told["most"] - told["now"])


def _heap(part: str) -> Heap:
    name, _, table = part.partition("\n")
    return weigh(table.partition("\nEND")[0], Path(name))
