"""A chip with registers of a byte: a pointer that is written first and moves on with each byte read."""

from qytet_simulators.hardware.ports import Clock

__all__ = ["RegisterChip"]


class RegisterChip:
    """An I2cDevice; a chip fills in `power_cycle`, `wrote` and perhaps `refresh`."""

    def __init__(self) -> None:
        self.registers = bytearray(256)
        self._at = 0
        self._clock: Clock | None = None
        self.power_cycle()

    def plugged(self, clock: Clock) -> None:
        """It has power."""
        self._clock = clock

    def now_us(self) -> int:
        """Virtual time; 0 before there was power."""
        return 0 if self._clock is None else self._clock.now_us()

    def write(self, data: bytes) -> bool:
        """The register, and what it and those behind it become."""
        self._at = data[0]
        for offset, value in enumerate(data[1:]):
            self.wrote(self._at + offset & 0xFF, value)
        return True

    def read(self, count: int) -> bytes | None:
        """From the register that was written last."""
        self.refresh()
        data = bytes(self.registers[self._at : self._at + count]).ljust(count, b"\xff")
        self._at = self._at + count & 0xFF
        return data

    def power_cycle(self) -> None:
        """All registers as after power-up."""
        self.registers[:] = bytes(256)

    def wrote(self, register: int, value: int) -> None:
        """A register was written."""
        self.registers[register] = value

    def refresh(self) -> None:
        """Bring the registers up to date, before they are read."""
