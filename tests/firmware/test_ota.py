"""Orders to update, from the city's word to its answer, on a board's flash: main.py, slots, signature, trial."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from qytet_bench.update import bundle as bundles
from tests.firmware.updating import SETTINGS, Workshop
from tests.servers.micropython import MicroPython

NEW = {"wifi": {"ssid": "new-net", "password": "a password"}}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Programs, bundles and a key, made once."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    made.bundle("0.2.0")
    return made


def _one(
    vm: MicroPython, workshop: Workshop, *orders: Any, blocks: int = 400, **board: Any
) -> dict[str, Any]:
    """What became of a board that was given these orders."""
    (found,) = workshop.boards(vm, [{"orders": orders, **board}], blocks=blocks)
    return found


def test_a_version_whose_reading_is_stored_stays(micropython: MicroPython, workshop: Workshop) -> None:
    """Fetched, started once, proved, answered `done`; the next start runs it without a count."""
    found = _one(micropython, workshop, workshop.update("0.2.0"))
    assert found["answers"] == {"u1": ["done", "0.2.0"]}
    assert found["lives"] == ["0.1.0", "0.2.0"]
    assert found["state"] == {"run": "b", "trial": None, "left": 0, "id": "u1", "why": ""}
    assert set(found["watchdogs"]) == {120000}, "before anything of a slot runs, the watchdog does"


def test_a_version_that_does_not_prove_itself_goes(micropython: MicroPython, workshop: Workshop) -> None:
    """Whatever is wrong with it, the version before runs again, and the order is answered `failed` with the reason."""
    cases = [
        ("0.3.1", "import", 0, "it cannot be imported: ValueError broken at import"),
        ("0.3.2", "crash", 3, "it crashed: TypeError broken"),
        ("0.3.3", "hang", 3, "no reading of it was stored, and its starts are used up"),
        ("0.3.4", "mute", 1, "no reading of it was stored in time"),
        ("0.3.5", "numb", 1, "no reading of it was stored in time"),
    ]
    for version, kind, _, _ in cases:
        workshop.bundle(version, kind)
    boards = [{"orders": [workshop.update(version)]} for version, *_ in cases]
    for (version, _, starts, why), found in zip(cases, workshop.boards(micropython, boards), strict=True):
        assert found["answers"] == {"u1": ["failed", why]}
        assert found["lives"] == ["0.1.0", *[version] * starts, "0.1.0"]
        assert (found["runs"], found["slot"], found["state"]["trial"]) == ("0.1.0", "a", None)


def _spoilt(workshop: Workshop) -> dict[str, tuple[bytes, str]]:
    """Name -> what a server might give for an update, and why a node refuses it."""
    good = workshop.bundles["0.2.0"].read_bytes()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    size = 12 + int.from_bytes(good[8:12], "little")
    slot = workshop.version("0.2.0")
    at = len(good) - 300
    return {
        "another key": (bundles.make("0.2.0", slot, stranger), "it is not signed by whom this node trusts"),
        "no signature": (good[:size] + bytes(256) + good[size + 256 :], "it is not signed by whom"),
        "manifest": (good[:40] + b"9" + good[41:], "it is not signed by whom"),
        "one bit": (good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :], " came damaged"),
        "cut off": (good[:-700], "the line broke"),
        "cut off early": (good[: size + 10], "the line broke"),
        "no bundle": (b"<html>" * 100, "this is no bundle"),
        "huge": (b"QYTETUP1" + (1 << 30).to_bytes(4, "little") + bytes(9000), "this is no bundle"),
        "empty": (b"", "the line broke"),
    }


def test_what_is_not_a_whole_signed_bundle_changes_nothing(
    micropython: MicroPython, workshop: Workshop
) -> None:
    """Signature, each file's digest and the whole's are checked; what fails leaves the running version as it was."""
    spoilt = _spoilt(workshop)
    for name, (content, _) in spoilt.items():
        workshop.keep(name, content)
    ident, order, args = workshop.update("0.2.0")
    orders = {name: [workshop.update(name)] for name in spoilt}
    orders["another file"] = [(ident, order, {**args, "sha256": "0" * 64})]
    whys = {name: why for name, (_, why) in spoilt.items()} | {"another file": "another SHA-256"}
    found = workshop.boards(micropython, [{"orders": rows} for rows in orders.values()])
    for name, board in zip(orders, found, strict=True):
        state, why = board["answers"]["u1"]
        assert (state, board["runs"], board["slot"], len(board["lives"])) == ("failed", "0.1.0", "a", 1), name
        assert whys[name] in why, (name, why)
        assert board["free"] == "", f"{name}: the other slot is empty again"


def test_signed_is_not_all(
    micropython: MicroPython, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed manifest that names files outside the slot, none to start, or another format is refused too."""
    good = workshop.version("0.2.0")
    monkeypatch.setattr(bundles, "_NAME", bundles.re.compile(".*"))
    cases = {
        "outside": good | {"etc/node.json": b"{}"},
        "upwards": good | {"qytet_node/../../etc/node.json": b"{}"},
        "root": good | {"main.py": b"pass"},
    }
    for name, slot in cases.items():
        workshop.keep(name, bundles.make("0.2.0", slot, workshop.key))
    monkeypatch.setattr(bundles, "ENTRY", "profiles/x.json")
    workshop.keep("no entry", bundles.make("0.2.0", {"profiles/x.json": b"{}"}, workshop.key))
    monkeypatch.setattr(bundles, "FORMAT", 2)
    workshop.keep("format", bundles.make("0.2.0", good | {"profiles/x.json": b"{}"}, workshop.key))
    names = [*cases, "no entry", "format"]
    found = workshop.boards(micropython, [{"orders": [workshop.update(name)]} for name in names])
    assert [board["answers"]["u1"][0] for board in found] == ["failed"] * len(names)
    whys = [board["answers"]["u1"][1] for board in found]
    assert all("does not belong here" in why for why in whys[:3]), whys
    assert whys[3:] == ["it has no qytet_node/app.mpy", "it is of another kind: 2"]
    assert {board["runs"] for board in found} == {"0.1.0"}


