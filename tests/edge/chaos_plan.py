"""What goes wrong around the gateway, and when: a seeded list of deeds to brokers and line; see also chaos_actors."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Deed", "Weather", "plan"]


class Deed(NamedTuple):
    """At so many seconds, do this; what begins also ends."""

    at: float
    what: str


@dataclass(frozen=True)
class Weather:
    """Seconds from one disturbance to the next, from and to; the gateway's count from when it answers."""

    gateway: tuple[float, float] = (1.0, 6.0)
    city_broker: tuple[float, float] = (7.0, 13.0)
    ingest: tuple[float, float] = (6.0, 12.0)
    """Away, it lets the city's broker acknowledge what is lost when the broker is killed."""
    local_broker: tuple[float, float] = (12.0, 20.0)
    link: tuple[float, float] = (3.0, 7.0)
    disk: tuple[float, float] = (4.0, 8.0)
    calm: float = 1.0
    """Nothing begins in the first seconds."""


def plan(seed: int, seconds: float, weather: Weather) -> list[Deed]:
    """All deeds in order of time; they overlap as they will."""
    luck = random.Random(seed)
    deeds = [
        *_spans(luck, "city broker", weather.city_broker, (0.2, 1.5), weather.calm, seconds),
        *_spans(luck, "ingest", weather.ingest, (0.5, 3.0), weather.calm, seconds),
        *_spans(luck, "local broker", weather.local_broker, (0.1, 0.6), weather.calm, seconds),
        *_links(luck, weather, seconds),
    ]
    return sorted(deeds)


def _moments(luck: random.Random, pause: tuple[float, float], begin: float, end: float) -> Iterator[float]:
    at = begin + luck.uniform(0, pause[1])
    while at < end:
        yield at
        at += luck.uniform(*pause)


def _spans(
    luck: random.Random,
    what: str,
    pause: tuple[float, float],
    length: tuple[float, float],
    begin: float,
    end: float,
) -> Iterator[Deed]:
    """`take` and `give` in turn."""
    free = 0.0
    for at in _moments(luck, pause, begin, end):
        if at < free:
            continue
        free = min(at + luck.uniform(*length), end)
        yield Deed(at, f"take {what}")
        yield Deed(free, f"give {what}")


def _links(luck: random.Random, weather: Weather, seconds: float) -> Iterator[Deed]:
    """Resets, silences, refusals and a modem's slowness, one after the other."""
    free = 0.0
    for at in _moments(luck, weather.link, weather.calm, seconds):
        if at < free:
            continue
        kind = luck.choice(("cut", "stall", "refuse", "modem"))
        yield Deed(at, f"link {kind}")
        if kind != "cut":
            free = min(at + luck.uniform(0.5, 3.0), seconds)
            yield Deed(free, "link clear")
