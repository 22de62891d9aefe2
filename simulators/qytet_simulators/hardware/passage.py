"""How a board's time goes by: as far as it may while the program waits, not at all while it works.

The program hands time over by waiting (`wait`); it goes on until what it waits for is due, until something happens
(an interrupt, bytes, a packet), or until where it was told to stand (`limit`).
"""

import struct
import threading
from collections.abc import Callable

from qytet_simulators.hardware.clock import VirtualClock
from qytet_simulators.hardware.keeper import TimeKeeper
from qytet_simulators.hardware.protocol import Interrupt, Question
from qytet_simulators.hardware.vm_process import VmProcess
from qytet_simulators.hardware.wall import LOOK_S, Wall

__all__ = ["Passage"]

_THINKS_S = 0.25
"""A program that asks nothing for so long may be computing for real: the world goes on meanwhile."""
_WORKS_S = 0.1
"""Of processor time: one that has not had it since is not computing, the machine is busy with others."""
_STUCK_S = 3.0
"""Silent and asleep for so long it waits for something outside; the world cannot wait for that."""
_MOST_INTERRUPTS = 64
_FOREVER_US = 1 << 60
"""Until when a program waits that waits for something to happen, and not for a time."""
_HOLD_LOOK_S = 0.01


class Passage:
    """`let_go(question)` answers a question that has waited; `busy_until()` is when (`wall`) no answer is due.

    `hold()`: while true, time goes as on the wall. `stepped`: time stands from the beginning.
    """

    def __init__(
        self,
        clock: VirtualClock,
        wall: Wall,
        let_go: Callable[[Question], None],
        busy_until: Callable[[], float],
        *,
        hold: Callable[[], bool],
        speed: float,
        stepped: bool,
    ) -> None:
        self._clock, self._wall = clock, wall
        self._let_go, self._busy_until, self._hold = let_go, busy_until, hold
        self._keeper = TimeKeeper(clock, wall, speed)
        self._keeper.limit_us = 0 if stepped else None
        self._stands = threading.Condition()
        self._stood_us = -1
        self.waits: Question | None = None
        """What the program waits with, if it does."""
        self._raised: list[Interrupt] = []
        self._news = False
        self._heard_at = 0.0
        self._worked_s: float | None = None
        self._thinks = self._looks = False

    # ---- what the program does

    def heard(self) -> None:
        """It has spoken, or was spoken to: it does not wait."""
        self._heard_at = self._wall.now()
        self.waits, self._worked_s, self._thinks, self._looks = None, None, False, False

    def wait(self, question: Question) -> None:
        """It hands over the time."""
        self.waits = question

    def forget(self) -> None:
        """It has ended."""
        self.waits = None
        self._raised.clear()

    # ---- what happens to it

    def interrupt(self, interrupt: Interrupt) -> None:
        """It is to know of this with the next answer."""
        self._raised.append(interrupt)

    def raised(self) -> list[Interrupt]:
        """The interrupts that go with an answer."""
        given, self._raised = self._raised[:_MOST_INTERRUPTS], self._raised[_MOST_INTERRUPTS:]
        return given

    def news(self) -> None:
        """Something came in: whoever waits is to look."""
        self._news = True

    # ---- where time stands

    @property
    def real_s(self) -> float:
        """Real seconds for which time was held to the wall's."""
        return self._keeper.real_s

    def limit(self, until_us: int | None) -> None:
        """Stand there; None: nowhere."""
        self._keeper.limit_us = until_us
        self._keeper.pause()

    def after(self, us: int) -> int:
        """So much later than where time stands, or than now."""
        base = self._keeper.limit_us
        return us + (self._clock.now_us() if base is None else base)

    def stands(self, until_us: int, deadline_s: float) -> bool:
        """Wait, in another thread, until time stands there and the program has done what it could.

        Whether it has is found out by `step` alone: that a question waits does not say yet that it will go on waiting.
        """
        with self._stands:
            return self._stands.wait_for(lambda: self._stood_us >= until_us, deadline_s)

    # ---- the passing itself

    def step(self, idle: bool, vm: VmProcess | None, *, boots: bool) -> float | None:
        """Let time go on as far as it may; returns how long to wait for something to happen.

        `idle`: nothing had happened when it was looked last; `boots`: there is no program yet, but will be.
        """
        if self.waits is not None:
            wait = self._waiting(self.waits, idle)
        elif vm is not None:
            wait = self._computing(vm)
        elif boots:
            wait = self._keeper.go(self._clock.next_us(), busy=False)
        else:
            wait = self._keeper.go(None, busy=False)  # nobody is there: time passes only if it is told to
        if self._keeper.at_limit and self._rests(wait, vm):
            with self._stands:
                self._stood_us = self._clock.now_us()
                self._stands.notify_all()
        return wait

    def _rests(self, wait: float | None, vm: VmProcess | None) -> bool:
        """Whether nothing but time would bring the program on; one that only looks at the clock never rests longer."""
        return self._looks or (wait != 0.0 and (self.waits is not None or vm is None or self._thinks))

    def _waiting(self, question: Question, idle: bool) -> float | None:
        (until,) = struct.unpack("<q", question.data)
        if self._clock.now_us() >= until or self._raised or self._news:
            self._news = False
            self._keeper.pause()
            if self.waits is question:  # else the time that has gone by has ended the program
                self._let_go(question)
                self._looks = 0 < until <= question.now_us
            return 0.0
        if question.a and not idle:
            return 0.0  # what the program has just sent may still lie in its socket
        return self._go(until, self._busy_until() if question.a else 0.0)

    def _go(self, until: int, busy_until: float) -> float | None:
        goals = [
            at for at in (self._clock.next_us(), until if until < _FOREVER_US else None) if at is not None
        ]
        now, holds = self._wall.now(), self._hold()
        busy = now < busy_until or holds
        wait = self._keeper.go(min(goals, default=None), busy)
        if holds:
            return min(_HOLD_LOOK_S, _HOLD_LOOK_S if wait is None else wait)
        if busy and wait is not None:
            return min(wait, busy_until - now, LOOK_S)
        return wait

    def _computing(self, vm: VmProcess) -> float:
        """The program asks nothing: after a while the wall's time counts."""
        self._thinks = self._is_computing(vm)
        if self._thinks and vm.keys.interrupt():
            self.heard()
        if not self._thinks:
            self._keeper.pause()
            return 0.05
        if self._keeper.limit_us is not None and vm.keys.at_prompt:
            self._keeper.go(self._keeper.limit_us, busy=False)
        else:
            self._keeper.go(self._clock.now_us() + 1_000_000, busy=True)
        return 0.05

    def _is_computing(self, vm: VmProcess) -> bool:
        """Whether it works, or reads keys, and is not merely kept from working by a machine that has much to do."""
        silent_s = self._wall.now() - self._heard_at
        if silent_s < _THINKS_S:
            return False
        if vm.keys.at_prompt or (silent_s > _STUCK_S and vm.sleeps):
            return True
        if not vm.keys.booted:
            return False  # it loads modules of the bench, which cost a board nothing
        worked_s = vm.worked_s
        if self._worked_s is None:
            self._worked_s = worked_s
        return worked_s - self._worked_s >= _WORKS_S
