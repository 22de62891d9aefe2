"""The access point, and the station of the board that joins it: all that can go wrong before a first packet."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from qytet_simulators.hardware.clock import Due, VirtualClock
from qytet_simulators.hardware.protocol import Answer, Handler, Op, Question

__all__ = ["AccessPoint", "Station"]

IDLE, CONNECTING, GOT_IP = 1000, 1001, 1010
BEACON_TIMEOUT, NO_AP_FOUND, WRONG_PASSWORD = 200, 201, 202
_NOT_STARTED, _INTERNAL, _NOT_CONNECTED = 2001, 2002, 2003
_SCAN_US = 2_400_000
"""A scan of all channels before a network is missed."""
_BEACONS_US = 6_000_000
"""How long the station goes on believing after the last beacon (ESP-IDF's inactive time of a station)."""
_BSSID = b"\x02\x51\x59\x54\x45\x54"


@dataclass
class AccessPoint:
    """A network; change it at any time, in the bench's thread or before it starts.

    `dhcp_ms` None means that no address is ever given. `up` false: it is off or out of reach.
    """

    ssid: str = "qytet-bench"
    password: str = "bench-password"  # noqa: S105 - of a simulated network
    rssi: int = -61
    channel: int = 6
    join_ms: int = 1200
    dhcp_ms: int | None = 600
    up: bool = True
    address: str = "192.168.4.23"


class Station:
    """The board's radio. `on_link(up)` is told when packets can pass, or no longer; `on_event(words)` what happened."""

    def __init__(
        self,
        clock: VirtualClock,
        point: AccessPoint,
        on_link: Callable[[bool], None],
        on_event: Callable[[str], None],
    ) -> None:
        self._clock, self.point = clock, point
        self._on_link, self._on_event = on_link, on_event
        self._due: list[Due] = []
        self.has_address = False
        self.reset()
        actions = (
            self._active,
            self._connect,
            self._disconnect,
            self._status,
            self._rssi,
            self._ifconfig,
            self._set_reconnects,
            self._scan,
        )
        self.handlers: dict[Op, Handler] = {Op.WIFI: lambda question: actions[question.a](question)}

    def reset(self) -> None:
        """As at power-on: off."""
        self._stop()
        self.on = self._wanted = False
        self._reason = self._failures = self._reconnects = 0
        self._ssid = self._password = ""

    @property
    def status(self) -> int:
        """As `WLAN.status()`."""
        if self.has_address:
            return GOT_IP
        if self._wanted and (not self._reconnects or self._failures < self._reconnects):
            return CONNECTING
        return self._reason or IDLE

    def drop(self) -> None:
        """The network goes; the station notices when no beacon has come for a while, packets stop at once."""
        self.point.up = False
        if self.has_address:
            self._on_link(False)
            self._after(_BEACONS_US, self._beacons_missed)

    def restore(self) -> None:
        """The network is back; a station that has not noticed goes on as before."""
        self.point.up = True
        if self.has_address:
            for due in self._due:
                due.cancel()
            self._on_link(True)

    # ---- what happens

    def _beacons_missed(self) -> None:
        self._failed(BEACON_TIMEOUT)

    def _try(self) -> None:
        point = self.point
        if not point.up or self._ssid != point.ssid:
            self._after(_SCAN_US, lambda: self._failed(NO_AP_FOUND))
        elif self._password != point.password:
            self._after(point.join_ms * 1000, lambda: self._failed(WRONG_PASSWORD))
        else:
            self._after(point.join_ms * 1000, self._associated)

    def _associated(self) -> None:
        if not self.point.up:
            self._failed(NO_AP_FOUND)
            return
        self._on_event("associated")
        if self.point.dhcp_ms is not None:
            self._after(self.point.dhcp_ms * 1000, self._addressed)

    def _addressed(self) -> None:
        if not self.point.up:
            self._failed(BEACON_TIMEOUT)
            return
        self.has_address, self._reason, self._failures = True, 0, 0
        self._on_event("joined")
        self._on_link(True)

    def _failed(self, reason: int) -> None:
        self._stop()
        self._reason = reason
        self._failures += 1
        self._on_event(f"failed {reason}")
        if self._wanted and (not self._reconnects or self._failures < self._reconnects):
            self._after(100_000, self._try)

    def _stop(self) -> None:
        for due in self._due:
            due.cancel()
        self._due.clear()
        if self.has_address:
            self.has_address = False
            self._on_link(False)

    def _after(self, us: int, act: Callable[[], None]) -> None:
        self._due = [due for due in self._due if due.waits]
        self._due.append(self._clock.call_at(self._clock.now_us() + us, act))

    # ---- what the program asks

    def _active(self, question: Question) -> Answer:
        if question.b == 0 and self.on:
            self._stop()
            self.on = self._wanted = False
        elif question.b == 1:
            self.on = True
        return Answer(int(self.on))

    def _connect(self, question: Question) -> Answer:
        if not self.on:
            return Answer(_NOT_STARTED)
        if self._wanted and self.status == CONNECTING:
            return Answer(_INTERNAL)  # a second connect() while the first is under way
        size, rest = struct.unpack_from("<BB", question.data)
        if size:
            self._ssid = question.data[2 : 2 + size].decode(errors="replace")
            self._password = question.data[2 + size : 2 + size + rest].decode(errors="replace")
        self._stop()
        self._wanted, self._failures = True, 0
        self._try()
        return Answer()

    def _disconnect(self, _: Question) -> Answer:
        if not self.on:
            return Answer(_NOT_STARTED)
        self._wanted, self._reason = False, 0
        self._stop()
        return Answer()

    def _status(self, question: Question) -> Answer:
        return Answer(0, self._ssid.encode()) if question.b else Answer(self.status)

    def _rssi(self, _: Question) -> Answer:
        return Answer(-self.point.rssi if self.has_address else _NOT_CONNECTED)

    def _ifconfig(self, _: Question) -> Answer:
        if not self.has_address:
            return Answer(0, b"0.0.0.0,0.0.0.0,0.0.0.0,0.0.0.0")
        gateway = self.point.address.rsplit(".", 1)[0] + ".1"
        return Answer(0, f"{self.point.address},255.255.255.0,{gateway},{gateway}".encode())

    def _set_reconnects(self, question: Question) -> Answer:
        if question.b == -2:
            return Answer(self._reconnects)
        self._reconnects = max(question.b, 0)
        return Answer()

    def _scan(self, _: Question) -> Answer:
        if not self.on:
            return Answer(0, b"")
        self._clock.advance(self._clock.now_us() + _SCAN_US)
        if not self.point.up:
            return Answer(0, b"")
        name = self.point.ssid.encode()
        head = struct.pack("<BBbB", len(name), self.point.channel, self.point.rssi, 3)
        return Answer(0, head + _BSSID + name)
