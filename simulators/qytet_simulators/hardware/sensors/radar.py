"""A counting radar beside the road: bins of lanes, kept until they are confirmed.

The protocol is the project's own; the node's driver (`drivers/radar.py`) describes it.
"""

from dataclasses import dataclass, field

from qytet_simulators.hardware.sensors.serial import SerialSensor
from qytet_simulators.hardware.sensors.traffic import Lane, Vehicle
from qytet_simulators.instruments.modbus_unit import checksum
from qytet_simulators.instruments.uart import Faults

__all__ = ["Radar"]

_QUESTION = 5
_ANSWERS_AFTER_US = 2_000


@dataclass
class _Counted:
    """What a lane has counted since its bin began, and the bin that waits to be confirmed."""

    began_us: int
    number: int = 0
    count: int = 0
    speeds: int = 0
    occupied_us: int = 0
    open_until_us: int = 0
    waits: bytes = b""
    forgotten: int = field(default=0)
    """Vehicles that the last question with `last` 0 told it to forget."""


class Radar(SerialSensor):
    """`lanes` by number. `forgotten(lane)`: vehicles up to the last start of the node, which it does not tell."""

    baudrate = 115200

    def __init__(self, lanes: dict[int, Lane], *, faults: Faults | None = None, seed: object = 0) -> None:
        super().__init__(faults=faults, seed=seed)
        self.lanes: dict[int, Lane] = {}
        self._counted: dict[int, _Counted] = {}
        for number, lane in lanes.items():
            self.add(number, lane)

    def add(self, number: int, lane: Lane) -> None:
        """Watch another lane."""
        self.lanes[number] = lane
        lane.listen(lambda vehicle: self._saw(number, vehicle))

    def power_up(self) -> None:
        """It begins to count, at any number of a bin."""
        for number, lane in self.lanes.items():
            counted = _Counted(self.now_us(), self._luck.randrange(1, 256))
            counted.forgotten = lane.came
            self._counted[number] = counted
            lane.plugged(self.line.clock)

    def forgotten(self, lane: int) -> int:
        """How many vehicles of a lane came before what it tells."""
        return self._counted[lane].forgotten

    def listen(self, held: bytearray) -> None:
        """Questions of five bytes."""
        while len(held) >= _QUESTION:
            one = bytes(held[:_QUESTION])
            if one[0] == 0x51 and checksum(one[:3]) == one[3:]:
                del held[:_QUESTION]
                self._answer(one[1], one[2])
            else:
                del held[0]

    def _saw(self, number: int, vehicle: Vehicle) -> None:
        counted = self._counted.get(number)
        if counted is not None:
            counted.count += 1
            counted.speeds += round(vehicle.speed_kmh * 10)
            counted.occupied_us += vehicle.occupied_us
            counted.open_until_us = vehicle.at_us + vehicle.occupied_us

    def _answer(self, lane: int, last: int) -> None:
        counted = self._counted.get(lane)
        if counted is None:
            return
        if last == 0:
            counted.waits = b""
            counted.forgotten = self.lanes[lane].came
        if not counted.waits or last == counted.number:
            counted.waits = self._bin(lane, counted)
        self.say(counted.waits, _ANSWERS_AFTER_US)

    def _bin(self, lane: int, counted: _Counted) -> bytes:
        """Close the bin; a vehicle that is still in the field is in both, each with its part of the time."""
        now = self.now_us()
        counted.number = counted.number % 255 + 1
        tenths = (now - counted.began_us) // 100_000
        still = max(counted.open_until_us - now, 0)
        occupied = min((counted.occupied_us - still) // 1000, tenths * 100)
        body = bytes((0x52, lane, counted.number)) + tenths.to_bytes(2, "little")
        body += counted.count.to_bytes(2, "little") + counted.speeds.to_bytes(4, "little")
        body += occupied.to_bytes(4, "little")
        counted.began_us, counted.count, counted.speeds, counted.occupied_us = now, 0, 0, still
        return body + checksum(body)
