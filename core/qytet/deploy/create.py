"""Makes a deployment's secrets, certificates and `.env`: what is there stays, what is missing is made."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qytet.alone import alone
from qytet.deploy import passwords, tls
from qytet.deploy.composition import read_variables
from qytet.deploy.credentials import CREDENTIALS, SET_ONCE, Credential
from qytet.deploy.files import Owner, disk_errors, make_folder, service_owner, write_secret
from qytet.deploy.layout import Layout
from qytet.errors import InputError

__all__ = ["INNER_HOSTS", "ROTATABLE", "Report", "create", "owner_of"]

INNER_HOSTS = ("broker", "localhost", "127.0.0.1")  # the services' network, the health check, the host itself
AUTHORITY, CERTIFICATE = "authority", "broker-certificate"
ROTATABLE = (*(c.name for c in CREDENTIALS if c.name not in SET_ONCE), AUTHORITY, CERTIFICATE)


@dataclass(slots=True)
class Report:
    """What was made, what was left as it is (paths below the root), and the commands that come next."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)


def create(root: Path, hosts: Sequence[str] = (), rotate: Sequence[str] = ()) -> Report:
    """Make what is missing below `root`, and anew what `rotate` names. Raises InputError; changes nothing then.

    `hosts` are the names and addresses under which devices reach the broker.
    """
    _check_rotation(rotate)
    names = tls.host_names([*hosts, *INNER_HOSTS])
    layout = Layout(root)
    with disk_errors(root):
        maker = _Maker(layout, owner_of(layout), frozenset(rotate))
        maker.folders()
        with alone(layout.secrets):
            for credential in CREDENTIALS:
                maker.credential(credential)
            maker.certificates(names, explicit=bool(hosts))
            maker.environment()
    return maker.report


def owner_of(layout: Layout) -> Owner:
    """Whom the secrets belong to; before there are any, whom they will belong to."""
    if layout.secrets.is_dir():
        found = layout.secrets.stat()
        if found.st_uid != 0:
            return Owner(found.st_uid, found.st_gid)
    return service_owner()


def _check_rotation(rotate: Sequence[str]) -> None:
    for name in rotate:
        if name in SET_ONCE:
            raise InputError(
                f"{name} cannot be rotated by writing a file.",
                why="Its server reads the file only when its data folder is new.",
                do=f"Change it in the server: {SET_ONCE[name]}",
            )
        if name not in ROTATABLE:
            raise InputError(f"There is no credential {name!r}.", do=f"Choose among {', '.join(ROTATABLE)}.")


