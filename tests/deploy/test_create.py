"""`qytet deploy init`: everything made, nothing overwritten, everything private."""

import re
import stat
from pathlib import Path

import pytest

from qytet.deploy import create as creating
from qytet.deploy import passwords, tls
from qytet.deploy.check import check
from qytet.deploy.composition import read_variables
from qytet.deploy.create import INNER_HOSTS, create
from qytet.deploy.files import Owner, write_secret
from qytet.deploy.layout import Layout
from qytet.errors import InputError


def _contents(layout: Layout) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in layout.secrets.rglob("*") if path.is_file()}


def test_every_secret_is_private_and_owned_by_the_services_user(layout: Layout) -> None:
    """Each file is mode 0600, each folder 0700, and all belong to the id that .env gives the services."""
    uid = int(read_variables(layout.env)["QYTET_UID"])
    assert uid != 0
    for path in [layout.secrets, *layout.secrets.rglob("*"), *layout.data]:
        mode = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
        assert path.stat().st_uid == uid, path


def test_a_second_run_changes_nothing(layout: Layout) -> None:
    """Running init again makes no file and changes no byte."""
    before = _contents(layout)
    report = create(layout.root, ["mqtt.example"])
    assert report.made == []
    assert _contents(layout) == before


def test_an_older_deployment_gets_grafanas_secret_and_keeps_the_others(layout: Layout) -> None:
    """A deployment without the dashboards' role gets its password by init; no other file changes."""
    for name in ("database_dashboards_password", "database_dashboards_url"):
        (layout.secrets / name).unlink()
    before = _contents(layout)
    report = create(layout.root)
    assert sorted(Path(name).name for name in report.made) == [
        "database_dashboards_password",
        "database_dashboards_url",
    ]
    assert {path: content for path, content in _contents(layout).items() if path in before} == before


def test_a_copied_env_file_gets_the_ids_and_keeps_its_values(fresh_root: Path) -> None:
    """`cp .env.example .env` before init leaves no gap: empty ids are filled in, what was chosen stays."""
    layout = Layout(fresh_root)
    text = layout.env_example.read_text()
    layout.env.write_text(text.replace("QYTET_API_PORT=8100", "QYTET_API_PORT=9100"))
    create(fresh_root)
    chosen = read_variables(layout.env)
    assert int(chosen["QYTET_UID"]) > 0
    assert int(chosen["QYTET_GID"]) > 0
    assert chosen["QYTET_API_PORT"] == "9100"
    assert chosen.keys() == read_variables(layout.env_example).keys()


def test_a_line_break_after_a_password_is_not_part_of_it(layout: Layout) -> None:
    """A password that a person wrote with an editor works in the URLs that are made from it."""
    (layout.secrets / "database_owner_password").write_text("chosen\n")
    create(layout.root)
    assert ":chosen@" in (layout.secrets / "database_owner_url").read_text()


@pytest.mark.parametrize("entry", ["$7$many$AAAA$AAAA", "$7$101$A$AAAA", "$6$x$y", ""])
def test_a_damaged_entry_fits_no_password(entry: str) -> None:
    """An entry that is not whole is told from a good one without a crash, so that init writes it anew."""
    assert not passwords.verify("x", entry)


def test_every_deployment_has_secrets_of_its_own(layout: Layout, tmp_path: Path) -> None:
    """No two deployments share a password or a key, and no password is short."""
    other = tmp_path / "other"
    other.mkdir()
    create(other)
    mine = {path.name: content for path, content in _contents(layout).items()}
    theirs = {path.name: content for path, content in _contents(Layout(other)).items()}
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] == theirs[name]] == []
    assert all(len(content) >= 32 for content in mine.values())


def test_rotation_changes_only_what_was_named(layout: Layout) -> None:
    """--rotate broker-ingest changes that password, its URL and its line at the broker; nothing else."""
    before = _contents(layout)
    report = create(layout.root, rotate=["broker-ingest"])
    changed = {
        path.relative_to(layout.secrets).as_posix()
        for path, old in before.items()
        if path.read_bytes() != old
    }
    assert changed == {"broker_ingest_password", "broker_ingest_url", "broker/passwords"}
    assert any("ingest" in step for step in report.next)
    users = passwords.parse((layout.broker_secrets / "passwords").read_text())
    assert passwords.verify((layout.secrets / "broker_ingest_password").read_text(), users["ingest"])


def test_a_half_written_deployment_is_completed(layout: Layout) -> None:
    """Derived files that are missing come back from the password that is there; the password stays."""
    password = (layout.secrets / "database_owner_password").read_text()
    for name in ("database_owner_url", "broker/passwords", "broker/server.key"):
        (layout.secrets / name).unlink()
    create(layout.root, ["mqtt.example"])
    assert password in (layout.secrets / "database_owner_url").read_text()
    assert set(passwords.parse((layout.broker_secrets / "passwords").read_text())) == {"ingest", "health"}
    assert (layout.broker_secrets / "server.key").exists()


