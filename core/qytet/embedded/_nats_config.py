"""The embedded broker's configuration: who may do what, how much it keeps, when it flushes."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from qytet.embedded._errors import DataFolderError
from qytet.embedded._folder import write_private
from qytet.embedded.ports import LOOPBACK

SYNC_INTERVAL = "10s"  # between two flushes to disk; what a power cut can lose

# MQTT's `/` is NATS's `.`, and `>` is `#`. `$MQTT.sub.>` is the inbox of a subscriber with QoS 1.
_MAY_ALL = '{ publish: ">", subscribe: ">" }'
_MAY_AS_DEVICES = """{
      publish: { allow: ["qytet.v1.>"], deny: ["qytet.v1.*.*.stored", "qytet.v1.*.*.cmd.>"] }
      subscribe: { allow: ["qytet.v1.*.*.stored", "qytet.v1.*.*.cmd.>", "qytet.v1.*.*.via.>", "$MQTT.sub.>"] }
    }"""
DEFAULT_USERS = ("ingest", "simulator")


def ensure_users(data_dir: Path, users: Sequence[str]) -> dict[str, str]:
    """Return every user's password, making those that are new."""
    file = data_dir / "users.json"
    known = read_users(data_dir) if file.exists() else {}
    new = {user: secrets.token_urlsafe(18) for user in users if user not in known}
    if new:
        known |= new
        write_private(file, json.dumps(known, indent=2))
    return known


def read_users(data_dir: Path) -> dict[str, str]:
    file = data_dir / "users.json"
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataFolderError(
            file,
            f"The broker's passwords in {file} cannot be read.",
            why=str(error),
            do="Delete the file: new passwords are made at the next start.",
        ) from error


def nats_configuration(
    data_dir: Path,
    port: int,
    passwords: Mapping[str, str],
    *,
    ack_wait: float,
    max_ack_pending: int,
    max_store: int,
) -> str:
    """Return the text of nats.conf; `ack_wait` in s, `max_store` in bytes.

    Passwords stand in the clear, in a private file:
    hashed ones would cost every connection about 0.1 s of processor time.
    """
    users = "\n".join(_user(name, password) for name, password in passwords.items())
    return _TEMPLATE.format(
        host=LOOPBACK,
        mqtt_port=port,
        store=_quoted(str(data_dir / "jetstream")),
        pid_file=_quoted(str(data_dir / "nats.pid")),
        max_store=max_store,
        sync_interval=SYNC_INTERVAL,
        ack_wait=f"{round(ack_wait * 1000)}ms",
        max_ack_pending=max_ack_pending,
        users=users,
    )


def _quoted(text: str) -> str:
    """Quote a string as JSON does, which this format takes, except for its \\u escapes."""
    return json.dumps(text, ensure_ascii=False)


def _user(name: str, password: str) -> str:
    permissions = _MAY_ALL if name == "ingest" else _MAY_AS_DEVICES
    return f"    {{ user: {_quoted(name)}, password: {_quoted(password)}, permissions: {permissions} }}"


_TEMPLATE = """\
# Generated at every start; edits are lost.
server_name: qytet
pid_file: {pid_file}
listen: "{host}:-1"  # NATS's own clients: any free port, nobody needs it
max_payload: 4MB
max_connections: 65536
write_deadline: "30s"  # a subscriber that waits for its database is slow, not dead
jetstream {{
  store_dir: {store}
  max_memory_store: 64MB
  max_file_store: {max_store}
  sync_interval: "{sync_interval}"
}}
mqtt {{
  listen: "{host}:{mqtt_port}"
  ack_wait: "{ack_wait}"
  max_ack_pending: {max_ack_pending}
}}
authorization {{
  users = [
{users}
  ]
}}
"""
