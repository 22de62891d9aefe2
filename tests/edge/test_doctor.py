"""`qytet edge doctor`: each fault is found, named, and comes with what to do."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qytet.doctor.finding import Finding, State, ok, worst
from qytet_edge import commands
from qytet_edge import config as configuration
from qytet_edge.clock import Clock
from qytet_edge.doctor import Scene, city, machine, sources
from qytet_edge.doctor.diagnose import examine
from qytet_edge.doctor.scene import SerialPort
from qytet_edge.inbox import kinds
from qytet_simulators.instruments.uart import SerialLine
from qytet_simulators.instruments.uart_models import Pms5003
from tests.edge.doctor_support import GATEWAY, GNSS, NOBODY, ROOT, Site, running, source, the_problem
from tests.servers.mosquitto import MosquittoServer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_configuration_that_is_wrong_is_the_only_finding(site: Site) -> None:
    """The command names the mistake, says what to do, and ends with 1; as JSON it is one object."""
    site.tables = "[[source]]\nkind = 'uart'\nname = 'dust'\nspeed = 3\n"
    result = CliRunner().invoke(commands.app, ["doctor", "--config", str(site.write()), "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["state"] == "problem"
    (finding,) = told["findings"]
    assert (finding["group"], finding["check"]) == ("gateway", "configuration")
    assert "speed" in finding["what"]
    assert finding["do"]


def test_a_gateway_that_does_not_run_is_examined_whole(site: Site) -> None:
    """Without a service every group is looked at, and what is wrong decides the exit code."""
    site.uart("/dev/ttyUSB77")
    result = CliRunner().invoke(commands.app, ["doctor", "--config", str(site.write()), "--json"])
    assert result.exit_code == 1
    found = {(one["group"], one["check"]): one for one in json.loads(result.stdout)["findings"]}
    assert found["gateway", "configuration"]["state"] == "ok"
    assert found["gateway", "service"]["state"] == "warning"
    assert found["wires", "serial port"]["state"] == "problem"
    assert found["sources", "dust"]["state"] == "problem"
    assert found["city", "broker"]["state"] == "problem"
    assert found["city", "registered"]["state"] == "warning"
    assert all(one.get("do") for one in found.values() if one["state"] != "ok")


def test_for_people_it_is_a_list_by_group(site: Site) -> None:
    """The same as text: groups, what was found, and what to do."""
    result = CliRunner().invoke(commands.app, ["doctor", "--config", str(site.write())])
    assert result.exit_code == 1
    assert "gateway" in result.output
    assert "Do: " in result.output


def test_a_spool_that_cannot_be_written_is_told(site: Site) -> None:
    """Folder absent, foreign, or with corrupt files beside it: each with the command that mends it."""
    assert worst(machine.spool(site.scene())) == "ok"
    (site.folder / "data").chmod(0o755)
    assert "may not write" in the_problem(list(machine.spool(site.scene(user=NOBODY)))).what
    (site.folder / "data/spool.corrupt-20260901T120000Z").touch()
    found = list(machine.spool(site.scene()))
    assert [one.state for one in found if "set aside" in one.what] == ["warning"]
    (site.folder / "data/spool.corrupt-20260901T120000Z").unlink()
    (site.folder / "data").rmdir()
    assert "not there" in the_problem(list(machine.spool(site.scene(user=NOBODY)))).what
    assert worst(machine.spool(site.scene())) == "ok", "the first start makes it"


def test_a_spool_that_cannot_grow_is_a_warning(site: Site) -> None:
    """The room is compared with what the spool may become."""
    site.write()
    site.path.write_text(site.path.read_text().replace("max_mb = 1", "max_mb = 1000000000"))
    scene = Scene(configuration.read(site.path), None, root=site.root, user=ROOT, ports=list)
    (found,) = machine.spool(scene)
    assert found.state == "warning"
    disk = os.statvfs(site.folder)
    (fits,) = re.findall(r"max_mb = (\d+)", found.do)
    assert 0.5 < int(fits) * (1 << 20) / (disk.f_bavail * disk.f_frsize) < 1


def test_a_disk_that_is_read_only_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights do not show it: Linux remounts a dying card so that nobody may write, root neither."""
    disk = list(os.statvfs(site.folder))
    disk[8] |= os.ST_RDONLY  # f_flag
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(disk))
    assert "read-only" in the_problem(list(machine.spool(site.scene()))).what


