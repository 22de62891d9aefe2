"""What goes wrong between a host and the loader: at the n-th command of a kind, or now and then by a seeded chance.

faults = Faults(Fault(Act.LOSE_REPLY, Command.FLASH_DEFL_DATA, first=2))
faults.add(Fault(Act.UNPLUG, Command.FLASH_DEFL_DATA, chance=0.01))
faults.happened                                # [(Act.LOSE_REPLY, 0x11), …]
"""

import random
import threading
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Act", "Fault", "Faults"]


class Act(Enum):
    """What happens."""

    IGNORE = auto()
    """The command is not heard: nothing is done, nothing answered."""
    LOSE_REPLY = auto()
    """It is done; the answer never arrives."""
    REFUSE = auto()
    """It fails: a block that cannot be written, a flash that cannot be read."""
    WRONG_MD5 = auto()
    """The flash's checksum comes out as another."""
    WRONG_ORDER = auto()
    """The answer is that of another command."""
    REPLY_TWICE = auto()
    """The answer comes a second time, when the host has gone on."""
    NOISE_IN = auto()
    """A byte of the command changes on the way to the board."""
    NOISE_OUT = auto()
    """A byte of the answer changes on the way to the host."""
    UNPLUG = auto()
    """The cable is pulled when the command arrives: no power, no port."""


@dataclass(frozen=True)
class Fault:
    """`act` strikes the `first`-th command of a kind (None: of any) since it was planted, and `times` in all.

    `times` 0: for ever. With `chance`, each such command is struck with that probability (`times` still limits it).
    """

    act: Act
    command: int | None = None
    first: int = 1
    times: int = 1
    chance: float = 1.0


class _Planted:
    """A fault and how often it was near, and has struck."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = self._struck = 0

    def sees(self, command: int, luck: random.Random) -> bool:
        """Whether it would strike this command."""
        fault = self.fault
        if fault.command not in (None, command):
            return False
        self._seen += 1
        spent = fault.times and self._struck >= fault.times
        return self._seen >= fault.first and not spent and luck.random() < fault.chance

    def strikes(self) -> Act:
        """It does."""
        self._struck += 1
        return self.fault.act


class Faults:
    """All that are planted; the same seed and the same commands bring about the same. For any thread."""

    def __init__(self, *faults: Fault, seed: int = 0) -> None:
        self._planted = [_Planted(fault) for fault in faults]
        self._luck = random.Random(seed)
        self._lock = threading.Lock()
        self.happened: list[tuple[Act, int]] = []
        """What has struck which command, in order."""

    def add(self, *faults: Fault) -> None:
        """Plant more; their count begins now."""
        with self._lock:
            self._planted += [_Planted(fault) for fault in faults]

    def clear(self) -> None:
        """From now on all is well."""
        with self._lock:
            self._planted.clear()

    def strike(self, command: int) -> Act | None:
        """What happens to a command that arrives now; at most one thing."""
        with self._lock:
            ready = [one for one in self._planted if one.sees(command, self._luck)]
            if not ready:
                return None
            act = ready[0].strikes()
            self.happened.append((act, command))
            return act

    def garbled(self, data: bytes) -> bytes:
        """The same with one byte changed."""
        with self._lock:
            at = self._luck.randrange(len(data))
            return data[:at] + bytes([data[at] ^ self._luck.randrange(1, 256)]) + data[at + 1 :]
