"""The source that fetches a page of JSON or CSV again and again: each value of it once, however often it is shown.

What was seen (the page's tag, and the last instant of each datastream) is kept in the spool in the same
transaction as the readings.
"""

import asyncio
import random
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, field_validator, model_validator

from qytet.doctor.finding import Finding, ok, problem, warning
from qytet.errors import InputError, QytetError, SettingsError
from qytet_edge.hosts import is_here
from qytet_edge.inbox.files.answer import Kept, Page, Shape, read_page
from qytet_edge.inbox.files.columns import Column, fixed_streams
from qytet_edge.inbox.files.fetch import Answer, Request, fetch
from qytet_edge.inbox.files.stamps import Time
from qytet_edge.inbox.kinds import Context, Slug, SourceConfig
from qytet_edge.ports import Sink
from qytet_edge.records import Checkpoint

__all__ = ["HttpConfig", "HttpSource", "probe_http"]

_decoder = msgspec.json.Decoder(Kept)


class HttpConfig(SourceConfig):
    """A page of JSON or CSV that an instrument, a logger or a neighbouring system offers."""

    kind: Literal["http"] = Field(description="Fetches a page of JSON or CSV.")
    url: str = Field(description="https://…, or http:// of this machine; redirections are not followed.")
    plain_allowed: bool = Field(
        False, description="Fetch by plain http from another machine, too: only inside a closed network."
    )
    ca_file: Path | None = Field(
        None, description="Certificate of the CA that signed the server's. Empty: the system's."
    )
    authorization_file: Path | None = Field(
        None, description="File whose first line is sent as `Authorization` (`Bearer …`, `Basic …`)."
    )
    device: Slug | Literal[""] = Field("", description="Device of its columns. Empty: the gateway.")
    format: Literal["json", "csv"] = Field("json", description="How the page is written.")
    rows: str = Field(
        "", description="Path to the rows in JSON (`data.items`); an object is one row. Empty: all."
    )
    column: tuple[Column, ...] = Field(
        min_length=1, description="What the columns mean; others are left out."
    )
    time: Time | None = Field(None, description="When rows were. Absent: the page is a measurement made now.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="What separates columns in CSV.")
    decimal: Literal[".", ","] = Field(".", description="The decimal mark in texts.")
    interval_s: float = Field(60.0, ge=0.05, le=86_400, description="Seconds between two requests.")
    timeout_s: float = Field(15.0, gt=0, le=300, description="Seconds that a request may take in all.")
    max_bytes: int = Field(
        1_000_000, ge=1, le=50_000_000, description="Length of an answer in bytes, at most."
    )
    deadline_s: float = Field(900, ge=10, description="Seconds without a good answer before starting afresh.")

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it as https://host/path")
        if parts.username or parts.password:
            raise ValueError("no user or password here: use `authorization_file`")
        return url

    @model_validator(mode="after")
    def _whole(self) -> "HttpConfig":
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not is_here(parts.hostname) and not self.plain_allowed:
            raise ValueError("url is plain http to another machine: use https, or set plain_allowed = true")
        if self.deadline_s < 2 * self.interval_s + self.timeout_s:
            raise ValueError("deadline_s must be at least twice interval_s, and timeout_s")
        return self


class HttpSource:
    """Fetches a page; see HttpConfig."""

    def __init__(self, config: HttpConfig, context: Context) -> None:
        self.name = config.name
        self.deadline_s = config.deadline_s
        self.streams: Mapping[str, Sequence[str]] = fixed_streams(
            config.column, config.device or context.gateway
        )
        self._config = config
        self._context = context
        self._shape = _shape(config, context)

    async def run(self, sink: Sink) -> None:
        """Fetch at the interval, which jitter keeps from falling together with others'."""
        state = await sink.checkpoint(self.name)
        kept = _decoder.decode(state) if state else Kept()
        tls = await asyncio.to_thread(_tls, self._config, self._context)
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            kept = await self._turn(sink, kept, tls)
            next_at = max(next_at + self._config.interval_s, loop.time())
            jitter = random.random() * min(1.0, self._config.interval_s / 10)  # noqa: S311 - no secret
            await asyncio.sleep(next_at - loop.time() + jitter)

    async def _turn(self, sink: Sink, kept: Kept, tls: ssl.SSLContext | None) -> Kept:
        """One request and what follows from it; returns what is known now."""
        try:
            answer = await asyncio.to_thread(self._ask, kept, tls)
            if answer.body is None:
                sink.beat()
                return kept
            known = msgspec.convert(msgspec.to_builtins(kept), Kept)
            page = await asyncio.to_thread(read_page, answer.body, self._shape, known)
        except (OSError, ValueError) as error:
            sink.trouble(f"{self._config.url.partition('?')[0]}: {error}")
            return kept
        for trouble in page.troubles:
            sink.trouble(trouble)
        known.etag, known.modified = answer.etag, answer.modified
        if page.readings or known != kept:
            await sink.put(page.readings, Checkpoint(self.name, msgspec.json.encode(known)))
        sink.beat()
        return known

    def _ask(self, kept: Kept, tls: ssl.SSLContext | None) -> Answer:
        return fetch(_request(self._config, self._context, tls, kept))


async def probe_http(config: HttpConfig, context: Context) -> list[Finding]:
    """One request, and whether its answer can be read; nothing is kept."""
    return await asyncio.to_thread(_probe, config, context)


def _probe(config: HttpConfig, context: Context) -> list[Finding]:
    url = config.url.partition("?")[0]
    try:
        answer = fetch(_request(config, context, _tls(config, context), Kept()))
    except QytetError as error:
        return [problem(f"{config.name}: {error.what}", error.do)]
    except OSError as error:
        what = f"{config.name}: {url}: {error}."
        return [
            problem(what, "Look whether the server runs and can be reached from here, and who may read it.")
        ]
    try:
        page: Page = read_page(answer.body or b"", _shape(config, context), Kept())
    except ValueError as error:
        what = f"{config.name}: {url}: {error}."
        return [problem(what, "Compare `format`, `rows` and the columns with what the server sends.")]
    told = [warning(f"{config.name}: {why}.", "Look at that row of the answer.") for why in page.troubles[:3]]
    if not page.readings:
        return [*told, warning(f"{config.name}: {url} has no value now.", "Look again later.")]
    return [ok(f"{config.name}: {url} gives {len(page.readings)} readings."), *told]


def _shape(config: HttpConfig, context: Context) -> Shape:
    return Shape(
        config.column,
        config.time,
        config.device or context.gateway,
        config.format,
        config.rows,
        config.delimiter,
        config.decimal,
    )


def _request(config: HttpConfig, context: Context, tls: ssl.SSLContext | None, kept: Kept) -> Request:
    """Raises SettingsError if the file with the authorization cannot be read."""
    return Request(
        config.url,
        config.timeout_s,
        config.max_bytes,
        tls,
        _authorization(config, context),
        kept.etag,
        kept.modified,
    )


def _authorization(config: HttpConfig, context: Context) -> str:
    if config.authorization_file is None:
        return ""
    path = context.path(config.authorization_file)
    try:
        first = path.read_text(encoding="utf-8").splitlines()[:1]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"What authorizes the gateway cannot be read from {path}.",
            why=str(error),
            do="Write it as the first line of that file, readable by the gateway's user alone.",
        ) from error
    return first[0].strip() if first else ""


def _tls(config: HttpConfig, context: Context) -> ssl.SSLContext | None:
    """What verifies the server; None for plain http. Raises InputError."""
    if config.url.startswith("http:"):
        return None
    ca_file = context.path(config.ca_file) if config.ca_file else None
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"The CA file {ca_file} cannot be used.",
            why=str(error),
            do="Put the certificate (PEM) of the authority that signed the server's there.",
        ) from error
