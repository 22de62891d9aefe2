"""Credentials are made once, readable by their owner only, and known to the broker by digests."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qytet.deploy import create, devices, passwords
from qytet.deploy.commands import app as deploy
from qytet.errors import InputError, NotFoundError
from qytet_bench.vault import Credential, Vault, password_in
from tests.bench_tool.desk import Desk

POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows keeps users apart by other means")


def test_a_credential_is_made_once(tmp_path: Path) -> None:
    """A device's credential is the same at every call and in every later run; two devices have two."""
    first = Vault(tmp_path / "vault").credential("node-1")
    assert Vault(tmp_path / "vault").credential("node-1") == first
    assert Vault(tmp_path / "vault").credential("node-2").password != first.password
    assert len(first.password) >= 32


def test_benches_at_once_make_one_credential(tmp_path: Path) -> None:
    """Twenty threads that ask for a new device at the same moment all get the same credential."""
    gate = threading.Barrier(20)
    found: list[Credential] = []

    def ask() -> None:
        gate.wait()
        found.append(Vault(tmp_path / "vault").credential("node-1"))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len({credential.password for credential in found}) == 1
    assert [path.name for path in (tmp_path / "vault").iterdir()] == ["node-1.json"]


@POSIX
def test_a_credential_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the vault has given one, its name is on disk as its content is: a board is flashed with it next."""
    synced: list[list[str]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append(sorted(path.name for path in (tmp_path / "vault").iterdir()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    vault = Vault(tmp_path / "vault")
    vault.credential("node-1")
    assert synced == [["node-1.json"]]


@POSIX
def test_only_the_owner_can_read(tmp_path: Path) -> None:
    """Folder and files are the owner's alone from their first moment, and one that others can read is refused."""
    vault = Vault(tmp_path / "vault")
    vault.credential("node-1")
    assert vault.folder.stat().st_mode & 0o777 == 0o700
    assert (vault.folder / "node-1.json").stat().st_mode & 0o777 == 0o600
    (vault.folder / "node-1.json").chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        vault.find("node-1")
    (vault.folder / "node-1.json").chmod(0o600)
    vault.folder.chmod(0o755)
    with pytest.raises(InputError, match="chmod 700"):
        vault.credential("node-1")
    with pytest.raises(InputError, match="chmod 700"):
        vault.credential("node-2")


@POSIX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_vault_is_refused(tmp_path: Path) -> None:
    """A folder that belongs to somebody else is neither read nor written."""
    vault = Vault(tmp_path / "vault")
    vault.credential("node-1")
    os.chown(vault.folder, 12345, 12345)
    with pytest.raises(InputError, match="another user"):
        vault.find("node-1")


def test_what_is_damaged_is_named_and_not_quoted(tmp_path: Path) -> None:
    """A torn or swapped file is told by its name, without what it holds, and is not replaced by a new credential."""
    vault = Vault(tmp_path / "vault")
    password = vault.credential("node-1").password
    path = vault.folder / "node-1.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(InputError, match="damaged") as caught:
        vault.credential("node-1")
    assert password not in f"{caught.value!s}{caught.value.__cause__}{caught.value.__context__!r:.0}"
    assert caught.value.__cause__ is None
    path.write_bytes(whole.replace(b"node-1", b"node-2"))
    with pytest.raises(InputError, match="node-2"):
        vault.credential("node-1")
    with pytest.raises(InputError, match="cannot be"):
        vault.credential("../node")


def test_an_issued_password_is_kept_and_never_replaced(desk: Desk) -> None:
    """A password that the operator issued is used; another one for the same device is refused."""
    plain, answer = desk.folder / "plain.txt", desk.folder / "answer.json"
    plain.write_text("issued-by-the-city\n")
    answer.write_text(json.dumps({"device": "node-1", "password": "issued-by-the-city", "next": []}))
    assert password_in(plain) == password_in(answer) == "issued-by-the-city"
    assert desk.vault.adopt("node-1", password_in(plain)).password == "issued-by-the-city"
    assert desk.vault.credential("node-1").password == "issued-by-the-city"
    with pytest.raises(InputError, match="another password") as caught:
        desk.vault.adopt("node-1", "issued-by-somebody")
    assert "issued-by" not in str(caught.value)
    for wrong in ("", "two\nlines", "{}", '{"password": 5}'):
        plain.write_text(wrong)
        with pytest.raises(InputError):
            password_in(plain)
    for wrong in ("short", "x" * 129, "tab\tinside-it"):
        with pytest.raises(InputError, match="cannot be used"):
            desk.vault.adopt("node-2", wrong)


def test_a_board_has_one_device(tmp_path: Path) -> None:
    """When a board becomes another device, the vault no longer says that it is the first."""
    vault = Vault(tmp_path / "vault")
    vault.credential("node-1")
    vault.credential("node-2")
    vault.bind("node-1", "24:0a:c4:00:00:01")
    assert vault.holder("24:0a:c4:00:00:01") == "node-1"
    vault.bind("node-2", "24:0a:c4:00:00:01")
    assert vault.holder("24:0a:c4:00:00:01") == "node-2"
    found = vault.find("node-1")
    assert found is not None
    assert found.board == ""


def test_the_deployment_lets_the_benches_devices_in(desk: Desk, tmp_path: Path) -> None:
    """What `bench credentials` prints, `deploy accept` takes: the broker's file then verifies a device's password."""
    password = desk.vault.credential("node-1").password
    desk.vault.credential("node-2")
    lines = desk.run("credentials", "--device", "node-1").stdout
    assert password not in lines
    create.create(tmp_path / "city", ["localhost"], [])
    root = tmp_path / "city"
    before = devices.grant(root, "node-0")
    taken = CliRunner().invoke(deploy, ["accept", "-", "--dir", str(root), "--json"], input=lines)
    assert json.loads(taken.stdout)["accepted"] == ["node-1"]
    assert devices.accept(root, desk.run("credentials").stdout) == ["node-1", "node-2"]
    assert devices.names(root) == ["node-0", "node-1", "node-2"]
    users = passwords.parse((root / "deploy/secrets/broker/passwords").read_text())
    assert passwords.verify(password, users["node-1"])
    assert passwords.verify(before.password, users["node-0"])
    with pytest.raises(NotFoundError, match="node-9"):
        desk.run("credentials", "--device", "node-9")
    (desk.folder / "devices.csv").write_text("device\nnode-2\nnode-9\n")
    made = desk.run("credentials", "--devices", str(desk.folder / "devices.csv"), "--new").stdout
    assert [line.partition(":")[0] for line in made.splitlines()] == ["node-2", "node-9"]
    assert passwords.verify(desk.vault.credential("node-9").password, made.splitlines()[1].partition(":")[2])


@pytest.mark.parametrize(
    "line", ["ingest:{}", "Node:{}", "node-1:$6$101$x$y", "node-1:$7$0$AAAA$AAAA", "node-1"]
)
def test_the_deployment_refuses_what_is_no_devices_digest(tmp_path: Path, line: str) -> None:
    """A platform's own user, a bad name or half a digest changes nothing in the broker's file."""
    root = tmp_path / "city"
    create.create(root, ["localhost"], [])
    file = root / "deploy/secrets/broker/passwords"
    before = file.read_bytes()
    good = f"node-2:{passwords.hashed('x' * 20)}\n"
    with pytest.raises(InputError):
        devices.accept(root, good + line.format(passwords.hashed("y" * 20)) + "\n")
    assert file.read_bytes() == before
