"""Commands to devices: sent until answered or expired, at once to who comes up, and answered once for all."""

import json
from datetime import timedelta

import pytest

from qytet.db import control
from qytet.errors import InputError, NotFoundError
from qytet_contract import notices, topics
from qytet_ingest.outbox import Outbox
from tests.ingest.rig import register

HOUR = timedelta(hours=1)


class Wire:
    """What would have gone out; `up` says whether there is a connection."""

    def __init__(self):
        self.sent, self.up = [], True

    def publish(self, messages):
        if self.up:
            self.sent += messages
        return self.up


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def send(plain_rig, wire):
    """Sends what is due for the rig's device; returns how many."""
    outbox = Outbox(wire.publish)

    def run(awake=()):
        outbox.awake(awake)
        return outbox.send(
            plain_rig.db, plain_rig.registry, lambda device: device.name.startswith(plain_rig.device)
        )

    return run


def ask(rig, name="restart", args=None, expires_in=HOUR, device=""):
    return control.ask(rig.db, device or rig.device, name, args or {}, expires_in=expires_in)["command_id"]


def age(rig, ident, seconds):
    rig.db.execute(
        "update store.command set sent_at = sent_at - %s * interval '1 second' where command_id = %s",
        [seconds, ident],
    )


def expire(rig, ident):
    rig.db.execute("update store.command set expires_at = now() where command_id = %s", [ident])


def answer(rig, ident, s, why=""):
    topic = rig.topic(topics.ACK, ident=ident)
    batch = rig.batch()
    rig.decoder.feed(batch, [topic], [json.dumps({"v": 1, "s": s, "why": why}).encode()], 0)
    return batch


def store(rig, ident, s, why=""):
    rig.store(json.dumps({"v": 1, "s": s, "why": why}).encode(), kind=f"ack/{ident}")


def state(rig, ident):
    return control.show(rig.db, ident)["state"]


def test_a_command_goes_out_as_the_contract_has_it(plain_rig, wire, send):
    """Topic and payload are the contract's, the expiry is the asked one, and the table says that it was sent."""
    ident = ask(plain_rig, "resend", {"boot": "9f3a01c2", "from": 3, "to": 7})
    assert send() == 1
    ((topic, payload),) = wire.sent
    assert topic == plain_rig.topic(topics.CMD, ident=ident)
    value = json.loads(payload)
    notices.check_cmd(value)
    assert (value["cmd"], value["args"]) == ("resend", {"boot": "9f3a01c2", "from": 3, "to": 7})
    row = control.show(plain_rig.db, ident)
    assert value["exp"] == pytest.approx(row["expires_at"].timestamp() * 1000, abs=1)
    assert (row["state"], row["sends"]) == ("sent", 1)


def test_it_is_repeated_with_patience_until_it_is_answered(plain_rig, wire, send):
    """Without an answer it goes out again after 5 s, then 10 s, and never again once it is answered."""
    ident = ask(plain_rig)
    assert [send(), send()] == [1, 0]
    age(plain_rig, ident, 5)
    assert [send(), send()] == [1, 0]
    age(plain_rig, ident, 5)
    assert send() == 0
    age(plain_rig, ident, 10)
    assert send() == 1
    store(plain_rig, ident, "done")
    age(plain_rig, ident, 10_000)
    assert send() == 0
    assert state(plain_rig, ident) == "done"


def test_who_comes_up_hears_at_once(plain_rig, wire, send):
    """A device that has just come up is told again, whatever the patience says."""
    ask(plain_rig)
    assert send() == 1
    assert send(awake=[plain_rig.registry.devices[plain_rig.device].device_id]) == 1
    assert send() == 0


def test_without_a_connection_nothing_counts_as_sent(plain_rig, wire, send):
    """What could not be published is published as soon as it can be."""
    ident = ask(plain_rig)
    wire.up = False
    assert send() == 0
    assert state(plain_rig, ident) == "waiting"
    wire.up = True
    assert send() == 1


def test_an_expired_command_is_not_sent(plain_rig, wire, send):
    """After its time it is ended; a device that did it all the same may still say so."""
    ident = ask(plain_rig)
    expire(plain_rig, ident)
    assert send() == 0
    assert (wire.sent, state(plain_rig, ident)) == ([], "expired")
    store(plain_rig, ident, "done")
    assert state(plain_rig, ident) == "done"


def test_answers_never_go_backwards(plain_rig, wire, send):
    """`accepted` keeps it open without another sending; a final answer stands against late and repeated ones."""
    ident = ask(plain_rig)
    send()
    store(plain_rig, ident, "accepted")
    age(plain_rig, ident, 10_000)
    assert (send(), state(plain_rig, ident)) == (0, "accepted")
    store(plain_rig, ident, "failed", "valve stuck")
    store(plain_rig, ident, "accepted")
    store(plain_rig, ident, "done")
    row = control.show(plain_rig.db, ident)
    assert (row["state"], row["why"]) == ("failed", "valve stuck")


def test_nobody_answers_for_another(plain_rig, wire, send):
    """An answer under another device's name changes nothing."""
    other = register(plain_rig.db)
    plain_rig.restart()
    ident = ask(plain_rig)
    mine, plain_rig.device = plain_rig.device, other
    store(plain_rig, ident, "done")
    plain_rig.device = mine
    assert state(plain_rig, ident) == "waiting"


def test_answers_take_no_room_in_the_memory_of_topics(plain_rig):
    """Each answer's topic is used once: remembering them would fill the memory that devices' topics need."""
    for number in range(50):
        answer(plain_rig, f"c{number}", "done")
    assert plain_rig.decoder._routes == {}


def test_what_is_behind_a_gateway_is_told_through_it(plain_rig, wire, send):
    """The command to a relayed device goes out below its gateway's name."""
    behind = register(plain_rig.db, f"{plain_rig.device}-behind", gateway=plain_rig.device)
    plain_rig.restart()
    ident = ask(plain_rig, device=behind)
    assert send() == 1
    expected = topics.topic("tirana", behind, topics.CMD, gateway=plain_rig.device, ident=ident).encode()
    assert wire.sent[0][0] == expected


def test_a_cancelled_command_is_not_sent(plain_rig, wire, send):
    """What is cancelled before it went out never goes out, and cannot be cancelled twice."""
    ident = ask(plain_rig)
    control.cancel(plain_rig.db, ident)
    assert (send(), wire.sent) == (0, [])
    with pytest.raises(InputError, match="cannot be cancelled"):
        control.cancel(plain_rig.db, ident)


def test_asking_whom_nobody_knows(plain_rig):
    """A device that is not registered, arguments too large for a node, and no time at all are refused."""
    with pytest.raises(NotFoundError):
        ask(plain_rig, device="nobody")
    with pytest.raises(InputError, match="too large"):
        ask(plain_rig, args={"text": "x" * 5000})
    with pytest.raises(InputError, match="time"):
        ask(plain_rig, expires_in=timedelta(0))
