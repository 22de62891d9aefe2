"""An HTTP server of one file, on loopback, with or without TLS; each path is another way to serve it badly."""

import re
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.certificates import Authority


class FileServer(socketserver.ThreadingTCPServer):
    """`asked` are rows of (path, first byte asked for), in the order in which requests came."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, content: bytes, authority: Authority | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.asked: list[tuple[str, int]] = []
        self.news = threading.Condition()
        self.ended = threading.Event()
        self._context: ssl.SSLContext | None = None
        if authority is not None:
            certificate, key = authority.issue("localhost", server=True)
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate, key)

    def url(self, path: str = "file") -> str:
        """Where it is."""
        kind = "http" if self._context is None else "https"
        return f"{kind}://localhost:{self.server_address[1]}/{path}"

    def wait_for(self, count: int, deadline_s: float = 60) -> int:
        """How many requests came, once it is so many: whoever asked may have gone before one was read."""
        with self.news:
            self.news.wait_for(lambda: len(self.asked) >= count, deadline_s)
            return len(self.asked)

    def secured(self, line: "ssl.SSLSocket") -> "ssl.SSLSocket":
        """The line with TLS, if this server speaks it."""
        return line if self._context is None else self._context.wrap_socket(line, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go whenever they like: that is what is tested."""


class _Handler(socketserver.BaseRequestHandler):
    server: FileServer

    def handle(self) -> None:
        self.request = self.server.secured(self.request)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = self.request.recv(4096)
            if not piece:
                return
            head += piece
        path = head.split()[1].decode()[1:]
        asked = re.search(rb"Range: bytes=(\d+)-\r\n", head)
        at = int(asked.group(1)) if asked else 0
        with self.server.news:
            self.server.asked.append((path, at))
            self._times = [name for name, _ in self.server.asked].count(path)
            """How often this path was asked for, this time included."""
            self.server.news.notify_all()
        assert re.search(rb"\r\nHost: localhost:\d+\r\n", head), head
        getattr(self, f"_{path.partition('?')[0].replace('/', '_')}")(at)
        self.request.close()

    def _say(self, status: str, body: bytes = b"", *fields: str) -> None:
        self.request.sendall("\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body)

    def _from(self, at: int, until: int | None = None) -> None:
        whole = self.server.content
        size = f"Content-Length: {len(whole) - at}"
        if at:
            self._say(
                "206 Partial Content", whole[at:until], size, f"Content-Range: bytes {at}-{len(whole) - 1}/*"
            )
        else:
            self._say("200 OK", whole[:until], size)

    def _file(self, at: int) -> None:
        self._from(at)

    def _breaks(self, at: int) -> None:
        self._from(at, at + 4000)

    def _ignores_range(self, at: int) -> None:
        self._say("200 OK", self.server.content[: None if self._times > 2 else 5000])

    def _once_busy(self, at: int) -> None:
        if self._times < 3:
            self._say("503 Service Unavailable", b"", "Content-Length: 0")
        else:
            self._from(at)

    def _short(self, at: int) -> None:
        if at:
            self._say("416 Range Not Satisfiable")
        else:
            self._from(0, 700)

    def _dead(self, at: int) -> None:
        """Ends every connection without a word."""

    def _silent(self, at: int) -> None:
        self.server.ended.wait(20)

    def _stalls(self, at: int) -> None:
        self._from(at, at + 3000)
        if self._times < 2:
            self.server.ended.wait(20)

    def _elsewhere(self, at: int) -> None:
        self._say("302 Found", b"", f"Location: {self.server.url()}")

    def _missing(self, at: int) -> None:
        self._say("404 Not Found", b"no")

    def _pieces(self, at: int) -> None:
        self._say("200 OK", b"5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked")

    def _packed(self, at: int) -> None:
        self._say("200 OK", b"x", "Content-Encoding: gzip")

    def _another_part(self, at: int) -> None:
        if at:
            self._say("206 Partial Content", self.server.content, "Content-Range: bytes 0-9/10")
        else:
            self._from(0, 700)

    def _endless_head(self, at: int) -> None:
        self._say("200 OK", b"", *(f"X-{number}: {'x' * 100}" for number in range(200)))

    def _no_http(self, at: int) -> None:
        self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n\r\n")


@contextmanager
def serving(content: bytes, authority: Authority | None = None) -> Iterator[FileServer]:
    """A server of this file until the end."""
    with FileServer(content, authority) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
