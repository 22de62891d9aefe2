"""The contract's closed vocabularies: refusals, how time is known, and how good a value is."""

# Why a message or a record is refused. The text is what a dead letter carries as its reason.
NOT_UTF8 = "not_utf8"
NOT_JSON = "not_json"
TOO_LARGE = "too_large"
TOO_DEEP = "too_deep"
DUPLICATE_KEY = "duplicate_key"
NOT_FINITE = "not_finite"
WRONG_TYPE = "wrong_type"
WRONG_VERSION = "wrong_version"
MISSING_FIELD = "missing_field"
UNKNOWN_FIELD = "unknown_field"
BAD_BOOT = "bad_boot"
BAD_SEQ = "bad_seq"
BAD_UPTIME = "bad_uptime"
BAD_TIME_QUALITY = "bad_time_quality"
BAD_COUNT = "bad_count"
BAD_KEY = "bad_key"
BAD_TEXT = "bad_text"
TIME_TOO_EARLY = "time_too_early"
TIME_TOO_LATE = "time_too_late"
UNKNOWN_PROPERTY = "unknown_property"
WRONG_UNIT = "wrong_unit"

CONTRACT_REFUSALS = (
    NOT_UTF8,
    NOT_JSON,
    TOO_LARGE,
    TOO_DEEP,
    DUPLICATE_KEY,
    NOT_FINITE,
    WRONG_TYPE,
    WRONG_VERSION,
    MISSING_FIELD,
    UNKNOWN_FIELD,
    BAD_BOOT,
    BAD_SEQ,
    BAD_UPTIME,
    BAD_TIME_QUALITY,
    BAD_COUNT,
    BAD_KEY,
    BAD_TEXT,
    TIME_TOO_EARLY,
    TIME_TOO_LATE,
    UNKNOWN_PROPERTY,
    WRONG_UNIT,
)
"""What a message can be refused for without knowing the city: the same on a node and on a server."""

# Refusals that only the server can make, because they need the registry or the database.
BAD_TOPIC = "bad_topic"
UNKNOWN_DEVICE = "unknown_device"
WRONG_CITY = "wrong_city"
NOT_VIA = "not_via"
UNKNOWN_DATASTREAM = "unknown_datastream"
NOT_VALID_THEN = "not_valid_then"
COLLISION = "collision"
STORE_FAILED = "store_failed"

SERVER_REFUSALS = (
    BAD_TOPIC,
    UNKNOWN_DEVICE,
    WRONG_CITY,
    NOT_VIA,
    UNKNOWN_DATASTREAM,
    NOT_VALID_THEN,
    COLLISION,
    STORE_FAILED,
)

# How a device knows the time of a record (`tq`); the number is what the database keeps.
TIME_QUALITIES = {"none": 0, "rtc": 1, "ntp": 2, "gnss": 3, "host": 4}
TIME_BACKDATED = 5
"""The server dated the record from a later anchor of the same boot: `t` minus `up`."""

# QARTOD quality flags (IOOS QARTOD manual, primary level).
GOOD = 1
NOT_EVALUATED = 2
SUSPECT = 3
FAIL = 4
MISSING = 9

STATES = ("ready", "sleeping", "offline", "lost")
ACKS = ("accepted", "done", "failed")
LOG_LEVELS = ("debug", "info", "warning", "error")


class ContractError(Exception):
    """A message that breaks the contract: `code` is one of the refusals above, `detail` says where."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        """Code and place on one line."""
        return self.code + ": " + self.detail if self.detail else self.code
