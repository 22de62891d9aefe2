"""One file from an HTTP server, read in order; where the line breaks, it goes on there (RFC 9110, 14.2 Range).

Memory: one line's head. The server's certificate is checked as the broker's is (`joining.trusting`). Redirects are not
followed: who orders an update names where it is.
"""

import asyncio
import gc

from qytet_node.lent import lent

SILENCE_S = 30
TRIES = 8
"""Breaks in a row without a byte in between."""
RETRY_MS, RETRY_LAST_MS = 1000, 60000
_HEAD = 4096
"""Bytes of the longest head of an answer."""


class FetchError(ValueError):
    """It will not come, however often one asks."""


class Source:
    """What is at `url`, http or https; `etc` holds the authority's certificate, `context` is one that knows it already.

    A second context would want memory in one piece that is long since in many.
    """

    def __init__(self, url, etc, context=None):
        scheme, _, rest = url.partition("://")
        place, slash, path = rest.partition("/")
        self._host, _, port = place.partition(":")
        if scheme not in ("http", "https") or not self._host or (port and not port.isdigit()):
            raise FetchError("the address must be http://… or https://…")
        for one in url:
            if not "!" <= one <= "~":
                raise FetchError("the address has signs that no address has")
        self._tls, self._etc, self._context = scheme == "https", etc, context
        self._port = int(port) if port else 443 if self._tls else 80
        self._place, self._path = place, slash + path or "/"
        self._line = None
        self._at = self._skip = self._breaks = 0

    async def fill(self, view):
        """Fill it with the next bytes. Raises FetchError, or OSError when too many attempts have failed in a row."""
        done = 0
        while done < len(view):
            try:
                if self._line is None:
                    await asyncio.wait_for(self._open(), SILENCE_S)
                skip = min(self._skip, len(view) - done)
                size = await self._some(view[done : done + skip] if skip else view[done:])
            except (OSError, asyncio.TimeoutError) as error:
                await self._broke(error)
                continue
            if skip:
                self._skip -= size
            else:
                done += size
                self._at += size
                self._breaks = 0

    async def close(self):
        """End the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
            try:
                await asyncio.wait_for(line.wait_closed(), SILENCE_S)
            except (OSError, asyncio.TimeoutError):
                pass  # it is gone anyway

    async def _broke(self, error):
        await self.close()
        self._breaks += 1
        if self._breaks >= TRIES:
            raise error
        await asyncio.sleep_ms(min(RETRY_MS << (self._breaks - 1), RETRY_LAST_MS))

    async def _some(self, view):
        """At least one byte."""
        while True:
            size = await asyncio.wait_for(self._line.readinto(view), SILENCE_S)
            if size:
                return size
            if size == 0:
                raise OSError("the line broke")

    async def _open(self):
        gc.collect()  # a handshake wants large pieces of memory
        if self._tls:
            if self._context is None:
                self._context = lent("joining").trusting(self._etc)
            self._line, _ = await asyncio.open_connection(
                self._host, self._port, ssl=self._context, server_hostname=self._host
            )
        else:
            self._line, _ = await asyncio.open_connection(self._host, self._port)
        ask = "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept-Encoding: identity\r\n"
        if self._at:
            ask += "Range: bytes=%d-\r\n" % self._at
        self._line.write((ask % (self._path, self._place)).encode() + b"\r\n")
        await self._line.drain()
        self._take(await self._head())

    async def _head(self):
        head, one = bytearray(), bytearray(1)
        while head[-4:] != b"\r\n\r\n":
            if len(head) >= _HEAD:
                raise FetchError("this is no HTTP server")
            size = await self._line.readinto(one)  # `fill` limits the time of all of it
            if size == 0:
                raise OSError("the line broke")
            if size:
                head.extend(one)
        return head.decode().split("\r\n")

    def _take(self, lines):
        """Look at the answer's status and fields."""
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1."):
            raise FetchError("this is no HTTP server")
        status, fields = words[1], {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip().lower()
        if status in ("408", "429") or status[0] == "5":
            raise OSError("the server answers " + status)
        if "transfer-encoding" in fields or fields.get("content-encoding", "identity") != "identity":
            raise FetchError("the server encodes the file")
        if status == "206":
            if not fields.get("content-range", "").startswith("bytes %d-" % self._at):
                raise FetchError("the server gives another part than it was asked for")
        elif status != "200":
            raise FetchError("the server answers " + status + (", elsewhere" if status[0] == "3" else ""))
        self._skip = 0 if status == "206" else self._at
