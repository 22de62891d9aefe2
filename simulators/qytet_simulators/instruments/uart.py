"""Serial sensors on pseudo-terminals: they speak, sleep, err, fall silent, and can be pulled out and put back.

A pty ignores speed and parity; everything else is as on a wire. The port is a link at a path that stays the same when
the sensor is put back, as /dev/serial/by-id does.
"""

import contextlib
import os
import random
import select
import threading
import tty
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from qytet_simulators.instruments.uart_models import Model

__all__ = ["Faults", "SerialLine"]


@dataclass(frozen=True)
class Faults:
    """How often (0 to 1) a frame is spoilt, and in which way; one draw decides for each frame."""

    bad_checksum: float = 0.0
    truncated: float = 0.0
    garbage: float = 0.0
    """Noise before a good frame; some of it looks like the beginning of a frame."""


@dataclass
class Told:
    """The truth: what a faultless reader must have heard."""

    good: list[Mapping[str, float]] = field(default_factory=list)
    spoilt: int = 0
    commands: list[bytes] = field(default_factory=list)


class SerialLine:
    """A sensor at the far end of a port at `path`; a context manager that plugs it in.

    `values` is asked for every frame. Frames come every `period_s`, or only when `speak` is called (None), or when
    the model answers a question. `told` holds the truth.
    """

    def __init__(
        self,
        path: Path,
        model: Model,
        values: Callable[[], Mapping[str, float]],
        *,
        period_s: float | None = None,
        faults: Faults | None = None,
        seed: int = 0,
    ) -> None:
        self.path = path
        self.model = model
        self.told = Told()
        self.faults = faults or Faults()
        self._values = values
        self._period_s = period_s
        self._luck = random.Random(seed)
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._silent = False
        self._master: int | None = None
        self._slave: int | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    @property
    def silent(self) -> bool:
        """It hears and says nothing, as with a broken wire."""
        return self._silent

    @silent.setter
    def silent(self, silent: bool) -> None:
        with self._lock:  # a frame that is being said is said whole, and is in `told`
            self._silent = silent

    def plug(self) -> None:
        """Appear at the path, powered up anew."""
        if self._thread is not None:
            return
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        os.set_blocking(self._master, False)
        self._stop_read, self._stop_write = os.pipe()
        self.path.symlink_to(os.ttyname(self._slave))
        self._thread = threading.Thread(target=self._live, name=f"simulated {self.path.name}", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Vanish: whoever has the port open gets an error."""
        if self._thread is None or self._master is None or self._slave is None:
            return
        os.write(self._stop_write, b"x")
        self._thread.join()
        self._thread = None
        with self._lock:
            self.path.unlink()
            for end in (self._master, self._slave, self._stop_read, self._stop_write):
                os.close(end)
            self._master = self._slave = None

    def speak(self) -> None:
        """Say one frame now, faults and all."""
        with self._news:
            values = dict(self._values())
            self._utter(self.model.frame(values), values)
            self._news.notify_all()

    def say(self, data: bytes) -> None:
        """Put any bytes on the wire."""
        with self._lock:
            if self._master is not None and not self.silent:
                # Nobody reads: on a wire the bytes would be gone too.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._master, data)

    def wait(self, happened: Callable[[Told], bool], deadline_s: float = 60.0) -> bool:
        """Wait until the truth satisfies `happened`; false if it does not in time."""
        with self._news:
            return self._news.wait_for(lambda: happened(self.told), deadline_s)

    def _live(self) -> None:
        assert self._master is not None
        while True:
            ready, _, _ = select.select([self._master, self._stop_read], [], [], self._period_s)
            if self._stop_read in ready:
                return
            if self._master in ready:
                self._hear(os.read(self._master, 4096))
            else:
                self._speak_up()

    def _speak_up(self) -> None:
        with self._lock:
            if self.model.awake and not self._silent:
                self.speak()

    def _hear(self, data: bytes) -> None:
        with self._news:
            self.told.commands.append(data)
            answers = 0 if self.silent else self.model.heard(data)
            for _ in range(answers):
                self.speak()
            self._news.notify_all()

    def _utter(self, frame: bytes, values: Mapping[str, float]) -> None:
        chance = self._luck.random()
        faults = self.faults
        if chance < faults.bad_checksum:
            spoilt = bytearray(frame)
            spoilt[self.model.checksum_at] ^= 1 << self._luck.randrange(8)
            self._wrong(bytes(spoilt))
        elif chance < faults.bad_checksum + faults.truncated:
            self._wrong(frame[: self._luck.randrange(1, len(frame))])
        else:
            if chance < faults.bad_checksum + faults.truncated + faults.garbage:
                self.say(self._noise(frame))
            self.told.good.append(values)
            self.say(frame)

    def _wrong(self, data: bytes) -> None:
        self.told.spoilt += 1
        self.say(data)

    def _noise(self, frame: bytes) -> bytes:
        return self._luck.randbytes(self._luck.randrange(1, 40)) + frame[: self._luck.randrange(3)]
