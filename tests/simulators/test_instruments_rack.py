"""The bench of simulated instruments: gateway and registry take what it writes, and it tells the truth."""

import asyncio
import itertools
import json
import signal
import stat
from struct import pack, unpack

import typer
from typer.testing import CliRunner

from qytet.db import registry
from qytet_edge.config import read_and_try
from qytet_simulators.commands import app
from qytet_simulators.instruments.rack import CONFIG, DEVICES, GATEWAY, METER, Rack, meter_truth


def test_what_it_writes_is_accepted(tmp_path):
    """The gateway takes the configuration, the registry the description, and the password is the owner's alone."""
    rack = Rack(tmp_path / "bench")
    rack.prepare("mqtt://someone:p%40ss@127.0.0.1:1883")
    config = read_and_try(rack.folder / CONFIG)
    assert [source.name for source in config.sources] == ["meters", "dust", "co2"]
    assert (config.uplink.url, config.uplink.user) == ("mqtt://127.0.0.1:1883", "someone")
    secret = rack.folder / "broker_password"
    assert secret.read_text() == "p@ss\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    description = registry.parse(json.loads((rack.folder / DEVICES).read_text()))
    assert {device.device: device.gateway for device in description.devices} == {
        GATEWAY: None,
        METER: GATEWAY,
    }


def test_the_meter_shows_the_truth_of_its_second(tmp_path):
    """A block of registers holds exactly the numbers of the second in which it was asked for, however long it takes."""
    seconds = itertools.count(1_790_000_000)
    rack = Rack(tmp_path, now=lambda: next(seconds) + 0.7)
    answer = rack.meter.answer(bytes((4, 0, 0, 0, 74)), rack.meter.next_fault())
    words = unpack(">74H", answer[2:])
    for address, value in meter_truth(1_790_000_000).items():
        assert (
            unpack(">f", pack(">HH", *words[address : address + 2]))[0] == unpack(">f", pack(">f", value))[0]
        )


def test_a_killed_bench_can_be_set_up_again(tmp_path):
    """Ports that a killed process has left are put in order, and the instruments are there."""
    for port in ("meters", "dust", "co2"):
        (tmp_path / port).symlink_to("/nowhere")
    rack = Rack(tmp_path)
    rack.prepare("mqtt://127.0.0.1:1883")

    async def look() -> list[bool]:
        stop, ready = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(rack.run(stop, ready))
        await ready.wait()
        there = [(tmp_path / port).exists() for port in ("meters", "dust", "co2")]
        stop.set()
        await running
        return there

    assert asyncio.run(asyncio.wait_for(look(), 60)) == [True, True, True]
    assert not (tmp_path / "dust").is_symlink()


def test_it_is_told_when_it_is_there(tmp_path, monkeypatch):
    """Whoever reads where the bench is finds its ports, and may end it with Ctrl-C: nothing is told before."""
    seen = []

    def told(text: str) -> None:
        ends_by_us = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        seen.append((json.loads(text)["config"], (tmp_path / "dust").exists(), ends_by_us))

    monkeypatch.setattr(typer, "echo", told)
    broker = "mqtt://127.0.0.1:1883"
    done = CliRunner().invoke(
        app, ["instruments", str(tmp_path), "--broker", broker, "--duration", "0", "--json"]
    )
    assert done.exit_code == 0, done.output
    assert seen == [(str(tmp_path / CONFIG), True, True)]