class _Maker:
    """One run of `create`: writes files and keeps the account."""

    def __init__(self, layout: Layout, owner: Owner, rotate: frozenset[str]) -> None:
        self.layout, self.owner, self.rotate = layout, owner, rotate
        self.report = Report()

    def folders(self) -> None:
        layout = self.layout
        for folder in (layout.secrets, layout.authority, layout.broker_secrets, *layout.data):
            make_folder(folder, self.owner)

    def credential(self, credential: Credential) -> None:
        file = self.layout.secrets / credential.file
        anew = credential.name in self.rotate
        if anew and credential.after_rotation:
            self.report.next.append(credential.after_rotation)
        password = self._password(file, anew=anew)
        for name, render in credential.derived:
            self._derived(self.layout.secrets / name, render(password))
        if credential.broker_user:
            self._broker_user(credential.broker_user, password)

    def certificates(self, hosts: list[str], *, explicit: bool) -> None:
        """The CA, then the broker's certificate: made when missing, rotated, or signed by another CA."""
        ca = self._authority()
        certificate, key = (
            self.layout.broker_secrets / "server.crt",
            self.layout.broker_secrets / "server.key",
        )
        if certificate.exists() and key.exists() and CERTIFICATE not in self.rotate:
            known = certificate.read_bytes()
            if tls.signed_by(known, ca.certificate) and tls.fits(key.read_bytes(), known):
                self._warn_about_hosts(tls.summary(known).hosts, hosts)
                self._note(certificate, made=False)
                return
        if not explicit and certificate.exists():
            hosts = list(dict.fromkeys([*tls.summary(certificate.read_bytes()).hosts, *hosts]))
        pair = tls.server(ca, hosts)
        self._write(key, pair.key)
        self._write(certificate, pair.certificate)
        if self.rotate & {AUTHORITY, CERTIFICATE}:
            self.report.next.append("docker compose up -d --force-recreate broker ingest")

    def environment(self) -> None:
        """`.env` with the ids that own the secrets; a variable that has a value stays."""
        env, example = self.layout.env, self.layout.env_example
        source = env if env.exists() else example
        text = source.read_text(encoding="utf-8") if source.exists() else ""
        ids = {"QYTET_UID": self.owner.uid, "QYTET_GID": self.owner.gid}
        known = read_variables(source)
        lacking = {name: value for name, value in ids.items() if not known.get(name)}
        if env.exists() and not lacking:
            self._note(env, made=False)
            return
        lines = []
        for line in text.splitlines():
            name = line.partition("=")[0].strip()
            lines.append(f"{name}={lacking.pop(name)}" if name in lacking else line)
        lines += [f"{name}={value}" for name, value in lacking.items()]
        self._write(env, ("\n".join(lines) + "\n").encode())

    def _authority(self) -> tls.Pair:
        key, certificate = self.layout.authority / "ca.key", self.layout.ca_certificate
        if AUTHORITY not in self.rotate and key.exists() and certificate.exists():
            pair = tls.Pair(certificate.read_bytes(), key.read_bytes())
            if not tls.fits(pair.key, pair.certificate):
                raise InputError(
                    f"The CA's key {key} does not belong to its certificate.",
                    why="A rotation that was interrupted leaves a new key and the old certificate.",
                    do="Restore the key, or make a new CA with --rotate authority and give it to the devices.",
                )
            self._note(certificate, made=False)
            return pair
        if AUTHORITY not in self.rotate and certificate.exists():
            raise InputError(
                f"The CA's key {key} is missing, its certificate is there.",
                why="A new CA would shut out every device that trusts the present one.",
                do="Restore the key, or make a new CA with --rotate authority and give it to the devices.",
            )
        pair = tls.authority()
        self._write(key, pair.key)
        self._write(certificate, pair.certificate)
        return pair

    def _warn_about_hosts(self, covered: Sequence[str], wanted: Sequence[str]) -> None:
        lacking = [host for host in wanted if host not in covered]
        if lacking:
            options = " ".join(f"--host {host}" for host in wanted if host not in INNER_HOSTS)
            self.report.next.append(
                f"The broker's certificate does not cover {', '.join(lacking)}: "
                f"qytet deploy init --rotate {CERTIFICATE} {options}"
            )

    def _broker_user(self, user: str, password: str) -> None:
        file = self.layout.broker_secrets / "passwords"
        users = passwords.parse(file.read_text(encoding="utf-8")) if file.exists() else {}
        if not passwords.verify(password, users.get(user, "")):
            users[user] = passwords.hashed(password)
            self._write(file, passwords.render(users).encode())

    def _password(self, path: Path, *, anew: bool) -> str:
        if path.exists() and not anew:
            self._note(path, made=False)
            return path.read_text(encoding="utf-8").strip()  # an editor ends it with a line break
        text = passwords.new_password()
        self._write(path, text.encode())
        return text

    def _derived(self, path: Path, text: str) -> None:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            self._note(path, made=False)
        else:
            self._write(path, text.encode())

    def _write(self, path: Path, content: bytes) -> None:
        write_secret(path, content, self.owner)
        self._note(path, made=True)

    def _note(self, path: Path, *, made: bool) -> None:
        name = os.path.relpath(path, self.layout.root)
        target = self.report.made if made else self.report.kept
        if name not in self.report.made and name not in target:
            target.append(name)
