"""Watches at the broker what one node sends, and what the city says to it: records by boot, and marks."""

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from qytet.errors import ServerError
from qytet_contract import topics
from qytet_simulators.device.address import Address

__all__ = ["BootAccount", "Watcher"]

_CONNECT_S = 30
_KINDS = (topics.BIRTH, topics.OBS, topics.HIST, topics.STORED)


@dataclass
class BootAccount:
    """What one boot of the node has sent: numbers of records, how many messages repeated some, and its last mark."""

    seqs: set[int] = field(default_factory=set)
    repeated: int = 0
    mark: int = 0

    @property
    def made(self) -> int:
        """Records that it must have made: numbers have no gaps."""
        return max([self.mark, *self.seqs])

    @property
    def waiting(self) -> int:
        """Records that the city has not marked."""
        return max(self.made - self.mark, 0)


class Watcher:
    """A context manager, connected as `user`; `boots` by boot id. Raises ServerError if the broker refuses.

    `sees` is false where the broker lets this user hear no records: then only marks are known.
    """

    def __init__(self, address: Address, user: str, city: str, device: str) -> None:
        self._address, self._city, self._device = address, city, device
        self.boots: dict[str, BootAccount] = {}
        self.births = 0
        self.sees = True
        self._came = threading.Condition()
        self._unheard = 0
        self._listens = threading.Event()
        """The broker has answered each subscription: nothing that is sent from now on is missed."""
        self._refusal = ""
        self._mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"watcher-of-{device}")
        self._mqtt.username_pw_set(user, address.password)
        if address.tls:
            ca_file = str(address.ca_file) if address.ca_file else None
            self._mqtt.tls_set_context(ssl.create_default_context(cafile=ca_file))
        self._mqtt.on_connect = self._on_connect
        self._mqtt.on_message = self._on_message
        self._mqtt.on_subscribe = self._on_subscribe

    def __enter__(self) -> Self:
        try:
            self._mqtt.connect(self._address.host, self._address.port)
        except OSError as error:
            raise ServerError(
                f"The broker {self._address} cannot be reached.", why=str(error), do="Start it first."
            ) from error
        self._mqtt.loop_start()
        if not self._listens.wait(_CONNECT_S) or self._refusal:
            self._mqtt.disconnect()
            self._mqtt.loop_stop()
            raise ServerError(
                f"The broker {self._address} does not let us in.", why=self._refusal or "It does not answer."
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def wait_until(self, condition: Callable[[], bool], deadline_s: float) -> bool:
        """Whether it came to hold in time; looked at whenever something has come."""
        with self._came:
            return self._came.wait_for(condition, deadline_s)

    @property
    def waiting(self) -> int:
        """Records of all boots that were sent, and not marked yet."""
        return sum(one.waiting for one in list(self.boots.values()))

    def _on_connect(self, _c: object, _u: object, _f: object, reason: Any, _p: object) -> None:
        if reason.is_failure:
            self._refusal = str(reason)
            self._listens.set()
            return
        self._unheard = len(_KINDS)
        for kind in _KINDS:
            self._mqtt.subscribe(topics.topic(self._city, self._device, kind), 1)

    def _on_subscribe(self, _c: object, _u: object, _m: object, codes: list[Any], _p: object) -> None:
        self.sees = self.sees and not any(code.is_failure for code in codes)
        self._unheard -= 1
        if not self._unheard:
            self._listens.set()

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        parts = topics.parse(message.topic)
        try:
            said = json.loads(message.payload)
            if parts is None or not isinstance(said, dict):
                return
            with self._came:
                self._take(parts[2], said, retained=message.retain)
                self._came.notify_all()
        except (ValueError, KeyError, TypeError, IndexError):
            return  # whatever it was, no node said it

    def _take(self, kind: str, said: dict[str, Any], *, retained: bool) -> None:
        if kind == topics.BIRTH:
            self.births += not retained
            return
        boot = self.boots.setdefault(said["boot"], BootAccount())
        if kind == topics.STORED:
            boot.mark = max(boot.mark, int(said["seq"]))
            return
        for seq in [said["seq"]] if kind == topics.OBS else [row[0] for row in said["r"]]:
            boot.repeated += seq in boot.seqs
            boot.seqs.add(int(seq))
