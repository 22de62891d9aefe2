"""MQTT 3.1.1 for a node: one connection, one QoS 1 message in flight, a time limit on everything that waits.

`publish` returns when the broker has acknowledged. What was in flight when a connection broke is sent again by the
caller; within a session that the broker kept, the same message then goes out under its old number with DUP set
(MQTT 3.1.1, 3.3.1.1 and 4.4). The PUBACK says that the broker has it, not that it is stored: see the contract.

    MqttError
    |-- Refused(code)    the broker does not let us in: 4 and 5 are wrong credentials (table 3.1)
    `-- Lost(why)        the connection is gone or silent: connect again
"""

import asyncio
import struct

from qytet_node.lent import lent

_PUBLISH, _PUBACK = 0x30, 0x40
_SUBACK, _PINGREQ, _PINGRESP = 0x90, 0xC0, 0xD0
_LARGEST = 8192
"""Bytes of the largest message taken in; a larger one is read past, so that it costs no memory, and counted."""


class MqttError(Exception):
    """Something went wrong with the broker."""


class Refused(MqttError):
    """The broker does not let us in; `code` is the return code of CONNACK."""

    def __init__(self, code):
        super().__init__("refused with code " + str(code))
        self.code = code


class Lost(MqttError):
    """The connection ended, or nobody answered in time."""


