"""The parts of a gateway, made from its configuration and tied together; `service` lets them work."""

import asyncio
import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec

from qytet import log
from qytet.errors import QytetError
from qytet_edge import config as configuration
from qytet_edge.clock import Clock
from qytet_edge.config import Config
from qytet_edge.health import Board, Health, Parts
from qytet_edge.inbox import kinds
from qytet_edge.inbox.kinds import Context, OutputConfig, SourceConfig
from qytet_edge.journal import Journal
from qytet_edge.orders import Handler, Orders
from qytet_edge.ports import Marks, Output, Sink, Source
from qytet_edge.rules import Rules
from qytet_edge.spool import Limits, Spool
from qytet_edge.supervisor import Supervisor
from qytet_edge.update.evidence import Evidence
from qytet_edge.update.layout import Layout
from qytet_edge.update.remote import Updates
from qytet_edge.uplink import Address, Identity, Manners, Metered, Uplink

__all__ = ["Gateway", "limits"]

_log = log.get("gateway")
_MIB = 1 << 20


class Gateway:
    """Everything that belongs together; nothing works yet. Raises SettingsError if rules and outputs disagree."""

    def __init__(self, config: Config, clock: Clock, spool: Spool, handlers: Mapping[str, Handler]) -> None:
        self.config = config
        self.clock = clock
        self.spool = spool
        self.began = time.monotonic()
        own = config.gateway.name
        context = config.context(fix=clock.fix, mark=self._mark)
        self.outputs = {one.name: _output(one, context) for one in config.outputs}
        self.journal = Journal(own, spool, wall_ms=lambda: clock.stamp()[0])
        self.rules = Rules(
            config.rules,
            self.outputs,
            device=own,
            clock=clock,
            journal=self.journal,
            zone=config.gateway.timezone,
            reports={one.name: one.reports for one in config.outputs},
        )
        self.supervisor = Supervisor(spool, accepted=self.rules.accepted)
        self.health = Health(
            device=own,
            board=Board(config.data_dir),
            parts=Parts(self._backlog, self._dropped, self._errors),
            clock=clock,
            journal=self.journal,
            interval_s=config.health.interval_s,
            sources=[one.name for one in config.sources],
        )
        self._inbox = {one.name: _source(one, context) for one in config.sources}
        context.instruments.update(device for source in self._inbox.values() for device in source.streams)
        self.sources: list[Source] = [*self._inbox.values(), self.rules, self.health]
        self.orders = Orders(
            own, spool, {"set": self._set, "rebirth": self._rebirth, **handlers}, lambda: clock.stamp()[0]
        )
        self.updates = Updates(Layout(), self.orders.answer, self._tell_update)
        self.orders.delegate("update", self.updates.command)
        self.uplink = Uplink(
            spool,
            self._address(),
            identity(config, self.sources),
            manners(config),
            marks=_Relays(self.sources),
            command=self.orders.take,
        )

    def state(self) -> dict[str, Any]:
        """Everything that status tells; plain values."""
        gateway = self.config.gateway
        return {
            "gateway": {
                "city": gateway.city,
                "name": gateway.name,
                "version": version("qytet"),
                "boot": self.spool.boot,
                "up_s": round(self.spool.up_ms() / 1000, 1),
                "running_s": round(time.monotonic() - self.began, 1),
                "config": str(self.config.path),
            },
            "clock": self.clock.state()._asdict(),
            "spool": dataclasses.asdict(self.spool.state()),
            "uplink": msgspec.to_builtins(self.uplink.state()),
            "sources": [
                {**account.state_now(), "detail": self._detail(account.name)}
                for account in self.supervisor.accounts.values()
            ],
            "health": self.health.state(),
            **self.rules.state(),
            "events": self.journal.recent(),
        }

    async def alive(self) -> str:
        """What the watchdog asks: "" if the spool's writer makes progress or has said why it cannot."""
        busy = self.spool.busy_s()
        if math.isinf(busy):  # it will not come back, also if the disk was full when it went
            return "the spool's writer has failed"
        if busy > _HANGS_S and self.spool.state().full_since_ms is None:
            return f"the spool's writer has been at one thing for {busy:.0f} s"
        return ""

    async def prove(self) -> None:
        """During a trial of a new release or configuration: say so once the city has stored a record of ours."""
        evidence = Evidence(Layout(), self.config.digest)
        if not evidence.wanted:
            return
        boot, first = self.spool.boot, await self._next_numbers()
        evidence.begin(first)
        while evidence.wanted:
            if self.spool.boot != boot:  # a corrupt one was set aside: its successor's records prove as much
                boot = self.spool.boot
                evidence.begin({(device, boot): 1 for device, _boot in first})
            for device, _boot in first:
                evidence.stored(device, boot, await self._mark(device, boot))
            await asyncio.sleep(_PROVE_S)

    async def _next_numbers(self) -> dict[tuple[str, str], int]:
        """The number that the next record of each device of ours will have at least."""
        boot = self.spool.boot
        held = {(one.device, one.boot): one.next_seq for one in await self.spool.held() if one.own}
        devices = {
            self.config.gateway.name,
            *(device for source in self.sources for device in source.streams),
        }
        return {
            (device, boot): held.get((device, boot), await self._mark(device, boot) + 1) for device in devices
        }

    async def _tell_update(self, level: str, line: str) -> None:
        self.journal.add("warning" if level == "warning" else "info", "update", line)

    def _detail(self, name: str) -> dict[str, Any]:
        """What a plug-in tells of itself beside its readings: good and bad frames, a receiver's place."""
        tell = getattr(self._inbox.get(name), "state", None)
        return tell() if tell else {}

    async def open_outputs(self) -> None:
        """Bring every output into its safe state before any rule speaks; one that fails is tried by its rule."""
        await asyncio.gather(*(self._all_told(name, "open") for name in self.outputs))

    async def close_outputs(self) -> None:
        """Leave every output in its safe state."""
        await asyncio.gather(*(self._all_told(name, "close") for name in self.outputs))

    async def _all_told(self, name: str, word: str) -> None:
        act = getattr(self.outputs[name], word, None)
        if act is None:
            return
        try:
            async with asyncio.timeout(_MOVE_S):
                await act()
        except Exception as error:  # noqa: BLE001 (the others must be moved, too)
            self.journal.add(
                "warning", f"output {name}", f"cannot {word}: {str(error) or 'no answer in time'}"
            )

    def _backlog(self) -> int:
        return self.spool.state().records

    def _dropped(self) -> int:
        return self.spool.state().dropped

    def _errors(self) -> dict[str, int]:
        accounts = self.supervisor.accounts
        return {one.name: accounts[one.name].errors for one in self.config.sources if one.name in accounts}

    def _address(self) -> Address:
        """The city's broker; a password that cannot be read must not keep readings from being taken."""
        try:
            return address(self.config)
        except QytetError as error:
            self.journal.add("error", "uplink", str(error))
            return Address.parse(self.config.uplink.url, user=self.config.gateway.name)

    async def _mark(self, device: str, boot: str) -> int:
        return await self.spool.known(device, boot) or 0

    async def _set(self, args: Mapping[str, Any]) -> str:
        """The command `set`: drive an output that no rule drives."""
        name, value = args.get("output"), args.get("value")
        if name not in self.outputs or not isinstance(value, int | float) or isinstance(value, bool):
            raise QytetError("Say which output and what value", why=f"known: {sorted(self.outputs)}")
        if any(rule.then.output == name for rule in self.config.rules):
            raise QytetError(f"The output {name} belongs to a rule.")
        await self.outputs[name].set(float(value))
        self.rules.report(name, float(value))
        self.journal.add("info", f"output {name}", f"set to {value:g} by the city")
        return f"{name} = {value:g}"

    async def _rebirth(self, _args: Mapping[str, Any]) -> str:
        """The command `rebirth`: say birth and state anew."""
        await self.uplink.greet()
        return ""


