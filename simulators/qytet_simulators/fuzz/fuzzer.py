"""A stream of malformed messages: the same for the same seed, no two alike, each refused by the contract."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from qytet_contract import topics
from qytet_simulators.fuzz import meaning, text
from qytet_simulators.fuzz.seeds import KINDS, Golden, valid
from qytet_simulators.fuzz.verdict import payload_refusal, refusal

__all__ = ["Fuzzer", "Malformed", "encoded"]

OVERSIZED_EVERY = 5000
"""One message in so many is longer than a payload may be (a quarter of a megabyte each)."""
MOST_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that the contract refuses for `reason`; `recipe` made it, on behalf of `device`."""

    device: str
    kind: str
    topic: str
    payload: bytes
    recipe: str
    reason: str


class Fuzzer:
    """Makes messages on the topics of `devices` (city and name); memory grows by a hash a message.

    `golden` messages are spoilt beside those made to measure. The boots used are `f0000000` to `f000003f`.
    """

    def __init__(self, seed: int, devices: Sequence[tuple[str, str]], golden: Sequence[Golden] = ()) -> None:
        if not devices:
            raise ValueError("a fuzzer needs the topics of at least one device")
        self.recipes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._dice = Random(seed)
        self._devices = tuple(devices)
        self._golden = tuple(golden)
        self._seen: set[int] = set()
        self._number = 0

    def messages(self, count: int) -> Iterator[Malformed]:
        """The next `count` messages."""
        for _ in range(count):
            yield self.one()

    def one(self) -> Malformed:
        """The next message."""
        for _ in range(MOST_ATTEMPTS):
            made = self._attempt()
            key = hash((made.topic, made.payload))
            if made.reason and key not in self._seen:
                self._seen.add(key)
                self.recipes[made.recipe] += 1
                self.reasons[made.reason] += 1
                return made
        raise RuntimeError(f"no new malformed message in {MOST_ATTEMPTS} attempts")

    def _attempt(self) -> Malformed:
        dice = self._dice
        self._number += 1
        city, device = self._devices[self._number % len(self._devices)]
        way = dice.random()
        if self._number % OVERSIZED_EVERY == 0:
            kind, payload, recipe = self._oversized()
        elif way < 0.45:
            kind, payload, recipe = self._misspelt()
        elif way < 0.85 or not self._golden:
            kind, payload, recipe = self._misstated()
        elif way < 0.95:
            kind, payload, recipe = self._golden_one()
        else:
            kind, payload, recipe = self._misplaced()
        ident = "fuzz" if kind == topics.ACK else ""
        if way > 0.995:
            topic = topics.topic(city.upper(), device, kind, ident=ident)
            return Malformed(device, kind, topic, payload, "bad_topic", refusal(topic, payload))
        topic = topics.topic(city, device, kind, ident=ident)
        return Malformed(device, kind, topic, payload, recipe, payload_refusal(kind, payload))

    def _valid(self, kind: str) -> bytes:
        return encoded(valid(kind, self._dice, self._number))

    def _misspelt(self) -> tuple[str, bytes, str]:
        kind, recipe = self._dice.choice(KINDS), self._dice.choice(text.RECIPES)
        return kind, recipe(self._valid(kind), self._dice), recipe.__name__

    def _misstated(self) -> tuple[str, bytes, str]:
        kind, recipe = self._dice.choice(KINDS), self._dice.choice(meaning.RECIPES)
        changed = recipe(valid(kind, self._dice, self._number), self._dice)
        return kind, encoded(changed), recipe.__name__

    def _golden_one(self) -> tuple[str, bytes, str]:
        """A golden message, spoilt if it is valid; white space before it makes it new."""
        golden = self._dice.choice(self._golden)
        blank = format(self._number, "b").translate(_BLANKS).encode()
        if golden.valid or self._dice.random() < 0.5:
            recipe = self._dice.choice(text.RECIPES)
            return (
                golden.kind,
                blank + recipe(golden.payload or b" ", self._dice),
                f"golden {recipe.__name__}",
            )
        return golden.kind, blank + golden.payload, "golden invalid"

    def _misplaced(self) -> tuple[str, bytes, str]:
        """A valid message of another kind."""
        kind, other = self._dice.choice(KINDS), self._dice.choice(KINDS)
        return kind, self._valid(other), "misplaced"

    def _oversized(self) -> tuple[str, bytes, str]:
        return topics.OBS, text.oversized(self._valid(topics.OBS), self._dice), "oversized"


_BLANKS = str.maketrans("01", " \t")
_encode = msgspec.json.Encoder().encode


def encoded(value: object) -> bytes:
    """JSON; Python's own writer takes what is too large for msgspec."""
    try:
        return _encode(value)
    except OverflowError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
