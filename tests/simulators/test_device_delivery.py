"""Devices against real brokers and a server that loses what it likes: every accepted record arrives in the end."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qytet.embedded import EmbeddedNats
from qytet_contract import topics
from qytet_simulators.city import load_fleet
from qytet_simulators.device import Address, Manners, Node, Patience, Record, Switchboard
from qytet_simulators.device.town import Plan, Town
from qytet_simulators.faults import load_scenario
from qytet_simulators.oracle import Accepted, OracleWriter, Resent, read
from tests.servers.mosquitto import MosquittoServer
from tests.simulators.device_server import MarkServer

pytestmark = pytest.mark.servers
WAIT = 60.0  # s; nobody waits so long but for what will not come
HASTY, PATIENT = Patience(0.5, 2.0), Patience(60.0, 60.0)


def make_nodes(
    test: str, count: int = 3, *, faithful: bool = True, capacity: int = 1000, patience: Patience = HASTY
) -> list[Node]:
    """Devices whose names no other test uses, each in its first boot."""
    nodes = [
        Node(
            "tirana",
            f"{test}-{number}",
            ["pm2_5"],
            patience=patience,
            faithful=faithful,
            capacity=capacity,
        )
        for number in range(count)
    ]
    for number, node in enumerate(nodes):
        node.reboot(f"{number + 1:08x}")
    return nodes


def measure(board: Switchboard, nodes: list[Node], count: int) -> None:
    """Let every device accept and send so many records."""
    for node in nodes:
        for _ in range(count):
            seq = node.seq + 1
            record = Record(seq, 1_767_225_600_000 + seq, seq, "ntp", {"pm2_5": seq / 10})
            node.accept(record)
            board.submit(node, node.boot, record)


def connected(board: Switchboard) -> None:
    board.run(WAIT, lambda: board.up == len(board.carriers))
    assert board.up == len(board.carriers), board.refusal


def all_stored(server: MarkServer, nodes: list[Node], count: int) -> bool:
    return all(len(server.stored[node.name, node.boot]) == count for node in nodes)


@pytest.mark.parametrize("connections", [1, 0])
def test_records_arrive_and_are_marked(nats_server: EmbeddedNats, connections: int) -> None:
    """With a server that marks, each record travels once; birth and state come before it."""
    nodes = make_nodes(f"plain{connections}", patience=PATIENT)
    with MarkServer(nats_server.url("ingest")) as server:
        with Switchboard(
            Address.parse(nats_server.url("simulator")), nodes, run=f"p{connections}", connections=connections
        ) as board:
            connected(board)
            measure(board, nodes, 50)
            assert board.settle(WAIT) == []
            assert len(board.carriers) == (1 if connections else 3)
        assert all(server.first[node.name, node.boot, seq] == 1 for node in nodes for seq in range(1, 51))
        assert {birth["device"] for birth in server.births} >= {node.name for node in nodes}
        assert sum(node.tally.stored for node in nodes) == 150
        assert nodes[0].stored_after.count == 50


def test_lost_records_are_resent(nats_server: EmbeddedNats) -> None:
    """A server that forgets every third record at first gets it again, and in the end holds all of them."""
    nodes = make_nodes("lossy")

    def lose(key: tuple[str, str, int], times: int) -> bool:
        return times == 1 and key[2] % 3 == 0

    with (
        MarkServer(nats_server.url("ingest"), lose=lose) as server,
        Switchboard(Address.parse(nats_server.url("simulator")), nodes, run="lossy") as board,
    ):
        connected(board)
        measure(board, nodes, 40)
        assert board.settle(WAIT) == []
        assert all_stored(server, nodes, 40)
    assert sum(node.tally.resent for node in nodes) >= 3 * 13


def test_without_resending_records_are_lost(nats_server: EmbeddedNats) -> None:
    """The same server and devices that trust the PUBACK: a third is lost, which is why resending matters."""
    nodes = make_nodes("faithless", faithful=False)
    with (
        MarkServer(nats_server.url("ingest"), lose=lambda key, _times: key[2] % 3 == 0) as server,
        Switchboard(Address.parse(nats_server.url("simulator")), nodes, run="faithless") as board,
    ):
        connected(board)
        measure(board, nodes, 40)
        assert board.settle(WAIT) == []
        board.run(2.0)
        assert not all_stored(server, nodes, 40)
    assert sum(node.tally.trusted for node in nodes) == 120
    assert sum(node.tally.resent for node in nodes) == 0


def test_lost_marks_cost_a_repetition_only(nats_server: EmbeddedNats) -> None:
    """A server that stores but does not mark at first: records come again, and are given up once marked."""
    nodes = make_nodes("markless")
    with (
        MarkServer(nats_server.url("ingest"), marking=False) as server,
        Switchboard(Address.parse(nats_server.url("simulator")), nodes, run="markless") as board,
    ):
        connected(board)
        measure(board, nodes, 10)
        assert len(board.settle(1.5)) == 3
        server.marking = True
        assert board.settle(WAIT) == []
    assert sum(node.tally.stored for node in nodes) == 30


def test_old_boots_are_delivered_after_a_reboot(nats_server: EmbeddedNats) -> None:
    """What a device had not delivered before a reboot is delivered after it, under its old boot."""
    nodes = make_nodes("rebooted", 1)
    node, first = nodes[0], nodes[0].boot
    with MarkServer(nats_server.url("ingest")) as server:
        with Switchboard(Address.parse(nats_server.url("simulator")), nodes, run="rebooted") as board:
            measure(board, nodes, 7)  # before there is a connection
            node.reboot("0000beef")
            measure(board, nodes, 5)
            assert board.settle(WAIT) == []
        assert server.stored[node.name, first] == set(range(1, 8))
        assert server.stored[node.name, "0000beef"] == set(range(1, 6))
    assert node.backlog.boots == ("0000beef",)


def test_dropped_records_are_reported(nats_server: EmbeddedNats) -> None:
    """A device whose memory overflowed says from which number on it holds records, and comes to rest."""
    nodes = make_nodes("small", 1, capacity=10)
    with MarkServer(nats_server.url("ingest")) as server:
        with Switchboard(Address.parse(nats_server.url("simulator")), nodes, run="small") as board:
            measure(board, nodes, 25)  # before there is a connection
            assert board.settle(WAIT) == []
        assert server.lost_below[nodes[0].name, nodes[0].boot] == 16
        assert server.stored[nodes[0].name, nodes[0].boot] == set(range(16, 26))
    assert nodes[0].tally.dropped == 15


def test_broker_killed_in_between(private_nats: EmbeddedNats) -> None:
    """The broker is killed and started again while devices speak: they reconnect, and nothing is lost."""
    nodes = make_nodes("killed", 8)
    with Switchboard(
        Address.parse(private_nats.url("simulator")), nodes, run="killed", connections=2
    ) as board:
        connected(board)
        with MarkServer(private_nats.url("ingest")) as server:
            measure(board, nodes, 30)
            board.run(0.05)
            private_nats.kill()
            measure(board, nodes, 30)
            board.run(WAIT, lambda: board.up == 0)
            assert board.up == 0
            private_nats.start()
            assert board.settle(WAIT) == []
            assert all_stored(server, nodes, 60)
    assert all(carrier.connects >= 2 for carrier in board.carriers)


def test_single_device_leaves_a_will(private_mosquitto: MosquittoServer) -> None:
    """A device on a connection of its own that vanishes is reported as lost, with its boot; then it returns."""
    nodes = make_nodes("will", 1)
    with MarkServer(private_mosquitto.url("ingest")) as server:
        with Switchboard(
            Address.parse(private_mosquitto.url("simulator")), nodes, run="will", connections=0
        ) as board:
            connected(board)
            board.run(
                WAIT, lambda: bool(server.states)
            )  # a broker that is slow loses what it has not read yet
            nodes[0].online = False
            board.run(WAIT, lambda: any(state["s"] == "lost" for state in server.states))
            measure(board, nodes, 5)
            nodes[0].online = True
            assert board.settle(WAIT) == []
        words = [state["s"] for state in server.states]
    assert words[:3] == ["ready", "lost", "ready"]
    assert {state["boot"] for state in server.states} == {nodes[0].boot}


@pytest.mark.parametrize("manners", [Manners(mqtt5=True, window=50), Manners(persistent=True, window=3)])
def test_other_manners_on_mosquitto(mosquitto_server: MosquittoServer, manners: Manners) -> None:
    """MQTT 5, and a persistent session with a window of three, deliver the same."""
    nodes = make_nodes(f"manners{manners.window}")
    with (
        MarkServer(mosquitto_server.url("ingest")) as server,
        Switchboard(
            Address.parse(mosquitto_server.url("simulator")),
            nodes,
            run=f"m{manners.window}",
            manners=manners,
        ) as board,
    ):
        connected(board)
        measure(board, nodes, 200)
        board.run(WAIT, lambda: _watch_window(board, manners.window))
        assert board.settle(WAIT) == []
        assert all_stored(server, nodes, 200)


def _watch_window(board: Switchboard, window: int) -> bool:
    assert all(carrier.in_flight <= window + 2 for carrier in board.carriers)  # a greeting is two messages
    return all(carrier.idle for carrier in board.carriers)


def test_bad_password_is_reported(nats_server: EmbeddedNats) -> None:
    """A broker that refuses the user is named as the reason, and devices stay off instead of crashing."""
    nodes = make_nodes("stranger", 1)
    address = Address("127.0.0.1", nats_server.port, "simulator", "wrong")
    with Switchboard(address, nodes, run="stranger") as board:
        board.run(WAIT, lambda: bool(board.refusal))
        assert board.up == 0
        assert board.refusal


def test_scenario_is_carried_out_and_recorded(nats_server: EmbeddedNats, tmp_path: Path) -> None:
    """A bad day: what the oracle says was accepted is what the server holds; repetitions and garbage come too."""
    fleet = load_fleet().scale(64).paced(1, 1, 1)
    start_ms = int(time.time() * 1000) - 90_000
    plan = Plan(fleet, start_ms, "bad", scenario=load_scenario("bad-day"), patience=Patience(1.0, 5.0))
    with MarkServer(nats_server.url("ingest")) as server, OracleWriter(tmp_path / "oracle") as oracle:
        town = Town(plan, oracle)
        with Switchboard(
            Address.parse(nats_server.url("simulator")), town.nodes, run="bad", connections=3
        ) as board:
            connected(board)
            for second in range(80):
                town.step(board, start_ms + second * 1000)
                board.run(0.05)
            town.finish(board)
            assert board.settle(WAIT) == []
        entries = list(read(tmp_path / "oracle"))
        accepted = {(e.device, e.boot, e.seq): e.m for e in entries if isinstance(e, Accepted)}
        assert {key: server.values.get(key) for key in accepted} == accepted
        assert len(accepted) > 64 * 60
        again = [e for e in entries if isinstance(e, Resent)]
        assert again
        server.wait_for(lambda: all(server.seen[e.device, e.boot, e.seq] >= 2 for e in again))
        assert server.kinds[topics.HIST] > 0
        assert sum(tally.reboots for tally in town.tallies.values()) > 0
        assert sum(tally.garbage for tally in town.tallies.values()) > 0


def test_settling_waits_for_what_was_said_besides(nats_server: EmbeddedNats) -> None:
    """Repetitions and garbage, which no mark answers, are with the broker when all is settled, not in a queue."""
    nodes = make_nodes("besides", 1)
    with Switchboard(Address.parse(nats_server.url("simulator")), nodes, run="besides") as board:
        connected(board)
        for number in range(2000):  # many windows full
            board.say(nodes[0], topics.OBS, b"garbage %d" % number)
        assert board.settle(WAIT) == []
        assert board.carriers[0].idle
    assert nodes[0].tally.messages == 2000


def test_settling_ends_early_when_asked(nats_server: EmbeddedNats) -> None:
    """Waiting for marks can be cut short, and says who is still waiting."""
    nodes = make_nodes("unmarked")
    stop: Callable[[], bool] = lambda: True  # noqa: E731
    with Switchboard(Address.parse(nats_server.url("simulator")), nodes, run="unmarked") as board:
        connected(board)
        measure(board, nodes, 1)
        began = time.monotonic()
        assert board.settle(WAIT, stop) == nodes
        assert time.monotonic() - began < WAIT / 2
