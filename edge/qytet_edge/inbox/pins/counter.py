"""Pulses as a source: a total that survives restarts, a rate, and an amount of which nothing is told twice."""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence

from qytet_edge.inbox.gpio import InputPin, Pins
from qytet_edge.inbox.pins.config import PulsesConfig
from qytet_edge.inbox.pins.finder import PulseFinder
from qytet_edge.ports import Sink
from qytet_edge.records import Checkpoint, Reading

__all__ = ["Counter"]

_LAST_WORD_S = 2.0
_DECIMALS = 6


class Counter:
    """Counts one pin.

    How many pulses there were, and how many of them are told as an amount, is kept in the same transaction as the
    readings that say so. Pulses since the last checkpoint are lost with the power, and those while nobody counts.
    """

    def __init__(self, config: PulsesConfig, device: str, factory: Pins) -> None:
        self.name = config.name
        self._config = config
        self._device = device
        self._factory = factory
        self._keys = config.keys
        self.streams: Mapping[str, Sequence[str]] = {device: tuple(self._keys.values())}
        self._save_s = min(config.checkpoint_s, config.report_s)
        self.deadline_s = 60.0 + 2 * self._save_s
        self._pulses = 0
        self._told = 0
        self._saved = 0

    def state(self) -> dict[str, float | int | str | None]:
        """For the status: pulses since the beginning, and those not yet on the disk."""
        return {"pulses": self._pulses, "unsaved": self._pulses - self._saved}

    async def run(self, sink: Sink) -> None:
        """Count and put, until cancelled. Raises OSError if the pin cannot be used."""
        self._restore(await sink.checkpoint(self.name), sink)
        self._pin = await asyncio.to_thread(self._claim)
        try:
            debounce_s, shortest_s = self._config.debounce_ms / 1000, self._config.min_pulse_ms / 1000
            self._finder = PulseFinder(debounce_s, shortest_s, active=self._pin.active)
            self._pin.watch(self._changed)
            await self._count(sink)
        finally:
            self._pin.close()
            await self._last_word(sink)

    def _claim(self) -> InputPin:
        config = self._config
        what = f"source {config.name}"
        return InputPin(what, self._factory(), config.pin, config.pull, active_high=config.active_high)

    def _changed(self, seconds: float, level: int) -> None:
        """An edge, in gpiozero's thread; the kernel's time tells pulses from bounces even if we come late."""
        if self._finder.edge(seconds, active=self._pin.means(level)):
            self._pulses += 1

    async def _count(self, sink: Sink) -> None:
        began, pulses = time.monotonic(), self._pulses
        due = began + self._config.report_s
        while True:
            await asyncio.sleep(min(self._save_s, max(0.0, due - time.monotonic())))
            now = time.monotonic()
            if now >= due:
                began, pulses = await self._report(sink, began, pulses)
                due = max(due + self._config.report_s, now)
            elif self._pulses != self._saved:
                await self._keep(sink, [], self._pulses, self._told)
            else:
                sink.beat()

    async def _report(self, sink: Sink, began: float, before: int) -> tuple[float, int]:
        """Put the values of the time since `began`, when there had been `before` pulses."""
        now, pulses, unit = time.monotonic(), self._pulses, self._config.unit_per_pulse
        values = {
            "total": self._config.initial + pulses * unit,
            "rate": (pulses - before) * unit * 3600 / (now - began),
            "amount": (pulses - self._told) * unit,
        }
        reading = Reading(
            self._device, {key: round(values[what], _DECIMALS) for what, key in self._keys.items()}
        )
        await self._keep(sink, [reading], pulses, pulses)
        return now, pulses

    async def _keep(self, sink: Sink, readings: list[Reading], pulses: int, told: int) -> None:
        state = json.dumps({"pulses": pulses, "told": told}).encode()
        await sink.put(readings, Checkpoint(self.name, state))
        self._saved, self._told = pulses, told

    async def _last_word(self, sink: Sink) -> None:
        """Keep what was counted since the last checkpoint, unless the disk takes too long."""
        if self._pulses != self._saved:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORD_S):
                    await self._keep(sink, [], self._pulses, self._told)

    def _restore(self, state: bytes | None, sink: Sink) -> None:
        try:
            kept = json.loads(state) if state is not None else {"pulses": 0, "told": 0}
            pulses, told = int(kept["pulses"]), int(kept["told"])
        except (ValueError, KeyError, TypeError):
            sink.trouble(
                f"the count that was kept cannot be read ({state!r}): it begins anew", device=self._device
            )
            pulses = told = 0
        self._pulses = max(self._pulses, pulses)  # ours is higher after a restart in this life
        self._told = told  # the disk's, as a put that was given up may have been kept all the same
        self._saved = pulses
