"""Nearby nodes: their records come from the local broker into the spool, and the city's words go back to them.

A node keeps each record until the city's `stored` mark. The gateway acknowledges a node's message to the local
broker only when the spool has it; records keep their device, boot, number and time. A node that repeats what the
city has already marked is answered at once, from what the spool remembers.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import msgspec
from pydantic import Field, field_validator

from qytet.broker import BrokerUrl
from qytet.doctor.finding import Finding, ok, problem
from qytet.errors import QytetError, SettingsError
from qytet_contract import notices, topics
from qytet_edge.hosts import is_here
from qytet_edge.inbox.kinds import Context, SourceConfig
from qytet_edge.inbox.relay.local import LocalBroker, Message
from qytet_edge.inbox.relay.reading import Heard, Word, understand
from qytet_edge.ports import Sink
from qytet_edge.uplink.address import Address

__all__ = ["Config", "Nodes", "create", "probe"]

BEAT_S = 5.0
MOST_COMMANDS = 64
"""Commands that wait for the local broker; an older one gives way (the city sees that it is not answered)."""
AGAIN_S = 600.0
"""An unreadable message that a node repeats is passed on once in so many seconds."""
MOST_REMEMBERED = 512
PROBE_S = 5.0


class Config(SourceConfig):
    """Nearby nodes that speak to the local broker on this gateway."""

    kind: Literal["nodes"] = Field(description="Relays nodes from the local broker.")
    url: str = Field(
        "mqtt://127.0.0.1:1883",
        description="The local broker: mqtt://127.0.0.1:1883, or mqtts://host:8883 with `ca_file`.",
    )
    user: str = Field("", description="Broker user that may read all nodes. Empty: the gateway's name.")
    password_file: Path | None = Field(
        None, description="File whose first line is that user's password. Empty: none."
    )
    ca_file: Path | None = Field(
        None, description="Certificate of the CA that signed the local broker's. Empty: the system's CAs."
    )
    devices: tuple[str, ...] = Field(
        min_length=1,
        description="Nodes that are relayed, by name or shell pattern (`tirana-air-*`). The registry must say that "
        "they come through this gateway.",
    )
    window: int = Field(
        100, ge=1, le=10_000, description="Messages taken in and not yet kept in the spool, at most."
    )
    deadline_s: float = Field(
        120, ge=20, description="Seconds without a connection to the local broker before starting afresh."
    )

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        try:
            broker = BrokerUrl.parse(url)
        except ValueError as error:
            raise ValueError(f"write it as mqtt://127.0.0.1:1883 or mqtts://host:8883: {error}") from None
        if broker.user or broker.password:
            raise ValueError("no user or password here: use `user` and `password_file`")
        if not broker.tls and not is_here(broker.host):
            raise ValueError("url is plain mqtt to another machine: use mqtts")
        return url


class Nodes:
    """The source, and the way back: a Source and a Marks."""

    streams: Mapping[str, Sequence[str]] = {}

    def __init__(self, config: Config, context: Context) -> None:
        self.name = config.name
        self.deadline_s = config.deadline_s
        self._config = config
        self._context = context
        self._broker: LocalBroker | None = None
        self._commands: deque[tuple[str, bytes]] = deque(maxlen=MOST_COMMANDS)
        self._passed: OrderedDict[bytes, float] = OrderedDict()

    @property
    def connected(self) -> bool:
        """Whether the local broker lets us read now."""
        return self._broker is not None and self._broker.connected

    def serves(self, device: str) -> bool:
        """Whether this node is relayed here; the gateway itself and its own instruments never are."""
        ours = device == self._context.gateway or device in self._context.instruments
        return not ours and any(fnmatchcase(device, pattern) for pattern in self._config.devices)

    async def run(self, sink: Sink) -> None:
        """Take in what nodes say until cancelled."""
        address = _address(self._config, self._context)
        client_id = f"qytet-edge-{self._context.gateway}-{self.name}"
        filters = _filters(self._context.city)
        async with LocalBroker(address, client_id, filters, window=self._config.window) as broker:
            self._broker = broker
            try:
                while True:
                    await self._turn(broker, sink)
            finally:
                self._broker = None

    async def stored(self, device: str, boot: str, seq: int) -> None:
        """Tell the node; if it cannot be told now, it asks by repeating itself."""
        if self.serves(device) and self._broker is not None:
            self._say_stored(self._broker, device, boot, seq)

    async def command(self, device: str, ident: str, payload: bytes) -> None:
        """Pass a command on, now or when the local broker is back; the node judges whether it is too late."""
        if not self.serves(device):
            return
        self._commands.append((topics.topic(self._context.city, device, topics.CMD, ident=ident), payload))
        if self._broker is not None:
            self._send_commands(self._broker)

    async def _turn(self, broker: LocalBroker, sink: Sink) -> None:
        messages = await broker.batch(BEAT_S)
        while broker.troubles:
            sink.trouble(broker.troubles.popleft())
        if broker.connected:
            sink.beat()
            self._send_commands(broker)
        if not messages:
            return
        heard = [found for message in messages if (found := self._hear(message, sink)) is not None]
        try:
            await _keep(heard, sink)
        except BaseException:
            self._passed.clear()  # nobody knows what of it was kept: better twice than not at all
            raise
        broker.ack(messages)
        await self._answer(broker, [word for one in heard for word in one.words])

    def _hear(self, message: Message, sink: Sink) -> Heard | None:
        parsed = topics.parse(message.topic)
        if parsed is None:
            return None
        _city, device, kind, _gateway, ident = parsed
        if not self.serves(device):
            sink.trouble(f"{device} is not among the nodes of {self.name}: what it says is not kept")
            return None
        heard = understand(device, kind, ident, message.payload)
        if heard.why:
            sink.trouble(heard.why, device=device)
            if self._passed_lately(message):
                return heard._replace(notices=())
        return heard

    def _passed_lately(self, message: Message) -> bool:
        """Whether these very bytes went on a while ago: a node repeats what has no mark."""
        now = time.monotonic()
        digest = blake2b(message.payload, key=message.topic.encode()[-64:], digest_size=16).digest()
        if now - self._passed.get(digest, -AGAIN_S) < AGAIN_S:
            return True
        self._passed[digest] = now
        self._passed.move_to_end(digest)
        while len(self._passed) > MOST_REMEMBERED:
            self._passed.popitem(last=False)
        return False

    async def _answer(self, broker: LocalBroker, words: Iterable[Word]) -> None:
        """Say the marks that nodes evidently missed."""
        boots: dict[tuple[str, str], list[Word]] = {}
        for word in words:
            boots.setdefault((word.device, word.boot), []).append(word)
        for (device, boot), said in boots.items():
            mark = await self._context.mark(device, boot)
            if any(word.answered_by(mark) for word in said):
                self._say_stored(broker, device, boot, mark)

    def _say_stored(self, broker: LocalBroker, device: str, boot: str, seq: int) -> None:
        payload = msgspec.json.encode(notices.stored(boot, seq))
        broker.publish(topics.topic(self._context.city, device, topics.STORED), payload)

    def _send_commands(self, broker: LocalBroker) -> None:
        while self._commands and broker.publish(*self._commands[0]):
            self._commands.popleft()


def create(config: Config, context: Context) -> Nodes:
    """The relay; it connects when it runs."""
    return Nodes(config, context)


async def probe(config: Config, context: Context) -> list[Finding]:
    """Whether the local broker lets us read what nodes say; the session of the running gateway is left alone."""
    try:
        address = _address(config, context)
        client_id = f"qytet-edge-{context.gateway}-{config.name}-doctor"
        async with LocalBroker(address, client_id, _filters(context.city), window=1, session_s=0) as broker:
            async with asyncio.timeout(PROBE_S):
                while not broker.connected and not broker.troubles:
                    await broker.batch(PROBE_S)
            trouble = broker.troubles[0] if broker.troubles else ""
    except TimeoutError:
        trouble = f"the local broker {address} does not answer within {PROBE_S:.0f} s"
    except QytetError as error:
        return [problem(error.what, error.do)]
    if not trouble:
        return [ok(f"{config.name}: the local broker {address} lets the gateway read its nodes.")]
    return [
        problem(
            f"{config.name}: {trouble}.",
            "Look whether Mosquitto runs here (systemctl status mosquitto), and whether its password file and ACL "
            f"know {address.user!r}.",
        )
    ]


async def _keep(heard: Sequence[Heard], sink: Sink) -> None:
    """Everything becomes durable together: one commit, not one a message."""
    records = [record for one in heard for record in one.records]
    async with asyncio.TaskGroup() as group:
        for one in heard:
            for notice in one.notices:
                group.create_task(sink.notify(notice))
        if records:
            group.create_task(sink.relay(records))
        for word in {word for one in heard for word in one.words if word.lost and word.lowest > 1}:
            group.create_task(sink.holds(word.device, word.boot, word.lowest))


def _filters(city: str) -> list[str]:
    base = f"{topics.ROOT}/{city}/+/"
    return [base + kind + ("/+" if kind in topics.WITH_ID else "") for kind in topics.FROM_DEVICE]


def _address(config: Config, context: Context) -> Address:
    """Raises SettingsError if the password cannot be read, InputError if the CA file cannot."""
    ca_file = context.path(config.ca_file) if config.ca_file else None
    user = config.user or context.gateway
    return Address.parse(config.url, user=user, password=_password(config, context), ca_file=ca_file)


def _password(config: Config, context: Context) -> str:
    if config.password_file is None:
        return ""
    path = context.path(config.password_file)
    try:
        first = path.read_text(encoding="utf-8").splitlines()[:1]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The local broker's password cannot be read from {path}.",
            why=str(error),
            do="Write it as the first line of that file, readable by the gateway's user alone.",
        ) from error
    return first[0].strip() if first else ""
