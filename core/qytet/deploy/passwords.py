"""The broker's password file: one `user:$7$…` line a user, as mosquitto_passwd writes it.

`$7$` is PBKDF2 with SHA-512: rounds, salt (12 bytes) and digest (64 bytes), both in base64.
"""

import base64
import hashlib
import hmac
import secrets

from qytet.errors import InputError

__all__ = ["hashed", "is_entry", "new_password", "parse", "render", "verify"]

# mosquitto's own default. Each connection costs the broker this much; more would protect guessable passwords,
# and ours are random (192 bits).
_ROUNDS = 101
_MOST_ROUNDS = 1_000_000  # more would hold the broker up at each connection


def new_password() -> str:
    """A random password of 48 hexadecimal digits (192 bits): nothing to escape in URLs and option files."""
    return secrets.token_hex(24)


def hashed(password: str) -> str:
    """The password as the broker keeps it."""
    salt = secrets.token_bytes(12)
    return (
        f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(_digest(password, salt)).decode()}"
    )


def verify(password: str, entry: str) -> bool:
    """Whether `entry` was made from the password; False for anything that is not a whole `$7$`."""
    parts = entry.split("$")
    if len(parts) != 5 or parts[1] != "7":
        return False
    try:
        wanted, salt = base64.b64decode(parts[4]), base64.b64decode(parts[3])
        return hmac.compare_digest(wanted, _digest(password, salt, int(parts[2])))
    except ValueError:  # no base64, or no number of rounds
        return False


def is_entry(entry: str) -> bool:
    """Whether this is a whole `$7$rounds$salt$digest`."""
    parts = entry.split("$")
    if len(parts) != 5 or parts[:2] != ["", "7"]:
        return False
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[3:])
        return 0 < int(parts[2]) <= _MOST_ROUNDS and len(salt) >= 12 and len(digest) == 64
    except ValueError:  # no base64, or no number of rounds
        return False


def parse(text: str) -> dict[str, str]:
    """User to entry. Raises InputError for a line that is neither empty nor an entry; never quotes it."""
    users = {}
    for number, line in enumerate(text.splitlines(), start=1):
        user, colon, entry = line.partition(":")
        if not line:
            continue
        if not colon or not user or not entry.startswith("$"):
            raise InputError(f"Line {number} of the broker's password file is not `user:$…`.")
        users[user] = entry
    return users


def render(users: dict[str, str]) -> str:
    """The text of the file, sorted by user."""
    return "".join(f"{user}:{entry}\n" for user, entry in sorted(users.items()))


def _digest(password: str, salt: bytes, rounds: int = _ROUNDS) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
