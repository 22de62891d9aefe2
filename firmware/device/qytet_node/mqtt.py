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

CONNECT, CONNACK, PUBLISH, PUBACK = 0x10, 0x20, 0x30, 0x40
SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 0x82, 0x90, 0xC0, 0xD0, 0xE0
LARGEST = 8192
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

    `will` is (topic, payload, retain). Times are seconds.
    """

    def __init__(self, open_stream, client_id, user="", password="", keepalive_s=60, will=None, timeout_s=10):
        self._open = open_stream
        self._identity = (client_id, user, password)
        self._keepalive = keepalive_s
        self._will = will
        self._timeout = timeout_s
        self._reader = self._writer = None
        self._number = 0
        self._flight = None  # (number, topic, payload) of the one message that is not acknowledged
        self._session = False
        self._acked = asyncio.Event()
        self._sending = asyncio.Lock()
        self._failed = None
        self._answer = 0
        self.oversize = 0

    @property
    def connected(self):
        """Whether there is a connection that nothing is known to be wrong with."""
        return self._writer is not None and self._failed is None

    async def connect(self, clean=False):
        """Open the stream and introduce ourselves; tells whether the broker kept our session.

        Raises Refused, or Lost if nobody answers in time; OSError of the stream becomes Lost.
        """
        await self.close()
        self._failed = None
        try:
            self._reader, self._writer = await asyncio.wait_for(self._open(), self._timeout)
            await self._write(self._introduction(clean))
            kind, body = await asyncio.wait_for(self._first(), self._timeout)
        except (
            OSError,
            EOFError,
            ValueError,
            asyncio.TimeoutError,
        ) as error:  # ValueError: a certificate's fault
            await self.close()
            raise Lost("no connection: " + _words(error)) from error
        if kind != CONNACK or len(body) != 2:
            await self.close()
            raise Lost("this is no MQTT broker")
        if body[1]:
            await self.close()
            raise Refused(body[1])
        self._session = bool(body[0] & 1) and not clean
        return self._session

    async def publish(self, topic, payload, qos=1, retain=False):
        """Send; with `qos` 1 returns when the broker has acknowledged. `run` must be running. Raises Lost."""
        async with self._sending:
            self._check()
            if not qos:
                await self._send(_publication(topic, payload, 0, retain, 0))
                return
            number, again = self._numbered(topic, payload)
            self._acked.clear()
            await self._send(_publication(topic, payload, number, retain, 0x0A if again else 0x02))
            await self._answered("PUBACK")
            self._flight = None

    async def subscribe(self, filters):
        """Ask for these topics at QoS 1; returns when the broker has agreed. Raises Lost."""
        async with self._sending:
            self._check()
            number = self._answer = self._next()
            body = struct.pack(">H", number) + b"".join(_text(one) + b"\x01" for one in filters)
            self._acked.clear()
            await self._send(_packet(SUBSCRIBE, body))
            await self._answered("SUBACK")

    async def run(self, on_message):
        """Read until the connection ends; `on_message(topic, payload)` must be quick. Always raises MqttError."""
        try:
            while True:
                await self._one(on_message)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self._fail(_words(error))
        raise Lost(self._failed)

    async def close(self, politely=False):
        """End the connection; politely means that the broker does not publish our will."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is None:
            return
        try:
            if politely:
                writer.write(bytes((DISCONNECT, 0)))
                await asyncio.wait_for(writer.drain(), self._timeout)
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), self._timeout)
        except (OSError, asyncio.TimeoutError):
            pass  # it is gone anyway
        self._fail("closed")

    # ---- packets in

    async def _one(self, on_message):
        """Wait for a packet three quarters of the keep-alive; then ask, and wait once more.

        Only the wait for the first byte may end without harm: whoever is cut off within a packet has lost its place.
        """
        try:
            first = await asyncio.wait_for(self._read(1), self._keepalive * 0.75)
        except asyncio.TimeoutError:
            await self._write(bytes((PINGREQ, 0)))
            first = await asyncio.wait_for(self._read(1), self._timeout)
        kind = first[0]
        body = await asyncio.wait_for(self._rest(), self._timeout)
        if kind & 0xF0 == PUBLISH:
            await self._take(kind, body, on_message)
        elif kind in (PUBACK, SUBACK):
            self._acknowledge(kind, body)
        elif kind != PINGRESP:
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
            await self._write(bytes((PUBACK, 2)) + number)

    def _acknowledge(self, kind, body):
        number = struct.unpack_from(">H", body)[0]
        if kind == SUBACK:
            if number == self._answer:
                if 0x80 in body[2:]:
                    raise OSError("a subscription was refused")
                self._acked.set()
        elif self._flight and number == self._flight[0]:
            self._acked.set()

    async def _first(self):
        return (await self._read(1))[0], await self._rest()

    async def _rest(self):
        """The body of a packet; None if it was larger than we take."""
        size, shift = 0, 0
        while True:
            byte = (await self._read(1))[0]
            size |= (byte & 0x7F) << shift
            if not byte & 0x80:
                break
            shift += 7
            if shift > 21:
                raise OSError("a packet's length has more than four bytes")
        if size <= LARGEST:
            return await self._read(size)
        while size:
            size -= len(await self._read(min(size, 512)))
        return None

    async def _read(self, size):
        if self._reader is None:
            raise OSError("closed")
        return await self._reader.readexactly(size) if size else b""

    # ---- packets out

    def _introduction(self, clean):
        client_id, user, password = self._identity
        flags = (0x02 if clean else 0) | (0x80 if user else 0) | (0x40 if user and password else 0)
        payload = _text(client_id)
        if self._will:
            topic, message, retain = self._will
            flags |= 0x04 | 0x08 | (0x20 if retain else 0)  # QoS 1
            payload += _text(topic) + _text(message)
        if user:
            payload += _text(user) + (_text(password) if password else b"")
        return _packet(
            CONNECT, _text("MQTT") + bytes((4, flags)) + struct.pack(">H", self._keepalive) + payload
        )

    def _numbered(self, topic, payload):
        """A number for the message, and whether it went out under that number before, in this session."""
        flight = self._flight
        if flight and self._session and flight[1] == topic and flight[2] == payload:
            return flight[0], True
        number = self._next()
        self._flight = (number, topic, payload)
        return number, False

    def _next(self):
        self._number = self._number % 65535 + 1
        return self._number

    async def _answered(self, what):
        try:
            await asyncio.wait_for(self._acked.wait(), self._timeout)
        except asyncio.TimeoutError:
            self._fail("no " + what + " in time")
        self._check()

    async def _send(self, packet):
        try:
            await self._write(packet)
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self._fail(_words(error))
            raise Lost(self._failed) from error

    async def _write(self, packet):
        writer = self._writer
        if writer is None:
            raise OSError("not connected")
        writer.write(packet)
        await asyncio.wait_for(writer.drain(), self._timeout)

    def _check(self):
        if self._writer is None or self._failed is not None:
            raise Lost(self._failed or "not connected")

    def _fail(self, why):
        if self._failed is None:
            self._failed = why
        self._acked.set()  # whoever waits looks and finds out


def _words(error):
    if isinstance(error, asyncio.TimeoutError):
        return "nobody answered in time"
    if isinstance(error, EOFError):
        return "the other side ended the connection"
    return str(error).strip() or type(error).__name__


def _publication(topic, payload, number, retain, flags):
    head = _text(topic) + (struct.pack(">H", number) if number else b"")
    return _packet(PUBLISH | flags | (1 if retain else 0), head + _bytes(payload))


def _packet(kind, body):
    size, length = len(body), bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | 0x80 if size else low)
        if not size:
            return bytes((kind,)) + bytes(length) + body


def _text(value):
    raw = _bytes(value)
    return struct.pack(">H", len(raw)) + raw


def _bytes(value):
    return value.encode() if isinstance(value, str) else value
