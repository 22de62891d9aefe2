"""How a connection to the broker begins: opened, introduced, let in; needed once a connection (`lent.py`)."""

import asyncio
import struct

from qytet_node.mqtt import Lost, Refused, packet, text

_CONNECT, _CONNACK, _SUBSCRIBE, _DISCONNECT = 0x10, 0x20, 0x82, 0xE0


async def connect(client, clean):
    """As `mqtt.Client.connect` says."""
    await client.close()
    client.failed = None
    try:
        client.reader, client.writer = await asyncio.wait_for(client.open(), client.timeout)
        await client.write(_introduction(client, clean))
        kind, body = await asyncio.wait_for(_first(client), client.timeout)
    except (
        OSError,
        EOFError,
        ValueError,
        asyncio.TimeoutError,
    ) as error:  # ValueError: a certificate's fault
        await client.close()
        raise Lost("no connection: " + words(error))
    if kind != _CONNACK or len(body) != 2:
        await client.close()
        raise Lost("this is no MQTT broker")
    if body[1]:
        await client.close()
        raise Refused(body[1])
    client.session = bool(body[0] & 1) and not clean
    return client.session


def words(error):
    """What went wrong, for a person."""
    if isinstance(error, asyncio.TimeoutError):
        return "nobody answered in time"
    if isinstance(error, EOFError):
        return "the other side ended the connection"
    return str(error).strip() or type(error).__name__


async def _first(client):
    return (await client.read(1))[0], await client.rest()


def _introduction(client, clean):
    client_id, user, password = client.identity
    flags = (0x02 if clean else 0) | (0x80 if user else 0) | (0x40 if user and password else 0)
    payload = text(client_id)
    if client.will:
        topic, message, retain = client.will
        flags |= 0x04 | 0x08 | (0x20 if retain else 0)  # QoS 1
        payload += text(topic) + text(message)
    if user:
        payload += text(user) + (text(password) if password else b"")
    head = text("MQTT") + bytes((4, flags)) + struct.pack(">H", client.keepalive)
    return packet(_CONNECT, head + payload)


async def subscribe(client, filters):
    """As `mqtt.Client.subscribe` says."""
    async with client.sending:
        client.check()
        number = client.answer = client.next()
        body = struct.pack(">H", number) + b"".join(text(one) + b"\x01" for one in filters)
        client.acked.clear()
        await client.send(packet(_SUBSCRIBE, body))
        await client.answered("SUBACK")


async def close(client, politely):
    """As `mqtt.Client.close` says."""
    writer, client.reader, client.writer = client.writer, None, None
    if writer is None:
        return
    try:
        if politely:
            writer.write(bytes((_DISCONNECT, 0)))
            await asyncio.wait_for(writer.drain(), client.timeout)
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), client.timeout)
    except (OSError, asyncio.TimeoutError):
        pass  # it is gone anyway
    client.fail("closed")
