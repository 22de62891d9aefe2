"""A small MQTT client for tests of brokers: every step waits for the broker's answer."""

import threading
from typing import Protocol, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

PATIENCE_S = 60.0  # s until nothing more is waited for


class Broker(Protocol):
    """What a client needs to know of a broker."""

    @property
    def port(self) -> int: ...

    def password(self, user: str) -> str: ...


class Client:
    """A connected client that collects what arrives; connect, subscribe and publish wait for their answers."""

    def __init__(self, broker: Broker, user: str, name: str, *, clean: bool = True) -> None:
        self.received: list[tuple[str, bytes]] = []
        self._expected = 0
        self._answer = threading.Event()
        self._arrived = threading.Event()
        self._dropped = threading.Event()
        self._codes: list[ReasonCode] = []
        self.mqtt = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
        self.mqtt.username_pw_set(user, broker.password(user))
        self.mqtt.max_inflight_messages_set(1000)
        self.mqtt.on_connect = lambda *_: self._answer.set()
        self.mqtt.on_disconnect = lambda *_: self._dropped.set()
        self.mqtt.on_subscribe = self._on_subscribe
        self.mqtt.on_message = self._on_message
        self.mqtt.connect("127.0.0.1", broker.port)
        self.mqtt.loop_start()
        assert self._answer.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.mqtt.disconnect()
        self.mqtt.loop_stop()

    def subscribe(self, topic: str) -> bool:
        """Whether the broker granted it."""
        self._answer.clear()
        self.mqtt.subscribe(topic, 1)
        assert self._answer.wait(PATIENCE_S)
        return not self._codes[-1].is_failure

    def publish(self, topic: str, count: int = 1) -> None:
        sent = [self.mqtt.publish(topic, str(number), 1) for number in range(count)]
        for one in sent:
            one.wait_for_publish(PATIENCE_S)
            assert one.is_published()

    def publish_and_be_dropped(self, topic: str) -> bool:
        """Whether the broker ends the connection for it (Mosquitto does, for a topic that is denied)."""
        self._dropped.clear()
        self.mqtt.publish(topic, "denied", 1)
        return self._dropped.wait(PATIENCE_S)

    def wait_for(self, count: int) -> list[tuple[str, bytes]]:
        self._expected = count
        if len(self.received) < count:
            self._arrived.wait(PATIENCE_S)
        return self.received

    def _on_subscribe(self, _c: object, _u: object, _m: object, codes: list[ReasonCode], _p: object) -> None:
        self._codes = codes
        self._answer.set()

    def _on_message(self, _c: object, _u: object, message: mqtt.MQTTMessage) -> None:
        self.received.append((message.topic, bytes(message.payload)))
        if self._expected and len(self.received) >= self._expected:
            self._arrived.set()
