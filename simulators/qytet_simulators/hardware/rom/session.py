"""One stay in the loader, from the reset that began it: bytes in, bytes out, faults between."""

from collections.abc import Callable
from typing import Protocol

from qytet_simulators.hardware.flash import FlashFile, PowerCutError
from qytet_simulators.hardware.rom.chips import RomChip
from qytet_simulators.hardware.rom.faults import Act, Faults
from qytet_simulators.hardware.rom.loader import Answer, Into, Loader, Next, RomLoader
from qytet_simulators.hardware.rom.packets import Command, RefusedError, Request, Why, reply, request
from qytet_simulators.hardware.rom.registers import Registers
from qytet_simulators.hardware.rom.slip import Deframer, framed
from qytet_simulators.hardware.rom.stub import GREETING, StubLoader

__all__ = ["Session", "World"]


class World(Protocol):
    """What a session does to the board."""

    def say(self, data: bytes) -> None:
        """Put bytes on the line."""

    def baud_changed(self, baud: int) -> None:
        """The loader speaks at another speed from now on."""

    def restart(self, into: Into) -> None:
        """Reset the chip."""

    def unplug(self) -> None:
        """The cable is pulled."""

    def power_cut(self) -> None:
        """The power went in a flash operation."""


class Session:
    """Everything that the loader knows is in here, and forgotten with the next reset."""

    def __init__(self, chip: RomChip, mac: bytes, flash: FlashFile, faults: Faults, world: World) -> None:
        self._faults, self._world = faults, world
        self._loader: Loader = RomLoader(chip, Registers(chip, mac, flash), flash)
        self._deframer = Deframer()
        self._over = False

    @property
    def is_stub(self) -> bool:
        """Whether the stub has taken over."""
        return self._loader.is_stub

    def synced_at(self, baud: int) -> None:
        """The ROM has found out at which speed the host speaks."""
        self._loader.registers.baud(baud)

    def hear(self, data: bytes) -> None:
        """The host sent this."""
        for packet in self._deframer.feed(data):
            if self._over:
                return
            try:
                self._packet(packet)
                self._go_on()
            except PowerCutError:
                self._over = True
                self._world.power_cut()

    def _packet(self, packet: bytes) -> None:
        loader = self._loader
        if isinstance(loader, StubLoader) and loader.reading is not None:
            loader.acknowledged(packet)
            return
        asked = request(packet)
        if asked is None or not (asked.whole or loader.is_stub):
            return
        act = self._faults.strike(asked.command)
        if act is Act.NOISE_IN:
            asked = request(self._faults.garbled(packet))
        if act is Act.UNPLUG:
            self._over = True
            self._world.unplug()
        elif act is not Act.IGNORE and asked is not None:
            self._execute(asked, act)

    def _execute(self, asked: Request, act: Act | None) -> None:
        answer, why = self._answered(asked) if act is not Act.REFUSE else (Answer(), Why.WRITE_FAILED)
        if not answer.silent and act is not Act.LOSE_REPLY:
            self._reply(asked.command, answer, why, act)
        if answer.after is not None:
            self._afterwards(answer.after)

    def _answered(self, asked: Request) -> tuple[Answer, Why | None]:
        try:
            return self._loader.obey(asked), None
        except RefusedError as error:
            return Answer(), error.why

    def _afterwards(self, act: Callable[[], None]) -> None:
        try:
            act()
        except RefusedError as error:
            assert isinstance(self._loader, StubLoader)
            self._loader.failed(error.why)

    def _reply(self, command: int, answer: Answer, why: Why | None, act: Act | None) -> None:
        data = answer.data
        if act is Act.WRONG_MD5 and data:
            data = self._loader.digest(data)
        if act is Act.WRONG_ORDER:
            command = Command.SYNC if command == Command.READ_REG else Command.READ_REG
        packet = reply(command, answer.value, data, self._loader.status(why))
        for _ in range(answer.copies * (2 if act is Act.REPLY_TWICE else 1)):
            said = framed(packet)
            self._world.say(self._faults.garbled(said) if act is Act.NOISE_OUT else said)

    def _go_on(self) -> None:
        """What the commands so far bring about besides their answers."""
        coming, self._loader.next = self._loader.next, Next()
        for packet in coming.packets:
            self._world.say(framed(packet))
        if coming.baud:
            self._loader.registers.baud(coming.baud)
            self._world.baud_changed(coming.baud)
        if coming.stub:
            old = self._loader
            self._loader = StubLoader(old.chip, old.registers, old.flash)
            self._world.say(framed(GREETING))
        if coming.restart is not None:
            self._over = True
            self._world.restart(coming.restart)
