"""Ways to spoil the bytes of a message without regard to what it says."""

from collections.abc import Callable
from random import Random

from qytet_contract.strictjson import MAX_BYTES

__all__ = ["RECIPES", "Recipe"]

Recipe = Callable[[bytes, Random], bytes]
_DEEP, _DEEPEST = 60, 3000  # the latter is beyond what Python's own reader takes
_NOISE = b"\x00\x01\x1f\x7f\x80\xc0\xfe\xff"


def cut(raw: bytes, dice: Random) -> bytes:
    """The end is missing."""
    return raw[: dice.randrange(1, max(len(raw), 2))]


def headless(raw: bytes, dice: Random) -> bytes:
    """The beginning is missing."""
    return raw[dice.randrange(1, max(len(raw), 2)) :]


def flipped(raw: bytes, dice: Random) -> bytes:
    """One to four bits are wrong, as on a bad line."""
    changed = bytearray(raw)
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def shuffled(raw: bytes, dice: Random) -> bytes:
    """A stretch stands elsewhere."""
    start = dice.randrange(len(raw))
    end = min(len(raw), start + dice.randint(1, 12))
    rest = raw[:start] + raw[end:]
    at = dice.randrange(len(rest) + 1)
    return rest[:at] + raw[start:end] + rest[at:]


def bad_utf8(raw: bytes, dice: Random) -> bytes:
    """A byte that UTF-8 does not have, a cut sequence, an overlong one or a surrogate."""
    wrong = dice.choice((b"\xff", b"\xfe", b"\xc3(", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"))
    return _put(raw, wrong, dice)


def control(raw: bytes, dice: Random) -> bytes:
    """A control character within a name."""
    return raw.replace(b'":', bytes((dice.randrange(32),)) + b'":', 1)


def bad_escape(raw: bytes, dice: Random) -> bytes:
    """An escape that JSON does not have, or half of a surrogate pair."""
    wrong = dice.choice((rb"\x41", rb"\u12", rb"\ud800", rb"\udc00", rb"\ud800\u0041", rb"\u{1F600}", b"\\'"))
    return raw.replace(b'":', wrong + b'":', 1)


def twice(raw: bytes, dice: Random) -> bytes:
    """The message, and again."""
    return raw + dice.choice((b"", b"\n", b",", b"\x00")) + raw


def tail(raw: bytes, dice: Random) -> bytes:
    """Something follows the end."""
    return (
        raw + dice.choice((b"}", b"]", b",", b"\x00", b"//", b"null", b"\r\nOK")) + b" " * dice.randrange(20)
    )


def other_syntax(raw: bytes, dice: Random) -> bytes:
    """What other languages take for the same: single quotes, comments, trailing commas, bare names, a BOM."""
    way = dice.randrange(6)
    if way == 0:
        return raw.replace(b'"', b"'")
    if way == 1:
        return b"/* " + str(dice.getrandbits(32)).encode() + b" */" + raw
    if way == 2:
        return raw[:-1] + b",}"
    if way == 3:
        return raw.replace(b'"v"', b"v", 1)
    if way == 4:
        return b"\xef\xbb\xbf" + raw
    return raw.decode(errors="replace").encode("utf-16-le")


def wrapped(raw: bytes, dice: Random) -> bytes:
    """The message inside something else."""
    head, end = dice.choice(((b"[", b"]"), (b'{"d":', b"}"), (b'"', b'"'), (b"payload=", b"")))
    return head + raw + end


def deep(raw: bytes, dice: Random) -> bytes:
    """Arrays or objects in each other, closed or not."""
    depth = dice.randint(9, _DEEPEST if dice.random() < 0.05 else _DEEP)
    opening, closing = dice.choice(((b"[", b"]"), (b'{"a":', b"}")))
    core = opening * depth + b"1" + (closing * depth if dice.random() < 0.7 else b"")
    return raw[:-1] + b',"x":' + core + b"}" if dice.random() < 0.7 else core


def repeated(raw: bytes, dice: Random) -> bytes:
    """A field stands twice."""
    again = dice.choice((b'"v":1', b'"boot":"00000000"', b'"s":"ready"', b'"m":{}', b'"seq":7', b'"r":[]'))
    return raw[:-1] + b"," + again + b"," + again + b"}"


def not_finite(raw: bytes, dice: Random) -> bytes:
    """A number that is none: NaN, infinite, or too large to be finite."""
    wrong = dice.choice(
        (
            b"NaN",
            b"Infinity",
            b"-Infinity",
            b"nan",
            b"inf",
            b"1e999",
            b"-1e400",
            b"9" * 400,
            b"0x1F",
            b"1_000",
        )
    )
    at = raw.rfind(b":")
    return raw[: at + 1] + wrong + raw[-2:] if at > 0 else wrong


def noise(_raw: bytes, dice: Random) -> bytes:
    """Bytes from nowhere."""
    return dice.randbytes(dice.randint(0, 300))


def spotted(raw: bytes, dice: Random) -> bytes:
    """Bytes that no text has, strewn in."""
    for _ in range(dice.randint(1, 5)):
        raw = _put(raw, bytes((dice.choice(_NOISE),)), dice)
    return raw


def oversized(raw: bytes, dice: Random) -> bytes:
    """Longer than a payload may be; else it would be valid."""
    return raw + b" " * (MAX_BYTES + 1 - len(raw) + dice.randrange(1000))


def _put(raw: bytes, more: bytes, dice: Random) -> bytes:
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + more + raw[at:]


RECIPES: tuple[Recipe, ...] = (
    cut,
    headless,
    flipped,
    shuffled,
    bad_utf8,
    control,
    bad_escape,
    twice,
    tail,
    other_syntax,
    wrapped,
    deep,
    repeated,
    not_finite,
    noise,
    spotted,
)
"""All but `oversized`, which is dealt out sparingly: such a message weighs as much as a thousand others."""