_PROVE_S = 2.0
_MOVE_S = 5.0
_HANGS_S = 120.0
"""A transaction on the slowest SD card takes seconds; a check of the file at the start is not under the watchdog."""


def limits(config: Config) -> Limits:
    """The spool's bounds."""
    spool = config.spool
    return Limits(
        bytes=spool.max_mb * _MIB, age_s=int(spool.max_age_days * 86_400), commit_ms=spool.commit_ms
    )


def address(config: Config) -> Address:
    """The city's broker. Raises SettingsError if its password cannot be read."""
    uplink = config.uplink

    def named(path: Any) -> Any:
        return config.folder / path if path else None

    return Address.parse(
        uplink.url,
        user=uplink.user or config.gateway.name,
        password=configuration.password(config),
        ca_file=named(uplink.ca_file),
        cert_file=named(uplink.cert_file),
        key_file=named(uplink.key_file),
    )


def manners(config: Config) -> Manners:
    """How the uplink behaves."""
    uplink = config.uplink
    return Manners(
        version=5 if uplink.version == "5" else 3,
        keepalive_s=uplink.keepalive_s,
        window=uplink.in_flight,
        backfill_rate=uplink.backfill_rate,
        batch_records=uplink.batch_records,
        mark_s=(uplink.resend_s, max(300.0, uplink.resend_s)),
        metered=Metered(interval_s=uplink.metered_interval_s) if uplink.metered else None,
    )


def identity(config: Config, sources: Sequence[Source]) -> Identity:
    """Who speaks: the gateway and every instrument with a name of its own."""
    streams: dict[str, list[str]] = {config.gateway.name: []}
    for source in sources:
        for device, keys in source.streams.items():
            known = streams.setdefault(device, [])
            known += [key for key in keys if key not in known]
    gateway = config.gateway
    return Identity(gateway.city, gateway.name, version("qytet"), gateway.board, streams)


class _Relays:
    """Passes marks and commands to every source that stands before nodes (ports.Marks)."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._relays = [source for source in sources if isinstance(source, Marks)]

    async def stored(self, device: str, boot: str, seq: int) -> None:
        for relay in self._relays:
            await relay.stored(device, boot, seq)

    async def command(self, device: str, ident: str, payload: bytes) -> None:
        for relay in self._relays:
            await relay.command(device, ident, payload)


class _Unmade:
    """Stands for a source that could not even be made: it fails at each start, is told, and stalls nobody."""

    streams: Mapping[str, Sequence[str]] = {}
    deadline_s = math.inf

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._error = error

    async def run(self, sink: Sink) -> None:
        del sink
        raise OSError(str(self._error)) from self._error

    async def set(self, value: float) -> None:
        del value
        raise OSError(str(self._error)) from self._error


def _source(config: SourceConfig, context: Context) -> Source:
    try:
        source: Source = kinds.make(kinds.SOURCES, config, context)
    except Exception as error:  # noqa: BLE001 (whatever is wrong with one, the others must work)
        _log.exception("source cannot be made", source=config.name)
        return _Unmade(config.name, error)
    return source


def _output(config: OutputConfig, context: Context) -> Output:
    try:
        output: Output = kinds.make(kinds.OUTPUTS, config, context)
    except Exception as error:  # noqa: BLE001 (whatever is wrong with one, the others must work)
        _log.exception("output cannot be made", output=config.name)
        return _Unmade(config.name, error)
    return output
