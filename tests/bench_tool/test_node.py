"""What a node is told, from bench.toml: complete, checked by the node's own rules, and refused in words."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from qytet.deploy import tls
from qytet.errors import InputError
from qytet_bench import device_code, filesystem, layout, settings
from qytet_bench.commands import app
from qytet_bench.node import NodeSettings, node
from qytet_bench.program import Program
from tests.bench_tool.desk import WIFI_PASSWORD, Desk
from tests.firmware.device import run
from tests.servers.micropython import MicroPython

PASSWORD = "a-device-password"
PROGRAM = Program("9.9.9", {f"qytet_node/m{n}.mpy": bytes(5000) for n in range(40)}, {"main.py": b"pass"})


def test_node_json_is_what_the_node_itself_accepts(desk: Desk, micropython: MicroPython) -> None:
    """The node's own check, in a MicroPython VM, takes what the bench writes, and reads out of it what was meant."""
    desk.common |= {
        "ntp": ["ntp.tirana.example"],
        "report_s": 30,
        "keep_bytes": 1_000_000,
        "pins": {"in1": 13},
    }
    desk.write()
    files = node(desk.settings, "node-1", board="esp32-s3-devkitc", profile="water").files(PASSWORD)
    (desk.folder / "node.json").write_bytes(files["/etc/node.json"])
    code = "import json, sys\nfrom qytet_node import config\nprint(json.dumps(config.load(sys.argv[1])))"
    (found,) = run(micropython, code, str(desk.folder / "node.json"))
    assert found["broker"] == {
        "host": "127.0.0.1",
        "port": 8883,
        "tls": True,
        "name": "mqtt.tirana.example",
        "user": "node-1",
        "password": PASSWORD,
    }
    assert found["wifi"] == {"ssid": "city", "password": WIFI_PASSWORD}
    assert (found["city"], found["profile"], found["board"]) == ("tirana", "water", "esp32-s3-devkitc")
    assert (found["ntp"], found["report_s"], found["keep_bytes"]) == (["ntp.tirana.example"], 30, 1_000_000)
    assert found["pins"] == {"in1": 13}