def test_a_node_without_a_key_takes_nothing(micropython: MicroPython, workshop: Workshop) -> None:
    """Without /etc/update.key, or with a damaged one, every update is refused."""
    update = workshop.update("0.2.0")
    for content in ("", "no hex", "ab" * 100):
        found = _one(micropython, workshop, update, files={"/etc/update.key": content})
        assert found["answers"]["u1"][0] == "failed", content
        assert found["runs"] == "0.1.0"


def test_older_versions_only_if_the_signature_says_so(micropython: MicroPython, workshop: Workshop) -> None:
    """The same or an older version is refused, unless its manifest allows it; an old bundle cannot be played again."""
    workshop.bundle("0.0.9")
    workshop.bundle("0.0.9", name="back", downgrade=True)
    workshop.bundle("0.10.0")
    refused = _one(micropython, workshop, workshop.update("0.0.9"))
    assert refused["answers"] == {"u1": ["failed", "0.1.0 runs, and 0.0.9 is not newer"]}
    allowed = _one(micropython, workshop, workshop.update("back"))
    assert (allowed["answers"]["u1"][0], allowed["runs"]) == ("done", "0.0.9")
    forth = _one(micropython, workshop, workshop.update("0.10.0"))
    assert forth["runs"] == "0.10.0", "numbers are compared, not their letters"


def test_a_full_flash_refuses_and_loses_nothing(micropython: MicroPython, workshop: Workshop) -> None:
    """Where an update has no room it is refused before a file is written, and what runs goes on."""
    found = _one(micropython, workshop, workshop.update("0.2.0"), blocks=150)
    state, why = found["answers"]["u1"]
    assert (state, found["runs"]) == ("failed", "0.1.0")
    assert why.startswith("the flash has no room: ")


