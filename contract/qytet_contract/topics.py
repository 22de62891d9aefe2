"""The topics: `qytet/v1/{city}/{device}/{kind}`, relayed ones with the gateway in the middle.

qytet/v1/{city}/{device}/{birth|state|obs|hist|log}     a device speaks
qytet/v1/{city}/{device}/ack/{id}                       a device answers a command
qytet/v1/{city}/{device}/{stored|cmd/{id}}              the server speaks
qytet/v1/{city}/{gateway}/via/{device}/…                the same, relayed by a gateway
"""

ROOT = "qytet/v1"

BIRTH = "birth"
STATE = "state"
OBS = "obs"
HIST = "hist"
STORED = "stored"
CMD = "cmd"
ACK = "ack"
LOG = "log"
VIA = "via"

FROM_DEVICE = (BIRTH, STATE, OBS, HIST, ACK, LOG)
WITH_ID = (CMD, ACK)

MAX_SLUG = 64
_SLUG = "abcdefghijklmnopqrstuvwxyz0123456789-_"


def is_slug(text: str) -> bool:
    """Whether `text` can name a city, a device, a gateway or a command: a-z, 0-9, - and _, 1 to 64 long."""
    if not 0 < len(text) <= MAX_SLUG:
        return False
    for letter in text:
        if letter not in _SLUG:
            return False
    return True


def topic(city: str, device: str, kind: str, *, gateway: str = "", ident: str = "") -> str:
    """The topic of one device's messages of one kind; `ident` for cmd and ack, `gateway` if relayed."""
    name = ROOT + "/" + city + "/"
    name += gateway + "/via/" + device if gateway else device
    name += "/" + kind
    return name + "/" + ident if ident else name


def parse(name: str) -> "tuple[str, str, str, str, str] | None":
    """City, device, kind, gateway (or "") and id (or "") of a topic; None if it is not one of ours."""
    parts = name.split("/")
    if len(parts) < 5 or parts[0] != "qytet" or parts[1] != "v1":
        return None
    city, device, rest, gateway = parts[2], parts[3], parts[4:], ""
    if rest[0] == VIA:
        if len(rest) < 3 or not is_slug(device):
            return None
        gateway, device, rest = device, rest[1], rest[2:]
    kind = rest[0]
    if len(rest) != (2 if kind in WITH_ID else 1):
        return None
    if kind not in FROM_DEVICE and kind not in (STORED, CMD):
        return None
    ident = rest[1] if len(rest) == 2 else ""
    if not (is_slug(city) and is_slug(device) and (len(rest) == 1 or is_slug(ident))):
        return None
    return city, device, kind, gateway, ident


def ingest_filters(city: str = "+") -> "list[str]":
    """The subscriptions that bring everything that devices of a city (or of all) say, and nothing else."""
    base = ROOT + "/" + city + "/+/"
    own = [base + kind + ("/+" if kind in WITH_ID else "") for kind in FROM_DEVICE]
    return own + [base + "via/+/" + kind + ("/+" if kind in WITH_ID else "") for kind in FROM_DEVICE]
