"""What the city orders, in the VM: each command is carried out once, whatever often it comes."""

from pathlib import Path
from typing import Any

from tests.firmware.device import run
from tests.servers.micropython import MicroPython

_COMMANDS = """
import asyncio, json, sys
from qytet_node import commands
from qytet_node.commands import CommandError, Commands
path = sys.argv[1] + "/commands.json"
now, answers, done = [1789000000000], [], []
def say(value):
    print(json.dumps(value))
def made():
    one = Commands(path, lambda: now[0], lambda *answer: answers.append(list(answer)))
    async def set_(args, ident):
        done.append(args["value"])
        if args["value"] < 0:
            raise ValueError("below zero")
        return "done", ""
    async def slow(args, ident):
        await asyncio.sleep_ms(20)
        done.append("slow")
        return "done", ""
    async def restart(args, ident):
        done.append("restart")
        return "accepted", ""
    async def raving(args, ident):
        return 1 / 0
    for name, handler in (("set", set_), ("slow", slow), ("restart", restart), ("raving", raving)):
        one.register(name, handler)
    return one
def cmd(name, exp=1789000060000, **args):
    return json.dumps({"v": 1, "cmd": name, "exp": exp, "args": args})
"""


def _commands(vm: MicroPython, folder: Path, body: str) -> list[Any]:
    indented = "".join(f"    {line}\n" for line in body.strip().splitlines())
    return run(vm, f"{_COMMANDS}\nasync def main():\n{indented}\nasyncio.run(main())", str(folder))


def test_a_command_is_carried_out_once(micropython: MicroPython, tmp_path: Path) -> None:
    """However often it comes, also while it is under way, it is done once and answered each time."""
    done, answers = _commands(
        micropython,
        tmp_path,
        """
one = made()
for _ in range(3):
    one.take("a", cmd("set", value=5))
one.take("s", cmd("slow"))
await asyncio.sleep_ms(5)
one.take("s", cmd("slow"))
one.take("a", cmd("set", value=5))
await asyncio.sleep_ms(60)
one.take("s", cmd("slow"))
say(done)
say(answers)
""",
    )
    assert done == [5, "slow"]
    assert answers.count(["a", "done", ""]) == 2
    assert [answer for answer in answers if answer[0] == "s"] == [
        ["s", "accepted", ""],
        ["s", "done", ""],
        ["s", "done", ""],
    ]


def test_what_makes_no_sense_is_refused_with_a_reason(micropython: MicroPython, tmp_path: Path) -> None:
    """Unknown, expired, without a time, without an argument, no JSON: failed and why; nothing is carried out."""
    done, answers = _commands(
        micropython,
        tmp_path,
        """
one = made()
one.take("a", cmd("dance"))
one.take("b", cmd("set", exp=1788999999999, value=1))
one.take("c", b"{")
one.take("d", b"{}")
one.take("e", cmd("set"))
one.take("f", cmd("set", value=-1))
one.take("g", cmd("raving"))
now[0] = None
one.take("h", cmd("set", value=1))
await asyncio.sleep_ms(10)
say(done)
say({ident: [state, why] for ident, state, why in answers})
""",
    )
    assert done == [-1]
    assert {state for state, _ in answers.values()} == {"failed"}
    reasons = {"a": "unknown command: dance", "b": "expired", "c": "no JSON", "d": "a command has v 1"}
    reasons |= {
        "e": "argument value is missing",
        "f": "below zero",
        "g": "ZeroDivisionError",
        "h": "time is not known",
    }
    for ident, words in reasons.items():
        assert words in answers[ident][1]


def test_a_restart_is_not_ordered_twice_by_one_command(micropython: MicroPython, tmp_path: Path) -> None:
    """Its answer is on flash before it happens: after it, the same command is answered, and ends as done."""
    first = _commands(
        micropython,
        tmp_path,
        "one = made()\none.take('r', cmd('restart'))\nawait asyncio.sleep_ms(5)\nsay(done)",
    )
    after = _commands(
        micropython,
        tmp_path,
        """
one = made()
one.take("r", cmd("restart"))
await asyncio.sleep_ms(5)
say(one.begun("restart"))
one.finish("r", "done")
one.take("r", cmd("restart"))
say([done, answers, one.begun("restart")])
""",
    )
    assert first == [["restart"]]
    assert after == [["r"], [[], [["r", "accepted", ""], ["r", "done", ""], ["r", "done", ""]], []]]


def test_answers_are_forgotten_in_order_and_unfinished_ones_never(
    micropython: MicroPython, tmp_path: Path
) -> None:
    """Sixteen are kept; a restart under way stays, whatever else comes; a broken file of answers stops nothing."""
    (tmp_path / "commands.json").write_text("[[1,")
    said = _commands(
        micropython,
        tmp_path,
        """
one = made()
one.take("r", cmd("restart"))
await asyncio.sleep_ms(5)
for n in range(40):
    one.take("x%d" % n, cmd("dance"))
say([len(one._answers), one.begun("restart"), "x39" in one._answers, "x0" in one._answers])
""",
    )
    assert said == [[16, ["r"], True, False]]
