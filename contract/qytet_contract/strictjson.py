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

_SPACE = " \t\n\r"
_DIGITS = "0123456789"
_HEX = "0123456789abcdefABCDEF"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = (("true", True), ("false", False), ("null", None))


def loads(raw: bytes) -> object:
    """The value of one JSON text in UTF-8. Raises ContractError."""
    if len(raw) > MAX_BYTES:
        raise ContractError(codes.TOO_LARGE, str(len(raw)) + " bytes")
    try:
        text = str(bytes(raw), "utf-8")
    except (UnicodeError, ValueError):
        raise ContractError(codes.NOT_UTF8) from None
    reader = _Reader(text)
    value = reader.value(0)
    if reader.peek():
        raise reader.wrong("something after the end")
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self, why: str) -> ContractError:
        return ContractError(codes.NOT_JSON, why + " at " + str(self.at))

    def peek(self) -> str:
        """The next character that is not white space, or "" at the end."""
        text, at = self.text, self.at
        while at < len(text) and text[at] in _SPACE:
            at += 1
        self.at = at
        return text[at] if at < len(text) else ""

    def value(self, depth: int) -> object:
        first = self.peek()
        if first == '"':
            return self.string()
        if first in ("{", "["):
            if depth >= MAX_DEPTH:
                raise ContractError(codes.TOO_DEEP, "more than " + str(MAX_DEPTH) + " levels")
            return self.object(depth + 1) if first == "{" else self.array(depth + 1)
        for word, meaning in _WORDS:
            if self.text[self.at : self.at + len(word)] == word:
                self.at += len(word)
                return meaning
        return self.number()

    def more(self, end: str) -> bool:
        """Whether a comma follows (True) or the end (False); anything else is wrong."""
        mark = self.peek()
        self.at += 1
        if mark == ",":
            return True
        if mark == end:
            return False
        self.at -= 1
        raise self.wrong("expected , or " + end)

    def array(self, depth: int) -> "list[object]":
        self.at += 1
        found: list[object] = []
        if self.peek() == "]":
            self.at += 1
            return found
        while True:
            found.append(self.value(depth))
            if not self.more("]"):
                return found

    def object(self, depth: int) -> "dict[str, object]":
        self.at += 1
        found: dict[str, object] = {}
        if self.peek() == "}":
            self.at += 1
            return found
        while True:
            if self.peek() != '"':
                raise self.wrong("expected a key")
            key = self.string()
            if key in found:
                raise ContractError(codes.DUPLICATE_KEY, key)
            if self.peek() != ":":
                raise self.wrong("expected :")
            self.at += 1
            found[key] = self.value(depth)
            if not self.more("}"):
                return found

    def string(self) -> str:
        text, at = self.text, self.at + 1
        parts: list[str] = []
        while at < len(text):
            letter = text[at]
            if letter == '"':
                self.at = at + 1
                return "".join(parts)
            if letter == "\\":
                self.at = at
                parts.append(self.escape())
                at = self.at
                continue
            if ord(letter) < 32:
                self.at = at
                raise self.wrong("control character")
            if 0xD800 <= ord(letter) < 0xE000:
                raise ContractError(codes.NOT_UTF8, "surrogate")
            parts.append(letter)
            at += 1
        self.at = at
        raise self.wrong("unfinished string")

    def escape(self) -> str:
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in _ESCAPES:
            self.at += 2
            return _ESCAPES[letter]
        if letter != "u":
            raise self.wrong("unknown escape")
        code = self.hex4()
        if 0xDC00 <= code < 0xE000:
            raise self.wrong("lone surrogate")
        if 0xD800 <= code < 0xDC00:
            if self.text[self.at : self.at + 2] != "\\u":
                raise self.wrong("lone surrogate")
            low = self.hex4()
            if not 0xDC00 <= low < 0xE000:
                raise self.wrong("lone surrogate")
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def hex4(self) -> int:
        digits = self.text[self.at + 2 : self.at + 6]
        for digit in digits:
            if digit not in _HEX:
                raise self.wrong("bad \\u escape")
        if len(digits) != 4:
            raise self.wrong("bad \\u escape")
        self.at += 6
        return int(digits, 16)

    def digits(self) -> int:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in _DIGITS:
            self.at += 1
        if self.at == start:
            raise self.wrong("expected a value")
        return self.at - start

    def number(self) -> "int | float":
        start, whole = self.at, True
        if self.text[self.at : self.at + 1] == "-":
            self.at += 1
        first = self.text[self.at : self.at + 1]
        if self.digits() > 1 and first == "0":
            raise self.wrong("leading zero")
        if self.text[self.at : self.at + 1] == ".":
            whole = False
            self.at += 1
            self.digits()
        if self.text[self.at : self.at + 1] in ("e", "E"):
            whole = False
            self.at += 1
            if self.text[self.at : self.at + 1] in ("+", "-"):
                self.at += 1
            self.digits()
        digits = self.text[start : self.at]
        if whole and len(digits) <= 20:
            return int(digits)
        return _finite(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:  # infinities and NaN only; MicroPython's math may lack isfinite
        raise ContractError(codes.NOT_FINITE, digits[:24])
    return number
