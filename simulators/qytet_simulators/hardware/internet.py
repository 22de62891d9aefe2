"""The network behind the access point: names, and real loopback connections that pass only while the link is up.

Each connection of the board goes through here, so the bench knows when an answer is on its way: then time must go as
fast as on the wall, else the board's own time limits would run out before any real server could answer.
"""

import contextlib
import socket
from collections.abc import Callable, Mapping

from qytet_simulators.hardware.clock import Due, VirtualClock
from qytet_simulators.hardware.loop import Loop
from qytet_simulators.hardware.protocol import Answer, Handler, Op, Question
from qytet_simulators.hardware.sntp import TimeServer
from qytet_simulators.hardware.wall import Wall
from qytet_simulators.hardware.wires import Door, Pace, Wire, new_name

__all__ = ["Internet", "Pace"]

_LOST_IP_US = 120_000_000
"""After so long without a link the board's address is gone, and its connections with it (ESP-IDF's lost-IP timer)."""


class Internet:
    """`hosts` maps a name, or a name and a port, to a loopback address; names not in it do not exist.

    `127.0.0.1` and `localhost` mean the machine itself. Datagrams go nowhere but to the bench's own time server, which
    has port 123 of every name. One place for all of it: `on_news()` is called when something has reached the board.
    """

    def __init__(
        self,
        loop: Loop,
        clock: VirtualClock,
        wall: Wall,
        hosts: Mapping[str | tuple[str, int], tuple[str, int]],
        server: TimeServer,
        pace: Pace,
        on_news: Callable[[], None],
    ) -> None:
        self._loop, self._clock, self.wall = loop, clock, wall
        self.hosts = dict(hosts)
        self.server, self.pace = server, pace
        self._news = on_news
        self._doors: dict[tuple[str, int], Door] = {}
        self._wires: set[Wire] = set()
        self._time_socket: socket.socket | None = None
        self._outage: Due | None = None
        self.link = False
        self.connections = 0
        self.bytes_up = self.bytes_down = 0
        self.handlers: dict[Op, Handler] = {Op.RESOLVE: self._resolve}

    @property
    def busy_until(self) -> float:
        """Until when (seconds of the wall) an answer may be due; 0 if none is."""
        if not self.link:
            return 0.0
        now = self.wall.now()
        return max((wire.due(now) for wire in self._wires), default=0.0)

    @property
    def open(self) -> int:
        """Connections that stand."""
        return len(self._wires)

    def set_link(self, up: bool) -> None:
        """Packets pass, or no longer: connections stand still, and end if that lasts."""
        if up == self.link:
            return
        self.link = up
        for door in self._doors.values():
            door.open() if up else door.shut()
        for wire in list(self._wires):
            wire.pass_on()
        if self._outage is not None:
            self._outage.cancel()
            self._outage = None
        if not up:
            self._outage = self._clock.call_at(self._clock.now_us() + _LOST_IP_US, self.cut)

    def power_off(self) -> None:
        """The board is gone: so are its connections, as their servers will find out."""
        self.set_link(False)
        for wire in list(self._wires):
            wire.end()

    def cut(self) -> None:
        """Reset every connection."""
        for wire in list(self._wires):
            wire.end(reset=True)

    def close(self) -> None:
        """End everything."""
        self.power_off()
        self._doors.clear()
        if self._time_socket is not None:
            self._loop.forget(self._time_socket)
            self._time_socket.close()
            self._time_socket = None

    # ---- names

    def _resolve(self, question: Question) -> Answer:
        name, port, udp = question.data.decode(errors="replace"), question.a, bool(question.b)
        self._clock.advance(self._clock.now_us() + 20_000)
        if not self.link:
            return Answer()
        if udp:
            return Answer(0, self._time_name() if port == 123 else b"")
        target = self.hosts.get((name, port)) or self.hosts.get(name)
        if target is None and name in ("127.0.0.1", "localhost"):
            target = ("127.0.0.1", port)
        return Answer(0, self._door(target).name if target is not None else b"")

    def _door(self, target: tuple[str, int]) -> Door:
        if target not in self._doors:
            self._doors[target] = Door(self._loop, target, self._enter)
            self._doors[target].open()
        return self._doors[target]

    def _enter(self, near: socket.socket, target: tuple[str, int]) -> None:
        self.connections += 1
        self._wires.add(Wire(self, self._loop, near, target))

    def gone(self, wire: Wire) -> None:
        """A connection has ended."""
        self._wires.discard(wire)
        self._news()

    def carried(self, up: int, down: int) -> None:
        """Count; what came down is news for the board."""
        self.bytes_up += up
        self.bytes_down += down
        if down:
            self._news()

    # ---- time

    def _time_name(self) -> bytes:
        if self._time_socket is None:
            self._time_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._time_socket.bind(new_name())
            self._time_socket.setblocking(False)
            self._loop.watch(self._time_socket, self._tell_time)
        return bytes(self._time_socket.getsockname())

    def _tell_time(self, _: int) -> None:
        assert self._time_socket is not None
        try:
            question, whose = self._time_socket.recvfrom(512)
        except OSError:
            return
        answer = self.server.answer(question, self._clock.unix_ms()) if self.link else None
        if answer is not None:
            with contextlib.suppress(OSError):  # whoever asked may have gone
                self._time_socket.sendto(answer, whose)
            self._news()