def test_updates_follow_each_other(micropython: MicroPython, workshop: Workshop) -> None:
    """After a failed one a good one; after a good one the next, in the other slot again; each answered for itself."""
    workshop.bundle("0.4.0", "crash")
    workshop.bundle("0.5.0")
    steps = [workshop.update(name, f"u{number}") for number, name in enumerate(("0.4.0", "0.2.0", "0.5.0"))]
    found = _one(micropython, workshop, then=steps)
    assert {ident: said[0] for ident, said in found["answers"].items()} == {
        "u0": "failed",
        "u1": "done",
        "u2": "done",
    }
    assert (found["runs"], found["slot"]) == ("0.5.0", "a")


def test_one_thing_is_tried_at_a_time(micropython: MicroPython, workshop: Workshop) -> None:
    """Of two orders that come together one is carried out and the other refused, in words."""
    found = _one(micropython, workshop, workshop.update("0.2.0"), ("n1", "network", NEW))
    states = {ident: said[0] for ident, said in found["answers"].items()}
    assert sorted(states.values()) == ["done", "failed"]
    (refused,) = [said[1] for said in found["answers"].values() if said[0] == "failed"]
    assert refused == "something else is being tried"


# ---- the network


def test_new_settings_stay_when_a_reading_came_through_them(
    micropython: MicroPython, workshop: Workshop
) -> None:
    """They are tried from a file of their own and replace the old ones once the city has stored a reading."""
    found = _one(micropython, workshop, ("n1", "network", NEW))
    assert found["answers"]["n1"][0] == "done"
    assert (found["ssid"], found["tried"], found["state"]["trial"]) == ("new-net", False, None)


def test_settings_through_which_nothing_comes_go(micropython: MicroPython, workshop: Workshop) -> None:
    """With a wrong password the node is back on its old network by itself, and says so."""
    found = _one(micropython, workshop, ("n1", "network", NEW), muted=["node.trial.json"])
    assert found["answers"] == {"n1": ["failed", "no reading of it was stored in time"]}
    assert (found["ssid"], found["tried"], found["named"]) == ("city", False, "node.json")


def test_settings_that_cannot_be_are_refused(micropython: MicroPython, workshop: Workshop) -> None:
    """What the node could not start with is not tried, and no secret is in the answer."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "these settings are in force"),
        ({"wifi": SETTINGS["wifi"]}, "these settings are in force"),
        ({"wifi": {"password": "short"}}, "node.json: wifi.password is shorter"),
        ({"wifi": "net"}, "wifi must be an object"),
        ({"broker": {"port": 0}}, "node.json: broker.port must be"),
        ({"broker": {"tls": "no"}}, "node.json: broker.tls must be"),
        ({"ntp": []}, "node.json: ntp must be"),
        ({"device": "node-2"}, "nobody may change device from afar"),
        ({"v": 1}, "nobody may change v from afar"),
    ]
    boards = [{"orders": [("n1", "network", args)]} for args, _ in cases]
    for (args, why), found in zip(cases, workshop.boards(micropython, boards), strict=True):
        state, said = found["answers"]["n1"]
        assert (state, said[: len(why)], len(found["lives"])) == ("failed", why, 1), args
        assert "12345678" not in said
        assert found["ssid"] == "city"


def test_a_part_of_the_settings_can_change(micropython: MicroPython, workshop: Workshop) -> None:
    """Another broker's address needs no word about its credential: what is not named stays."""
    found = _one(
        micropython, workshop, ("n1", "network", {"broker": {"host": "other.test"}, "ntp": ["10.0.0.1"]})
    )
    assert found["answers"]["n1"][0] == "done"
    assert found["settings"] == SETTINGS | {
        "broker": {**SETTINGS["broker"], "host": "other.test"},
        "ntp": ["10.0.0.1"],
    }
