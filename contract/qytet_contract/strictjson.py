"""JSON read without ambiguity: duplicate keys, NaN, overlong or deep input are refused, with a code.

CPython's and MicroPython's own readers disagree on all of these; this one gives both the same verdict.
It is the slow, exact path: servers decode with msgspec and come here only for what is suspicious.
"""

from qytet_contract import codes
from qytet_contract.codes import ContractError

MAX_BYTES = 262144
"""The longest payload, in bytes."""

MAX_DEPTH = 8
"""Arrays and objects inside each other; the contract needs four."""

_SPACE = b" \t\n\r"
_DIGITS = b"0123456789"
_HEX = b"0123456789abcdefABCDEF"
_ESCAPES = {b'"': '"', b"\\": "\\", b"/": "/", b"b": "\b", b"f": "\f", b"n": "\n", b"r": "\r", b"t": "\t"}
_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}
_WORDS = ((b"true", True), (b"false", False), (b"null", None))


def loads(raw: bytes) -> object:
    """The value of one JSON text in UTF-8. Raises ContractError."""
    if len(raw) > MAX_BYTES:
        raise ContractError(codes.TOO_LARGE, str(len(raw)) + " bytes")
    raw = bytes(raw)
    _check_utf8(raw)
    reader = _Reader(raw)
    value = reader.value(0)
    if reader.peek():
        raise reader.wrong("something after the end")
    return value


def _check_utf8(raw: bytes) -> None:
    """Refuse what is not UTF-8, also what MicroPython alone would decode: overlong forms and surrogates.

    The table is Unicode 15, table 3-7: after these lead bytes the second byte has a narrower range.
    """
    try:
        if len(str(raw, "utf-8")) == len(raw):
            return
    except (UnicodeError, ValueError):
        raise ContractError(codes.NOT_UTF8) from None
    at = 0
    while at < len(raw):
        lead = raw[at]
        more = 0 if lead < 0x80 else 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
        if 0x80 <= lead < 0xC2 or lead > 0xF4 or at + more >= len(raw):
            raise ContractError(codes.NOT_UTF8)
        lowest, highest = _SECOND.get(lead, (0x80, 0xBF))
        for after in range(at + 1, at + 1 + more):
            if not lowest <= raw[after] <= highest:
                raise ContractError(codes.NOT_UTF8)
            lowest, highest = 0x80, 0xBF
        at += more + 1


class _Reader:
    """Reads bytes, not text: MicroPython finds the n-th character of a text only by counting."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def wrong(self, why: str) -> ContractError:
        return ContractError(codes.NOT_JSON, why + " at " + str(self.at))

    def here(self) -> bytes:
        """The next byte, or b"" at the end."""
        return self.raw[self.at : self.at + 1]

    def peek(self) -> bytes:
        """The next byte that is not white space, or b"" at the end."""
        raw, at = self.raw, self.at
        while at < len(raw) and raw[at] in _SPACE:
            at += 1
        self.at = at
        return raw[at : at + 1]

    def value(self, depth: int) -> object:
        first = self.peek()
        if first == b'"':
            return self.string()
        if first in (b"{", b"["):
            if depth >= MAX_DEPTH:
                raise ContractError(codes.TOO_DEEP, "more than " + str(MAX_DEPTH) + " levels")
            return self.object(depth + 1) if first == b"{" else self.array(depth + 1)
        for word, meaning in _WORDS:
            if self.raw[self.at : self.at + len(word)] == word:
                self.at += len(word)
                return meaning
        return self.number()

    def more(self, end: bytes) -> bool:
        """Whether a comma follows (True) or the end (False); anything else is wrong."""
        mark = self.peek()
        if mark != b"," and mark != end:
            raise self.wrong("expected , or the end")
        self.at += 1
        return mark == b","

    def array(self, depth: int) -> "list[object]":
        self.at += 1
        found: list[object] = []
        if self.peek() == b"]":
            self.at += 1
            return found
        while True:
            found.append(self.value(depth))
            if not self.more(b"]"):
                return found

    def object(self, depth: int) -> "dict[str, object]":
        self.at += 1
        found: dict[str, object] = {}
        if self.peek() == b"}":
            self.at += 1
            return found
        while True:
            if self.peek() != b'"':
                raise self.wrong("expected a key")
            key = self.string()
            if key in found:
                raise ContractError(codes.DUPLICATE_KEY, key)
            if self.peek() != b":":
                raise self.wrong("expected :")
            self.at += 1
            found[key] = self.value(depth)
            if not self.more(b"}"):
                return found

    def string(self) -> str:
        raw, start = self.raw, self.at + 1
        at, parts = start, []
        while at < len(raw):
            byte = raw[at]
            if byte == 34:  # the closing quotation mark
                self.at = at + 1
                parts.append(str(raw[start:at], "utf-8"))
                return "".join(parts)
            if byte == 92:  # a backslash
                parts.append(str(raw[start:at], "utf-8"))
                self.at = at
                parts.append(self.escape())
                at = start = self.at
                continue
            if byte < 32:
                self.at = at
                raise self.wrong("control character")
            at += 1
        self.at = at
        raise self.wrong("unfinished string")

    def escape(self) -> str:
        letter = self.raw[self.at + 1 : self.at + 2]
        if letter in _ESCAPES:
            self.at += 2
            return _ESCAPES[letter]
        if letter != b"u":
            raise self.wrong("unknown escape")
        code = self.hex4()
        if 0xDC00 <= code < 0xE000:
            raise self.wrong("lone surrogate")
        if 0xD800 <= code < 0xDC00:
            if self.raw[self.at : self.at + 2] != b"\\u":
                raise self.wrong("lone surrogate")
            low = self.hex4()
            if not 0xDC00 <= low < 0xE000:
                raise self.wrong("lone surrogate")
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def hex4(self) -> int:
        digits = self.raw[self.at + 2 : self.at + 6]
        for digit in digits:
            if digit not in _HEX:
                raise self.wrong("bad \\u escape")
        if len(digits) != 4:
            raise self.wrong("bad \\u escape")
        self.at += 6
        return int(str(digits, "utf-8"), 16)

    def digits(self) -> int:
        start = self.at
        while self.at < len(self.raw) and self.raw[self.at] in _DIGITS:
            self.at += 1
        if self.at == start:
            raise self.wrong("expected a value")
        return self.at - start

    def number(self) -> "int | float":
        start, whole = self.at, True
        if self.here() == b"-":
            self.at += 1
        first = self.here()
        if self.digits() > 1 and first == b"0":
            raise self.wrong("leading zero")
        if self.here() == b".":
            whole = False
            self.at += 1
            self.digits()
        if self.here() in (b"e", b"E"):
            whole = False
            self.at += 1
            if self.here() in (b"+", b"-"):
                self.at += 1
            self.digits()
        digits = str(self.raw[start : self.at], "utf-8")
        if whole and len(digits) <= 20:
            return int(digits)
        return _finite(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:  # infinities and NaN only; MicroPython's math may lack isfinite
        raise ContractError(codes.NOT_FINITE, digits[:24])
    return number