def test_what_the_running_spool_says_is_told(site: Site) -> None:
    """A full disk is a problem, dropped records are a warning."""
    full = running(spool={"full_since_ms": 1, "full_why": "no space left", "dropped": 7})
    found = list(machine.spool(site.scene(full)))
    assert "no space left" in the_problem(found).what
    assert any("7 records were dropped" in one.what for one in found)


def test_a_clock_that_nobody_vouches_for_is_a_warning(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records without time wait for it; of a gateway that runs, its own word counts."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(Clock.__init__, "__kwdefaults__", {**Clock.__init__.__kwdefaults__, "kernel": bool})
    site.trust = "auto"
    (found,) = asyncio.run(machine.clock(site.scene()))
    assert found.state == "warning"
    assert "nobody vouches" in found.what
    (found,) = asyncio.run(machine.clock(site.scene(running())))
    assert found.state == "ok"
    site.trust = "host"
    (found,) = asyncio.run(machine.clock(site.scene()))
    assert found.state == "ok"


def test_a_weak_supply_is_a_problem(site: Site) -> None:
    """Now: a problem; since the start: a warning."""
    flags = site.root / "sys/devices/platform/soc/soc:firmware/get_throttled"
    flags.parent.mkdir(parents=True)
    flags.write_text("50005\n")
    assert "4.63 V" in the_problem(list(machine.board(site.scene()))).what
    flags.write_text("50000\n")
    assert worst(machine.board(site.scene())) == "warning"


def test_a_password_that_others_may_read_is_a_warning(site: Site) -> None:
    """The file is named, and the password is not."""
    secret = site.folder / "password"
    secret.write_text("hunter2-and-more\n")
    secret.chmod(0o644)
    site.uplink = 'password_file = "password"'
    (found,) = machine.password(site.scene())
    assert found.state == "warning"
    assert "hunter2" not in str(found)
    secret.chmod(0o600)
    assert list(machine.password(site.scene())) == []
    secret.unlink()
    the_problem(list(machine.password(site.scene())))
    site.uplink = ""
    assert [one.state for one in machine.password(site.scene())] == ["warning"], "there is none at all"
    (site.folder / "broker_password").write_text("hunter2-and-more\n")
    (site.folder / "broker_password").chmod(0o600)
    assert list(machine.password(site.scene())) == [], "systemd would take it from there"


@pytest.mark.servers
def test_the_broker_is_tried_with_the_gateways_own_credentials(
    site: Site, mosquitto_tls: MosquittoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right credentials over TLS are let in; a wrong password, an unknown CA, a closed port are told apart."""
    monkeypatch.setattr("qytet_edge.doctor.city._LIMIT_S", 60.0)
    mosquitto_tls.add_users([GATEWAY])
    mosquitto_tls.wait_for_user(GATEWAY)
    secret = site.folder / "password"
    secret.write_text(mosquitto_tls.password(GATEWAY) + "\n")
    tls, trusted = f"mqtts://127.0.0.1:{mosquitto_tls.tls_port}", f'ca_file = "{mosquitto_tls.ca_file}"'

    def broker(url: str, more: str = "") -> Finding:
        site.url, site.uplink = url, f'password_file = "password"\n{more}'
        (found,) = asyncio.run(city.broker(site.scene()))
        return found

    assert broker(tls, trusted) == ok(
        f"{GATEWAY} is let in at 127.0.0.1:{mosquitto_tls.tls_port}, and may hear the city's marks"
    )
    assert "certificate is not trusted" in the_problem([broker(tls)]).what
    assert "TLS" in the_problem([broker(f"mqtts://127.0.0.1:{mosquitto_tls.port}", trusted)]).do
    assert the_problem([broker("mqtt://127.0.0.1:1")]).what.endswith("Connection refused")
    assert "not known" in the_problem([broker("mqtts://no-such-host.invalid")]).what
    secret.write_text("wrong\n")
    wrong = the_problem([broker(tls, trusted)])
    assert "password" in wrong.what


def test_only_a_mark_proves_that_the_gateway_is_registered(site: Site) -> None:
    """Connected for minutes without a mark is a problem; a fresh mark is well."""

    def judged(**uplink: Any) -> str:
        return city.registered(site.scene(running(uplink=uplink)))[0].state

    assert judged() == "ok"
    assert judged(last_mark_s=None) == "problem"
    assert judged(last_mark_s=None, since_s=5.0) == "warning"
    assert judged(last_mark_s=None, connected=False) == "warning"
    uplink = {
        "unconfirmed": [{"device": "m-1", "records": 7, "for_s": 200.0}]
    }  # the gateway itself has marks
    wrong = the_problem(city.registered(site.scene(running(uplink=uplink))))
    assert "m-1" in wrong.what
    assert f'm-1 registered with gateway = "{GATEWAY}"' in wrong.do
    assert city.registered(site.scene())[0].state == "warning"


def test_a_source_is_asked_while_the_gateway_does_not_run(site: Site) -> None:
    """The plug-in's own probe hears the sensor on its port; silence is a problem."""

    async def scene() -> None:
        path = site.folder / "port"
        site.uart(path)
        with SerialLine(path, Pms5003(), lambda: {"pm1": 1, "pm2_5": 2, "pm10": 3}, period_s=0.01):
            ((name, found),) = await sources.sources(site.scene())
        assert (name, found.state) == ("dust", "ok"), found
        assert found.what == f"port {path}: a pms5003 speaks", "its name stands before it already"
        ((_name, found),) = await sources.sources(site.scene())
        assert found.state == "problem"

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("told", "level", "said"),
    [
        (source(), "ok", "5 s ago"),
        (source(state="stuck"), "problem", "hangs"),
        (source(devices={}, errors=4, last_error="no answer"), "problem", "no answer"),
        (source(devices={}), "warning", "nothing yet"),
        (source(devices={}, detail=GNSS | {"fix": 1}), "ok", "time and place by satellite (12 sentences, 7"),
        (source(devices={}, detail=GNSS), "warning", "no fix yet"),
        (
            source(
                devices={
                    "a": {"seen_s": 2.0, "last_error": ""},
                    "b": {"seen_s": None, "last_error": "silent"},
                }
            ),
            "problem",
            "nothing comes from b",
        ),
        (source(devices={"a": {"seen_s": 5000.0, "last_error": ""}}), "warning", "5000 s ago"),
    ],
)
def test_what_the_running_gateway_says_of_a_source_is_judged(
    site: Site, told: dict[str, Any], level: str, said: str
) -> None:
    """While the gateway runs its ports are not touched: its own account counts."""
    site.uart("/dev/ttyUSB77")
    ((_name, found),) = asyncio.run(sources.sources(site.scene(running(sources=[told]))))
    assert (found.state, said in found.what) == (level, True)


def test_a_plug_in_that_hangs_or_breaks_hides_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that raises, or never ends, is a finding of its own source; the others are told all the same."""

    class Plugin:
        @staticmethod
        async def probe(config: Any, _context: Any) -> list[Finding]:
            if config.name == "broken":
                raise ZeroDivisionError("a bug")
            if config.name == "hangs":
                await asyncio.Event().wait()
            return [ok("well")]

    for name in ("broken", "hangs", "well"):
        site.tables += (
            f'[[source]]\nkind = "uart"\nname = "{name}"\nsensor = "pms5003"\nport = "/dev/x-{name}"\n'
        )
    scene = site.scene()
    monkeypatch.setattr(kinds, "load", lambda *_asked: Plugin)
    monkeypatch.setattr("qytet_edge.doctor.sources._LIMIT_S", 0.05)
    found = dict(asyncio.run(sources.sources(scene)))
    assert {name: one.state for name, one in found.items()} == {
        "broken": "problem",
        "hangs": "problem",
        "well": "ok",
    }


def test_an_output_that_cannot_be_moved_is_a_problem(site: Site) -> None:
    """What the running gateway says of its outputs is told."""
    outputs = [
        {"name": "lamp", "wanted": 30.0, "is": 30.0, "error": None},
        {"name": "valve", "wanted": 1.0, "is": None, "error": "no answer from unit 7"},
    ]
    found = dict(sources.outputs(site.scene(running(outputs=outputs))))
    assert found["lamp"].state == "ok"
    assert "unit 7" in the_problem([found["valve"]]).what


def test_a_check_that_fails_itself_is_a_finding(site: Site) -> None:
    """A bug in one check is told as such, and the other checks still answer."""

    def broken() -> list[SerialPort]:
        raise RuntimeError("the kernel said something new")

    found: list[Finding] = asyncio.run(examine(site.scene(running(), ports=broken)))
    (wrong,) = [one for one in found if one.state is State.PROBLEM]
    assert wrong.name == "serial port"
    assert "something new" in wrong.what
    assert {one.group for one in found} == {"wires", "machine", "city"}