def test_the_certificate_covers_the_hosts_given_and_the_inner_ones(layout: Layout) -> None:
    """Devices outside, services inside and the health check all find the name that they connect to."""
    summary = tls.summary((layout.broker_secrets / "server.crt").read_bytes())
    assert set(summary.hosts) == {"mqtt.example", *INNER_HOSTS}


def test_another_host_is_told_not_silently_lacking(layout: Layout) -> None:
    """Asking for a host that the present certificate lacks names the command that makes a new one."""
    report = create(layout.root, ["broker.korce.example"])
    assert any(
        "broker.korce.example" in step and "--rotate broker-certificate" in step for step in report.next
    )
    create(layout.root, ["broker.korce.example"], rotate=["broker-certificate"])
    assert "broker.korce.example" in tls.summary((layout.broker_secrets / "server.crt").read_bytes()).hosts


def test_renewing_the_certificate_keeps_hosts_and_authority(layout: Layout) -> None:
    """A yearly renewal without --host keeps the names, and devices go on trusting it."""
    ca = layout.ca_certificate.read_bytes()
    create(layout.root, rotate=["broker-certificate"])
    renewed = (layout.broker_secrets / "server.crt").read_bytes()
    assert "mqtt.example" in tls.summary(renewed).hosts
    assert layout.ca_certificate.read_bytes() == ca
    assert tls.signed_by(renewed, ca)


def test_a_lost_authority_key_is_not_replaced_behind_ones_back(layout: Layout) -> None:
    """Without the CA's key init refuses: a new CA would shut out every device in the field."""
    (layout.authority / "ca.key").unlink()
    with pytest.raises(InputError, match="is missing"):
        create(layout.root)


def _killed_before(file: str, monkeypatch: pytest.MonkeyPatch, layout: Layout, rotate: str) -> None:
    """Rotate, and be killed just before that file is written."""

    def killed(path: Path, content: bytes, owner: Owner) -> None:
        if path.name == file:
            raise KeyboardInterrupt
        write_secret(path, content, owner)

    with monkeypatch.context() as patched:
        patched.setattr(creating, "write_secret", killed)
        with pytest.raises(KeyboardInterrupt):
            create(layout.root, rotate=[rotate])


def test_a_killed_renewal_is_made_good(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the new key and its certificate, the check finds it and the next init makes both anew."""
    _killed_before("server.crt", monkeypatch, layout, "broker-certificate")
    assert any("key does not belong" in finding.what for finding in check(layout.root))
    create(layout.root)
    key, certificate = ((layout.broker_secrets / name).read_bytes() for name in ("server.key", "server.crt"))
    assert tls.fits(key, certificate)
    assert "mqtt.example" in tls.summary(certificate).hosts


def test_a_killed_change_of_authority_is_told(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new CA's key beside the old certificate signs nothing: init says so, and what to do helps."""
    _killed_before("ca.crt", monkeypatch, layout, "authority")
    with pytest.raises(InputError, match="does not belong") as caught:
        create(layout.root)
    assert "--rotate authority" in caught.value.do
    create(layout.root, rotate=["authority"])
    server = (layout.broker_secrets / "server.crt").read_bytes()
    assert tls.signed_by(server, layout.ca_certificate.read_bytes())


@pytest.mark.parametrize("text", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_fits_nothing(text: bytes) -> None:
    """A damaged key is told from a good one without a crash."""
    pair = tls.authority()
    assert tls.fits(pair.key, pair.certificate)
    assert not tls.fits(text, pair.certificate)
    assert not tls.fits(pair.key, text)


@pytest.mark.parametrize(
    "host", ["mqtt://x", "a b", "", "-", "x" * 64 + ".al", "tirana.example:8883", "a..b"]
)
def test_a_host_that_is_none_is_refused_before_anything_is_made(fresh_root: Path, host: str) -> None:
    """A mistyped --host leaves no file behind."""
    with pytest.raises(InputError):
        create(fresh_root, [host])
    assert not Layout(fresh_root).secrets.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("nothing", "no credential"), ("database-admin", "cannot be rotated")]
)
def test_what_cannot_be_rotated_is_refused(layout: Layout, name: str, said: str) -> None:
    """An unknown name, or one that only its server can change, says so and changes nothing."""
    before = _contents(layout)
    with pytest.raises(InputError, match=said):
        create(layout.root, rotate=[name])
    assert _contents(layout) == before


def test_passwords_need_no_escaping() -> None:
    """A password stands for itself in a URL, an option file and a shell."""
    assert all(re.fullmatch(r"[0-9a-f]{48}", passwords.new_password()) for _ in range(50))


def test_a_damaged_password_file_is_not_overwritten(layout: Layout) -> None:
    """A file that is not the broker's format is refused by line number, without quoting it."""
    file = layout.broker_secrets / "passwords"
    file.write_text("ingest:hunter2\n")
    with pytest.raises(InputError, match="Line 1") as caught:
        create(layout.root)
    assert "hunter2" not in str(caught.value)
    assert file.read_text() == "ingest:hunter2\n"
