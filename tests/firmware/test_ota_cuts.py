"""The power fails at any flash operation of an update, torn writes included: a whole version runs, and says the truth.

`World.live` compares every file of the slot with what was signed, at each start.
"""

import random
from typing import Any

import pytest

from tests.firmware.updating import Workshop
from tests.servers.micropython import MicroPython

SEED = 20260528
NEW = {"wifi": {"ssid": "new-net", "password": "a password"}}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A version that proves itself and one that crashes."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    made.bundle("0.2.0")
    made.bundle("0.3.0", "crash")
    return made


def _cut(vm: MicroPython, workshop: Workshop, order: Any, cuts: list[list[int]], **board: Any) -> list[Any]:
    return workshop.boards(vm, [{"orders": [order], "cuts": cut, **board} for cut in cuts], seed=SEED)


def _operations(vm: MicroPython, workshop: Workshop, order: Any) -> int:
    (found,) = _cut(vm, workshop, order, [[]])
    assert found["operations"] < 400, "the flash is worn by what nobody needs"
    return int(found["operations"])


def test_a_cut_all_along_an_update(micropython: MicroPython, workshop: Workshop) -> None:
    """Old before the new one is whole, new afterwards; `done` if and only if the new one runs.

    Every eighth operation while files are written, every second one from the last file to the answer.
    """
    update = workshop.update("0.2.0")
    last = _operations(micropython, workshop, update)
    cuts = [[number] for number in (*range(1, last - 50, 8), *range(last - 50, last + 1, 2))]
    outcomes = []
    for (cut,), found in zip(cuts, _cut(micropython, workshop, update, cuts), strict=True):
        outcomes.append((found["answers"]["u1"][0], found["runs"], found["slot"]))
        assert found["state"]["trial"] is None, cut
        assert len(found["lives"]) <= 4, (cut, found["lives"])
    done, failed = ("done", "0.2.0", "b"), ("failed", "0.1.0", "a")
    begun = outcomes.index(failed)  # until then the board does not know the order yet, and is given it again
    turn = outcomes.index(done, begun)
    assert outcomes == [done] * begun + [failed] * (turn - begun) + [done] * (len(cuts) - turn)
    assert begun < 5
    assert turn < len(cuts) - 5


def test_several_cuts_and_then_another_try(micropython: MicroPython, workshop: Workshop) -> None:
    """After up to four cuts, seeded, whatever they left, the next update goes through."""
    chance = random.Random(SEED)
    cuts = [
        [chance.randint(1, 200), *(chance.randint(1, 30) for _ in range(chance.randint(0, 3)))]
        for _ in range(12)
    ]
    boards = [
        {
            "orders": [workshop.update("0.2.0")],
            "cuts": cut,
            "then": [workshop.update("0.2.0", "u2")],
        }
        for cut in cuts
    ]
    for cut, found in zip(cuts, workshop.boards(micropython, boards, seed=SEED), strict=True):
        first, second = found["answers"]["u1"], found["answers"]["u2"]
        assert found["runs"] == "0.2.0", (cut, found)
        if first[0] == "done":
            assert second == ["failed", "0.2.0 runs, and 0.2.0 is not newer"], cut
        else:
            assert second[0] == "done", (cut, second)


def test_a_cut_while_the_version_before_is_replaced(micropython: MicroPython, workshop: Workshop) -> None:
    """The slot that is emptied and written anew cannot be started from the first moment to the last."""
    workshop.bundle("0.4.0")
    rounds = [workshop.update("0.2.0"), workshop.update("0.4.0", "u2")]
    boards = [
        {"then": rounds, "late": True, "cuts": [cut]} for cut in (*range(1, 40, 3), *range(60, 260, 50))
    ]
    for board, found in zip(boards, workshop.boards(micropython, boards, seed=SEED), strict=True):
        state = found["answers"]["u2"][0]
        assert (state, found["runs"]) in (("done", "0.4.0"), ("failed", "0.2.0")), board["cuts"]


def test_a_cut_on_the_way_back(micropython: MicroPython, workshop: Workshop) -> None:
    """Also while a crashing version is counted out the power may fail: the old one runs in the end, and says so."""
    update = workshop.update("0.3.0")
    last = _operations(micropython, workshop, update)
    cuts = [[number] for number in range(last - 45, last + 1, 3)]
    for (cut,), found in zip(cuts, _cut(micropython, workshop, update, cuts), strict=True):
        assert (found["answers"]["u1"][0], found["runs"]) == ("failed", "0.1.0"), cut
        assert found["state"]["trial"] is None, cut


@pytest.mark.parametrize("good", [True, False])
def test_a_cut_while_settings_are_tried(micropython: MicroPython, workshop: Workshop, good: bool) -> None:
    """The settings in force are whole, old or new, and the answer says which."""
    order = ("n1", "network", NEW)
    muted = () if good else ("node.trial.json",)
    last = _operations(micropython, workshop, order)
    cuts = [[number] for number in range(1, last + 8, 1 if good else 4)]
    states = set()
    for (cut,), found in zip(cuts, _cut(micropython, workshop, order, cuts, muted=muted), strict=True):
        state = found["answers"]["n1"][0]
        states.add(state)
        assert found["ssid"] == ("new-net" if state == "done" else "city"), cut
        assert (found["state"]["trial"], found["tried"]) == (None, False), cut
    assert states == ({"done", "failed"} if good else {"failed"})
