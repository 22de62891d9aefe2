"""Keys and bundles of over-the-air updates, as an operator makes them."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from qytet.errors import InputError
from qytet_bench import program
from qytet_bench.commands import app
from qytet_bench.update import bundle, keys

SLOT = {"qytet_node/app.mpy": b"M" * 3000, "profiles/air.json": b"{}", "boards/one.json": b""}


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """A key that signs."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_half_a_key_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while the key is written leaves no damaged file in the place of the next try's."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="cannot be written"):
            keys.make(tmp_path / "update.pem")
    assert list(tmp_path.iterdir()) == []
    assert keys.make(tmp_path / "update.pem") == keys.modulus(keys.load(tmp_path / "update.pem"))


def test_a_key_that_was_interrupted_gets_its_public_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut between the two files costs one more call, which keeps the key and writes what nodes trust."""

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "update.pem"
    with monkeypatch.context() as patch:
        patch.setattr(keys, "write_whole", cut)
        with pytest.raises(KeyboardInterrupt):
            keys.make(path)
    private = path.read_bytes()
    with pytest.raises(InputError, match="there already"):
        keys.make(path)
    assert path.read_bytes() == private
    assert keys.public_path(path).read_text() == keys.modulus(keys.load(path)) + "\n"


def test_a_key_may_be_made_on_a_stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk without links, as sticks are, a key is made as well, and not replaced either."""

    def refused(_path: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    made = keys.make(tmp_path / "update.pem")
    assert made == keys.modulus(keys.load(tmp_path / "update.pem"))
    with pytest.raises(InputError, match="there already"):
        keys.make(tmp_path / "update.pem")
    assert {path.name for path in tmp_path.iterdir()} == {"update.pem", "update.pem.pub"}


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """The private part has mode 0600 and is never replaced; the public part is what a node's file holds."""
    path = tmp_path / "keys" / "update.pem"
    said = json.loads(_run("key", "--out", str(path), "--json"))
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    public = Path(said["public"]).read_text().strip()
    assert public == said["modulus"] == keys.modulus(keys.load(path))
    assert len(public) == 512
    before = path.read_bytes()
    with pytest.raises(InputError, match="there already"):
        _run("key", "--out", str(path))
    assert path.read_bytes() == before


def test_the_same_program_makes_the_same_bundle(key: rsa.RSAPrivateKey) -> None:
    """Bytes depend on version, files, key and permission only, not on the files' order or the hour."""
    made = bundle.make("0.2.0", SLOT, key)
    assert made == bundle.make("0.2.0", dict(reversed(SLOT.items())), key)
    assert made != bundle.make("0.2.0", SLOT, key, allow_downgrade=True)
    found = bundle.read(made, key.public_key())
    assert (found.version, found.downgrade, found.size) == ("0.2.0", False, len(made))
    assert {file.path: file.size for file in found.files} == {n: len(c) for n, c in SLOT.items()}


def test_a_manifest_can_be_read_line_by_line(key: rsa.RSAPrivateKey) -> None:
    """The head is the first line, each file one more: the node relies on it, and it is JSON as a whole."""
    made = bundle.make("0.2.0", SLOT, key)
    manifest = made[12 : 12 + int.from_bytes(made[8:12], "little")]
    head, *rows, end = manifest.splitlines()
    assert json.loads(head + b"]}") == {"v": 1, "version": "0.2.0", "downgrade": False, "files": []}
    assert [json.loads(row.rstrip(b",")) for row in rows] == json.loads(manifest)["files"]
    assert len(rows) == len(SLOT)
    assert end == b"]}"


@pytest.mark.parametrize(
    ("version", "slot"),
    [
        ("0.2", SLOT),
        ("0.2.0rc1", SLOT),
        ("0.2.0", {"profiles/air.json": b""}),
        ("0.2.0", {**SLOT, "etc/node.json": b""}),
        ("0.2.0", {**SLOT, "qytet_node/../etc/x": b""}),
        ("0.2.0", {**SLOT, "profiles/a[1].json": b""}),
        ("0.2.0", {**SLOT, **{f"profiles/{n:050}.json": b"" for n in range(200)}}),
    ],
    ids=["short", "odd", "no entry", "stranger", "outside", "bracket", "many"],
)
def test_what_no_node_would_take_is_not_made(
    key: rsa.RSAPrivateKey, version: str, slot: dict[str, bytes]
) -> None:
    """Versions, names and sizes that a node refuses are refused at the desk."""
    with pytest.raises(InputError):
        bundle.make(version, slot, key)


def test_a_damaged_or_foreign_bundle_is_told(key: rsa.RSAPrivateKey) -> None:
    """Whatever byte is changed or missing, and whoever else signed, is found out."""
    made = bundle.make("0.2.0", SLOT, key)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for at in range(0, len(made), 97):
        with pytest.raises(InputError):
            bundle.read(made[:at] + bytes([made[at] ^ 1]) + made[at + 1 :], key.public_key())
    for broken in (made[:-1], made + b" ", made[:20], b"", bundle.make("0.2.0", SLOT, other)):
        with pytest.raises(InputError):
            bundle.read(broken, key.public_key())


def test_the_commands_make_and_show_this_release(tmp_path: Path) -> None:
    """`bundle --out FOLDER` names the file by the version; `--show` tells the same, and refuses another key."""
    pem, other = tmp_path / "update.pem", tmp_path / "other.pem"
    keys.make(pem)
    keys.make(other)
    made = json.loads(_run("bundle", "--key", str(pem), "--out", str(tmp_path), "--json"))
    built = program.build()
    path = tmp_path / f"qytet-node-{built.version}.bundle"
    assert made["file"] == str(path)
    assert set(made["files"]) == set(built.slot)
    assert json.loads(_run("bundle", "--show", str(path), "--key", str(pem), "--json")) == made
    assert made["sha256"] in _run("bundle", "--show", str(path))
    with pytest.raises(InputError, match="not signed"):
        _run("bundle", "--show", str(path), "--key", str(other))
    with pytest.raises(InputError, match="--key and --out"):
        _run("bundle", "--key", str(pem))
    with pytest.raises(InputError, match="only looks"):
        _run("bundle", "--show", str(path), "--out", str(path))


@pytest.mark.parametrize("size", [1024, 3072])
def test_keys_that_nodes_cannot_check_do_not_sign(tmp_path: Path, size: int) -> None:
    """Only RSA-2048 signs; whatever else is in the file is refused in words."""
    from cryptography.hazmat.primitives import serialization

    odd = rsa.generate_private_key(public_exponent=65537, key_size=size)
    path = tmp_path / "odd.pem"
    path.write_bytes(
        odd.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(InputError, match="2048"):
        keys.load(path)
    path.write_text("no key")
    with pytest.raises(InputError, match="private key"):
        keys.load(path)