def test_trust_is_the_authority_in_der_and_the_keys_modulus(desk: Desk) -> None:
    """The node gets the CA as its TLS library reads it, and of the update key only what is public."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    modulus = f"{key.public_key().public_numbers().n:0512x}"
    desk.common["update_key"] = "update.key"
    desk.write()
    for content in (private, public, modulus.upper().encode() + b"\n"):
        (desk.folder / "update.key").write_bytes(content)
        files = node(desk.settings, "node-1").files(PASSWORD)
        assert files["/etc/update.key"].decode() == modulus
    authority = (desk.folder / "ca.crt").read_text()
    body = "".join(line for line in authority.splitlines() if "CERTIFICATE" not in line)
    assert files["/etc/ca.der"].hex() == base64.b64decode(body).hex()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wifi": {"ssid": "city", "password": "short"}}, "shorter than WPA2"),
        ({"wifi": {"ssid": "s" * 33}}, "longer than 32"),
        ({"wifi": {"ssid": "city", "password": "x" * 9, "password_file": "wifi.txt"}}, "both"),
        ({"wifi": {"ssid": "city", "password_file": "nothing.txt"}}, "nothing.txt cannot be read"),
        ({"broker": {"host": "h", "port": 70000}}, "port"),
        ({"broker": {"host": "h", "tls": 1}}, "tls"),
        ({"brokers": {}}, "brokers"),
        ({"folder": "/"}, "folder"),
        ({"ca": ""}, "TLS"),
        ({"ca": "wifi.txt"}, "no PEM"),
        ({"ca": "two.crt"}, "2 certificates"),
        ({"update_key": "ca.crt"}, "no key for updates"),
        ({"profile": "ai"}, "There is no profile 'ai'"),
        ({"profile": ""}, "No profile"),
        ({"board": "esp8266"}, "There is no board"),
        ({"sensors": {"nobody": {"every_s": 5}}}, "no sensor nobody"),
        ({"sensors": {"co2": {"bus": "i2c7"}}}, "does not fit the board"),
        ({"city": "Tirana"}, "cannot be a city"),
        ({"report_s": 0.5}, "report_s"),
        ({"keep_bytes": 5}, "keep_bytes"),
    ],
)
def test_what_a_node_would_refuse_is_refused_at_the_bench(
    desk: Desk, change: dict[str, Any], words: str
) -> None:
    """Each mistake in bench.toml is named before any board is touched, and no password is in the words."""
    certificate = tls.authority().certificate
    (desk.folder / "two.crt").write_bytes(certificate * 2)
    desk.common |= change
    desk.write()
    with pytest.raises(InputError) as caught:
        node(desk.settings, "node-1")
    assert words in str(caught.value)
    assert WIFI_PASSWORD not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[wifi", b"city = 1\n", b"x = 1\n" * 200_000])
def test_a_file_that_is_no_settings_is_named(tmp_path: Path, content: bytes) -> None:
    """Whatever is given as bench.toml ends in words, not in a traceback."""
    (tmp_path / "bench.toml").write_bytes(content)
    with pytest.raises(InputError, match=r"bench\.toml"):
        settings.load(tmp_path / "bench.toml")
    with pytest.raises(InputError, match="cannot be read"):
        settings.load(tmp_path / "none.toml")


def test_secrets_are_in_no_representation(desk: Desk) -> None:
    """What might end up in a log or a traceback shows neither the Wi-Fi's password nor a device's."""
    desk.common["wifi"] = {"ssid": "city", "password": WIFI_PASSWORD}
    desk.write()
    made = node(desk.settings, "node-1")
    credential = desk.vault.credential("node-1")
    shown = f"{made!r} {desk.settings!r} {credential!r}"
    assert WIFI_PASSWORD not in shown
    assert credential.password not in shown


@pytest.mark.parametrize("board", device_code.boards())
@pytest.mark.parametrize("profile", device_code.profiles())
def test_every_profile_fits_every_board(desk: Desk, profile: str, board: str) -> None:
    """Each profile can be put onto each board, and its datastreams have units."""
    made: NodeSettings = node(desk.settings, "node-1", profile=profile, board=board)
    units = made.kind.units
    assert list(units) == made.kind.datastreams
    assert {"uptime", "rssi", "backlog_records"} < set(units)
    assert len(units) > len(made.kind.profile["sensors"])


def test_the_image_holds_the_files_and_nothing_else() -> None:
    """The file system reads back file by file, has exactly the size that was asked for, and is made the same twice."""
    files = layout.board_files(PROGRAM, {"/etc/node.json": b"{}", "/etc/ca.der": bytes(range(256)) * 4})
    made = filesystem.image(0x200000, files)
    assert len(made) == 0x200000
    assert filesystem.read(made) == files
    assert made == filesystem.image(0x200000, files)
    assert files["/a/qytet_node/m3.mpy"] == bytes(5000)
    assert json.loads(files["/slot.json"]) == {"run": "a", "trial": None, "left": 0}


def test_what_does_not_fit_is_refused() -> None:
    """Too small a partition, a size that is none, and too many kept readings each say so, with the number that fits."""
    with pytest.raises(InputError, match="do not fit"):
        filesystem.image(0x20000, {"/x": bytes(200_000)})
    with pytest.raises(InputError, match="cannot be"):
        filesystem.image(0x200001, {})
    with pytest.raises(InputError, match="only 2 MB"):
        filesystem.size_for(0x200000)
    with pytest.raises(InputError, match=r"keep_bytes .* to (\d+) at most") as caught:
        layout.check_room(0x200000, PROGRAM, 1_900_000)
    most = int(str(caught.value).split(" to ")[1].split(" ")[0])
    layout.check_room(0x200000, PROGRAM, most)
    with pytest.raises(InputError, match="keep_bytes"):
        layout.check_room(0x200000, PROGRAM, most + 1)
    with pytest.raises(InputError, match="no file system"):
        filesystem.read(bytes(0x20000))


def test_no_secret_is_logged_while_an_image_is_made(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Even at the finest level nothing that goes into the image goes into a log."""
    with caplog.at_level(0):
        filesystem.image(0x100000, {"/etc/node.json": PASSWORD.encode()})
    assert PASSWORD not in caplog.text


def test_the_image_command_runs_as_a_program_and_keeps_its_file_private(desk: Desk) -> None:
    """`python -m qytet bench image` gives a simulated board the whole file system; only the owner can read it."""
    out = desk.folder / "node.img"
    options = ["--config", str(desk.config), "--device", "node-1", "--profile", "air", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "qytet", "bench", "image", "--json", *options],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == out.stat().st_size == 0x200000
    assert out.stat().st_mode & 0o777 == 0o600
    files = filesystem.read(out.read_bytes())
    told = json.loads(files["/etc/node.json"])
    credential = desk.vault.find("node-1")
    assert credential is not None
    assert told["broker"]["password"] == credential.password
    assert credential.password not in done.stdout + done.stderr
    assert {"/main.py", "/boot.py", "/a/qytet_node/app.mpy", "/a/profiles/air.json"} < set(files)


def test_the_program_for_the_web_page_has_no_identity(desk: Desk) -> None:
    """program.json holds what every node has, and nothing of a city; its digest is over all of it."""
    out = desk.folder / "web"
    result = CliRunner().invoke(app, ["program", "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads((out / "program.json").read_text())
    assert set(document) == {"v", "version", "root", "slot", "sha256"}
    assert {"main.py", "boot.py", "slot.json"} == set(document["root"])
    digest = hashlib.sha256()
    for place in ("root", "slot"):
        for name, text in sorted(document[place].items()):
            content = base64.b64decode(text, validate=True)
            digest.update(f"{place} {name} {len(content)}\n".encode() + content)
    assert document["sha256"] == digest.hexdigest()
