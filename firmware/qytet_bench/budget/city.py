"""A city of one node: a broker with TLS, marks for what comes, a time server; on loopback, for as long as it is asked.

The broker speaks as much MQTT 3.1.1 as the node says. It is no judge of the node's behaviour, which the tests hold
against Mosquitto and the database; it only gives a node all that it needs to work.
"""

import asyncio
import datetime as dt
import json
import ssl
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

__all__ = ["City", "city"]

_CONNECT, _PUBLISH, _SUBSCRIBE, _PINGREQ = 1, 3, 8, 12
_CONNACK, _PINGRESP = b"\x20\x02\x00\x00", b"\xd0\x00"
_UNIX_OF_NTP = 2_208_988_800


@dataclass(frozen=True, slots=True)
class City:
    """Where the broker and the time server are, and the certificate (DER) that vouches for the broker."""

    port: int
    ntp_port: int
    ca: bytes


@asynccontextmanager
async def city(folder: Path) -> AsyncIterator[City]:
    """Serve on loopback while the context lasts; the key lies in `folder` for a moment."""
    context, ca = _certified(folder)
    loop = asyncio.get_running_loop()
    time_server, _ = await loop.create_datagram_endpoint(_TimeServer, ("127.0.0.1", 0))
    try:
        server = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield City(port, time_server.get_extra_info("sockname")[1], ca)
    finally:
        time_server.close()


class _TimeServer(asyncio.DatagramProtocol):
    """Answers SNTP questions (RFC 4330) by this machine's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        now = time.time() + _UNIX_OF_NTP
        stamp = struct.pack(">II", int(now), int(now % 1 * 2**32))
        answer = bytes((0x24, 1)) + bytes(22) + data[40:48] + stamp * 2
        if isinstance(self._transport, asyncio.DatagramTransport):
            self._transport.sendto(answer, address)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One node's connection, until it ends."""
    try:
        while True:
            kind, body = await _packet(reader)
            if kind >> 4 == _CONNECT:
                writer.write(_CONNACK)
            elif kind >> 4 == _SUBSCRIBE:
                writer.write(
                    b"\x90"
                    + bytes((2 + body.count(b"\x01", 4), *body[:2]))
                    + b"\x01" * body.count(b"\x01", 4)
                )
            elif kind >> 4 == _PINGREQ:
                writer.write(_PINGRESP)
            elif kind >> 4 == _PUBLISH:
                _published(writer, kind, body)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the node is gone, which is how each run ends
    finally:
        writer.close()


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind, size, shift = (await reader.readexactly(1))[0], 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind, await reader.readexactly(size)


def _published(writer: asyncio.StreamWriter, kind: int, body: bytes) -> None:
    """Acknowledge, and mark a record as stored."""
    end = 2 + int.from_bytes(body[:2], "big")
    topic, payload = body[2:end].decode(), body[end:]
    if kind & 0x06:
        writer.write(b"\x40\x02" + payload[:2])
        payload = payload[2:]
    device, _, word = topic.rpartition("/")
    if word == "obs":
        found = json.loads(payload)
        mark = json.dumps({"v": 1, "boot": found["boot"], "seq": found["seq"]}).encode()
        about = f"{device}/stored".encode()
        content = struct.pack(">H", len(about)) + about + struct.pack(">H", 1) + mark
        writer.write(b"\x32" + _size(len(content)) + content)


def _size(size: int) -> bytes:
    return bytes((size,)) if size < 0x80 else bytes((size & 0x7F | 0x80, size >> 7))


def _certified(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """A server's context for `localhost`, and its self-signed certificate; of RSA as a city's own CA is."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    path.unlink()
    return context, certificate.public_bytes(serialization.Encoding.DER)