class Client:
    """A client; `open_stream()` is awaited for a reader and a writer (asyncio streams, with TLS or without).

    `will` is (topic, payload, retain). Times are seconds. How a connection begins is in `greeting.py`.
    """

    def __init__(self, open_stream, client_id, user="", password="", keepalive_s=60, will=None, timeout_s=10):
        self.open = open_stream
        self.identity = (client_id, user, password)
        self.keepalive = keepalive_s
        self.will = will
        self.timeout = timeout_s
        self.reader = self.writer = None
        self._number = 0
        self._flight = None  # (number, topic, payload) of the one message that is not acknowledged
        self.session = False
        self.acked = asyncio.Event()
        self.sending = asyncio.Lock()
        self.failed = None
        self.answer = 0
        self.oversize = 0

    @property
    def connected(self):
        """Whether there is a connection that nothing is known to be wrong with."""
        return self.writer is not None and self.failed is None

    def connect(self, clean=False):
        """To be awaited: open the stream and introduce ourselves; tells whether the broker kept our session.

        Raises Refused, or Lost if nobody answers in time; OSError of the stream becomes Lost.
        """
        return lent("greeting").connect(self, clean)

    async def publish(self, topic, payload, qos=1, retain=False):
        """Send; with `qos` 1 returns when the broker has acknowledged. `run` must be running. Raises Lost."""
        async with self.sending:
            self.check()
            if not qos:
                await self.send(_publication(topic, payload, 0, retain, 0))
                return
            number, again = self._numbered(topic, payload)
            self.acked.clear()
            await self.send(_publication(topic, payload, number, retain, 0x0A if again else 0x02))
            await self.answered("PUBACK")
            self._flight = None

    def subscribe(self, filters):
        """To be awaited: ask for these topics at QoS 1; returns when the broker has agreed. Raises Lost."""
        return lent("greeting").subscribe(self, filters)

    async def run(self, on_message):
        """Read until the connection ends; `on_message(topic, payload)` must be quick. Always raises MqttError.

        Waits for a packet three quarters of the keep-alive; then asks, and waits once more. Only the wait for the first
        byte may end without harm: whoever is cut off within a packet has lost its place.
        """
        try:
            while True:
                try:
                    first = await asyncio.wait_for(self.read(1), self.keepalive * 0.75)
                except asyncio.TimeoutError:
                    await self.write(bytes((_PINGREQ, 0)))
                    first = await asyncio.wait_for(self.read(1), self.timeout)
                body = await asyncio.wait_for(self.rest(), self.timeout)
                await self._took(first[0], body, on_message)
                body = None  # while it waits nobody needs it
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.fail(lent("greeting").words(error))
        raise Lost(self.failed)

    def close(self, politely=False):
        """To be awaited: end the connection; politely means that the broker does not publish our will."""
        return lent("greeting").close(self, politely)

    # ---- packets in

    async def _took(self, kind, body, on_message):
        if kind & 0xF0 == _PUBLISH:
            await self._take(kind, body, on_message)
        elif kind in (_PUBACK, _SUBACK):
            self._acknowledge(kind, body)
        elif kind != _PINGRESP:
            raise OSError("packet of kind " + hex(kind))

    async def _take(self, kind, body, on_message):
        if body is None:  # too large, and read past: it has no number that could be acknowledged
            self.oversize += 1
            return
        size = struct.unpack_from(">H", body)[0]
        topic, start = body[2 : 2 + size].decode(), 2 + size
        number = body[start : start + 2] if kind & 0x06 else b""
        on_message(topic, bytes(body[start + len(number) :]))
        if number:
            await self.write(bytes((_PUBACK, 2)) + number)

    def _acknowledge(self, kind, body):
        number = struct.unpack_from(">H", body)[0]
        if kind == _SUBACK:
            if number == self.answer:
                if 0x80 in body[2:]:
                    raise OSError("a subscription was refused")
                self.acked.set()
        elif self._flight and number == self._flight[0]:
            self.acked.set()

    async def rest(self):
        """The body of a packet; None if it was larger than we take."""
        size, shift = 0, 0
        while True:
            byte = (await self.read(1))[0]
            size |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
            shift += 7
            if shift > 21:
                raise OSError("a packet's length has more than four bytes")
        if size <= _LARGEST:
            return await self.read(size)
        while size:
            size -= len(await self.read(min(size, 512)))
        return None

    def read(self, size):
        """To be awaited: so many bytes."""
        if self.reader is None:
            raise OSError("closed")
        return self.reader.readexactly(size)

    # ---- packets out

    def _numbered(self, topic, payload):
        """A number for the message, and whether it went out under that number before, in this session."""
        flight = self._flight
        if flight and self.session and flight[1] == topic and flight[2] == payload:
            return flight[0], True
        number = self.next()
        self._flight = (number, topic, payload)
        return number, False

    def next(self):
        """The number of another packet."""
        self._number = self._number % 65535 + 1
        return self._number

    async def answered(self, what):
        """Wait for an acknowledgement. Raises Lost."""
        try:
            await asyncio.wait_for(self.acked.wait(), self.timeout)
        except asyncio.TimeoutError:
            self.fail("no " + what + " in time")
        self.check()

    async def send(self, packet):
        """Write a packet. Raises Lost."""
        try:
            await self.write(packet)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.fail(lent("greeting").words(error))
            raise Lost(self.failed)

    async def write(self, packet):
        """Send, within the time limit."""
        writer = self.writer
        if writer is None:
            raise OSError("not connected")
        writer.write(packet)
        await asyncio.wait_for(writer.drain(), self.timeout)

    def check(self):
        """Raise Lost if the connection is gone."""
        if self.writer is None or self.failed is not None:
            raise Lost(self.failed or "not connected")

    def fail(self, why):
        """The connection is of no more use."""
        if self.failed is None:
            self.failed = why
        self.acked.set()  # whoever waits looks and finds out


def _publication(topic, payload, number, retain, flags):
    head = text(topic) + (struct.pack(">H", number) if number else b"")
    return packet(_PUBLISH | flags | (1 if retain else 0), head + _bytes(payload))


def packet(kind, body):
    """A packet of any kind."""
    size, length = len(body), bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | 0x80 if size else low)
        if not size:
            return bytes((kind,)) + bytes(length) + body


def text(value):
    """A text as MQTT writes it, its length before it."""
    raw = _bytes(value)
    return struct.pack(">H", len(raw)) + raw


def _bytes(value):
    return value.encode() if isinstance(value, str) else value
