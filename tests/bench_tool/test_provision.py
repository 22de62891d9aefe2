"""A board that runs MicroPython becomes a node over its prompt, whatever happens on the way."""

import json
import os
import pty
import re
import select
import subprocess
import tty
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from qytet_bench import layout, program
from qytet_bench.line import BoardError, Line, LineGoneError, SilentError
from qytet_bench.onboard import FullError
from qytet_bench.progress import Shown, silent
from qytet_bench.provision import LAST, Provisioned, provision
from qytet_bench.repl import Repl
from qytet_simulators.hardware.board import Board
from qytet_simulators.hardware.flash import FlashFile
from tests.bench_tool.conftest import Plug
from tests.bench_tool.nodeboard import BadLine, board, content
from tests.hardware.bench import filesystem

WHO = ("tirana", "node-1")
PASSWORD = "a-secret-that-nobody-sees"
NEW_WORD = "1 info qytet new, boot 0a0b0c0d, 0 kept"
STARTS = f"print({NEW_WORD!r})\n".encode()
RUNS = """
import asyncio, machine
async def run():
    dog = machine.WDT(timeout=60000)
    print("1 info qytet old, boot 01020304, 0 kept")
    while True:
        dog.feed()
        await asyncio.sleep(5)
asyncio.run(run())
"""


@pytest.fixture
def files() -> dict[str, bytes]:
    """A small node: a few files of each kind."""
    return {
        "/a/qytet_node/app.mpy": bytes(range(256)) * 20,
        "/a/profiles/air.json": b'{"v":1}',
        "/etc/node.json": json.dumps({"city": WHO[0], "device": WHO[1], "password": PASSWORD}).encode(),
        "/etc/ca.der": b"\x30\x82\x03\x04",
        "/boot.py": b"# nothing\n",
        "/slot.json": b'{"run":"a","trial":null,"left":0}',
        "/main.py": STARTS,
    }


def put(port: str, files: dict[str, bytes], **options: object) -> Provisioned:
    with Line(port) as line:
        return provision(line, files, silent(), who=WHO, **options)  # type: ignore[arg-type]


def node_files(found: dict[str, bytes]) -> dict[str, bytes]:
    return {path: what for path, what in found.items() if not path.startswith("/data/")}


def test_a_running_application_is_replaced_whole(tmp_path: Path) -> None:
    """The real program goes over a running one, starts, and what it replaced, on trial or foreign, is gone."""
    whole = layout.board_files(program.build(), {"/etc/node.json": b'{"city":"tirana","device":"node-1"}'})
    whole["/main.py"] = STARTS
    old = {"main.py": RUNS, "a/old.mpy": "x", "b/qytet_node/app.mpy": "y", "etc/node.trial.json": "{}"}
    with board(tmp_path) as (made, flash):
        made.power_cut()
        flash.restore()
        _install(flash, {**old, "etc/outputs.json": "[1]", "data/00000001.seg": "kept"})
        made.power_on()
        made.console.wait_for("qytet old")
        assert made.chip.watchdog_ms == 60000
        dogs: set[int] = set()
        with Line(made.console.path) as line:
            shown = Shown(lambda _text: None, lambda _done, _total: dogs.add(made.chip.watchdog_ms))
            done = provision(line, whole, shown, who=WHO)
        assert dogs == {0}  # none that could bite in the middle of the files
        made.console.wait_for(NEW_WORD)
        assert done.written[-len(LAST) :] == list(LAST)
        assert sorted(done.removed) == ["/a/old.mpy", "/b/qytet_node/app.mpy", "/etc/node.trial.json"]
        found = content(made, flash)
    assert found.pop("/etc/outputs.json") == b"[1]"  # an order of the city
    assert found.pop("/data/00000001.seg") == b"kept"  # readings for the city
    assert found == whole


def _install(flash: FlashFile, files: dict[str, str]) -> None:
    with filesystem(flash, fresh=True) as there:
        for name, text in files.items():
            if "/" in name:
                there.makedirs(name.rpartition("/")[0], exist_ok=True)
            with there.open(name, "w") as file:
                file.write(text)


def test_what_is_right_already_is_left_alone(tmp_path: Path, files: dict[str, bytes]) -> None:
    """A second run writes nothing and starts the node again; after a change only that file goes over."""
    with board(tmp_path) as (made, flash):
        assert len(put(made.console.path, files).written) == len(files)
        made.console.wait_for(NEW_WORD)
        mark, said = flash.operations, len(made.console.text)
        again = put(made.console.path, files)
        assert (again.written, again.equal, flash.operations) == ([], len(files), mark)
        made.console.wait_for("rst:", since=said)
        made.console.wait_for(NEW_WORD, since=made.console.text.index("rst:", said))
        files["/a/profiles/air.json"] = b'{"v":1,"report_s":30}'
        changed = put(made.console.path, files)
        assert changed.written == ["/a/profiles/air.json", "/boot.py", "/main.py"]  # those two were held
        assert node_files(content(made, flash)) == files


def test_a_board_that_resets_in_the_middle_is_finished(tmp_path: Path, files: dict[str, bytes]) -> None:
    """Resets between any two files cost time and nothing else; what had arrived is not sent again."""
    with board(tmp_path, {"main.py": RUNS}) as (made, flash):
        made.console.wait_for("qytet old")
        resets = iter((1500, 4200, 5300))
        due = [next(resets)]

        def at(done: int, _total: int) -> None:
            if due and done >= due[0]:
                due[:] = [2200] if len(due) and due[0] == 1500 else []
                made.reset_button()

        with Line(made.console.path) as line:
            done = provision(line, files, Shown(lambda _text: None, at), who=WHO)
        assert done.breaks == 2
        made.console.wait_for(NEW_WORD)
        assert node_files(content(made, flash)) == files


def test_a_break_for_good_leaves_a_board_that_can_be_finished(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    """After a cut at any moment no half program starts, and the same call finishes it."""
    with board(tmp_path, {"main.py": RUNS}) as (made, flash), Line(made.console.path) as line:
        made.console.wait_for("qytet old")

        class GoneError(Exception):
            pass

        def at(done: int, _total: int) -> None:
            if done >= 3000:
                raise GoneError

        with pytest.raises(GoneError):
            provision(line, files, Shown(lambda _text: None, at), who=WHO)
        mark = len(made.console.text)
        made.reset_button()
        said = made.console.wait_for(">>> ", since=mark)
        assert "qytet" not in said
        assert provision(line, files, silent(), who=WHO).equal >= 0
        made.console.wait_for(NEW_WORD)
        assert node_files(content(made, flash)) == files


def test_garbage_on_the_line_is_outlived(tmp_path: Path, files: dict[str, bytes]) -> None:
    """Noise in both directions is noticed, and what is on the board in the end is right to the last byte."""
    with board(tmp_path, {"main.py": RUNS}) as (made, flash):
        made.console.wait_for("qytet old")
        with BadLine(made.console.path, tmp_path / "port") as bad:
            passed = {"to_tool": 0, "to_board": 0}

            def noise_to_tool(data: bytes) -> bytes:
                passed["to_tool"] += 1
                return b"\x80\xff~" + data if passed["to_tool"] == 60 else data

            def noise_to_board(data: bytes) -> bytes:
                passed["to_board"] += 1
                if passed["to_board"] in (70, 120) and len(data) > 40:
                    return data[:20] + bytes((data[20] ^ 1,)) + data[21:]
                return data

            bad.to_tool, bad.to_board = noise_to_tool, noise_to_board
            done = put(bad.path, files)
            made.console.wait_for(NEW_WORD)
        assert passed["to_board"] > 120
        assert done.breaks >= 1
        assert node_files(content(made, flash)) == files


def test_a_port_that_vanishes_is_found_again(tmp_path: Path, files: dict[str, bytes]) -> None:
    """A cable that is pulled and plugged in again in the middle costs nothing but the wait."""
    with (
        board(tmp_path, {"main.py": RUNS}) as (made, flash),
        BadLine(made.console.path, tmp_path / "port") as bad,
    ):
        made.console.wait_for("qytet old")
        pulled: list[int] = []

        def at(done: int, _total: int) -> None:
            if done >= 2000 and not pulled:
                pulled.append(done)
                bad.vanish()

        def said(_text: str) -> None:
            if pulled and len(pulled) == 1:
                pulled.append(0)
                bad.come_back()

        with Line(bad.path) as line:
            done = provision(line, files, Shown(said, at), who=WHO)
        assert done.breaks >= 1
        made.console.wait_for(NEW_WORD)
        assert node_files(content(made, flash)) == files


def test_over_the_network_it_is_the_same(plug: Plug, files: dict[str, bytes]) -> None:
    """A board on an RFC 2217 port is provisioned as one on a cable."""
    port = plug()
    port.board.flash.write(0x1000, b"\xe9")  # MicroPython, as far as its ROM can tell
    port.reset()  # plugged in, it had power before it had an image
    port.board.console.wait_for(">>> ")
    assert len(put(port.url, files).written) == len(files)
    port.board.console.wait_for(NEW_WORD)


def test_a_full_flash_is_said_before_anything_is_lost(tmp_path: Path, files: dict[str, bytes]) -> None:
    """Without room nothing is half written: it says how much is needed, and that readings wait."""
    files["/a/big.bin"] = bytes(70_000)
    with board(tmp_path, {"main.py": RUNS}, size=0x200000 + 40 * 4096) as (made, flash):
        made.console.wait_for("qytet old")
        mark = len(made.console.text)
        made.console.feed(b"\x03")
        made.console.wait_for(">>> ", since=mark)
        mark = len(made.console.text)
        made.console.feed(
            b"import os; os.mkdir('/data'); f = open('/data/1.seg', 'wb'); print(f.write(bytes(60000)), f.close())\r"
        )
        made.console.wait_for("60000 None", since=mark)
        with pytest.raises(FullError) as caught:
            put(made.console.path, files)
        assert "KB are needed" in caught.value.why
        assert "readings that wait" in caught.value.do
        put(made.console.path, files, discard_backlog=True)
        assert node_files(content(made, flash)) == files


def test_another_nodes_readings_are_not_sent_under_a_new_name(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    """A board that keeps readings of another device is refused and goes on as it was; told so, it gives them up."""
    with board(tmp_path) as (made, flash):
        _fresh(made, flash, {"main.py": RUNS, "etc/node.json": '{"city":"tirana","device":"node-9"}'})
        mark = len(made.console.text)
        with pytest.raises(BoardError, match="node-9") as caught:
            put(made.console.path, files)
        assert "--discard-backlog" in caught.value.do
        _wait_until_it_goes_on(made, mark)
        put(made.console.path, files, discard_backlog=True)
        made.console.wait_for(NEW_WORD)
        assert content(made, flash) == files


def _wait_until_it_goes_on(made: Board, since: int) -> None:
    """The tool may end before its last word to the board, the reset, has been carried out."""
    made.console.wait_for("soft reboot", since=since)
    made.console.wait_for("qytet old", since=made.console.text.index("soft reboot", since))


def _fresh(made: Board, flash: FlashFile, files: dict[str, str]) -> None:
    made.power_cut()
    flash.restore()
    _install(flash, {**files, "data/00000001.seg": "kept"})
    made.power_on()
    made.console.wait_for("qytet old")


def test_the_secret_is_said_nowhere(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is shown holds the credential, the console neither, and no program is started that could."""
    words: list[str] = []
    with board(tmp_path, {"main.py": RUNS}) as (made, _), Line(made.console.path) as line:
        made.console.wait_for("qytet old")
        with monkeypatch.context() as patch:
            patch.setattr(subprocess.Popen, "_execute_child", _no_secret(subprocess.Popen._execute_child))  # type: ignore[attr-defined]
            shown = Shown(words.append, lambda done, total: words.append(f"{done}/{total}"))
            provision(line, files, shown, who=WHO)
        assert made.events.all("boot")[-1].number  # programs were started: the board's own
        assert words
        assert PASSWORD not in "".join(words) + made.console.text


def _no_secret(real: Callable[..., None]) -> Callable[..., None]:
    def start(self: object, args: list[str], *others: object) -> None:
        assert PASSWORD not in " ".join(map(str, args))
        real(self, args, *others)

    return start


@pytest.mark.parametrize(
    ("real", "pretended", "said"),
    [
        (rb'"linux [^"]*"', b'"Generic ESP32S3 module with ESP32S3"', "esp32s3"),
        (rb"\[1, 29, 0\]", b"[1, 24, 1]", "1.24.1"),
        (rb"version\", 2822", b'version", 2821', "mpy"),
        (rb'"micropython"', b'"circuitpython"', "circuitpython"),
    ],
)
def test_a_board_that_cannot_run_the_node_is_left_alone(
    tmp_path: Path, files: dict[str, bytes], real: bytes, pretended: bytes, said: str
) -> None:
    """Another chip, an old MicroPython, another Python: an error that names it, and the board goes on as it was."""
    with (
        board(tmp_path, {"main.py": RUNS}) as (made, flash),
        BadLine(made.console.path, tmp_path / "port") as bad,
    ):
        made.console.wait_for("qytet old")
        bad.to_tool = lambda data: re.sub(real, pretended, data)
        before, mark = flash.operations, len(made.console.text)
        with pytest.raises(BoardError, match="board") as caught:
            put(bad.path, files, chip="esp32")
        assert said in str(caught.value)
        assert flash.operations == before
        _wait_until_it_goes_on(made, mark)


def test_ctrl_c_while_it_boots_never_ends_without_the_boards_files(tmp_path: Path) -> None:
    """A tool that knocks all the time finds the board's own file system, and never that of the machine below."""
    with board(tmp_path, {"main.py": RUNS}) as (made, _), Line(made.console.path) as line:
        for _ in range(4):
            mark = made.events.mark
            made.reset_button()
            made.events.wait_for("boot", since=mark)
            repl = Repl(line)
            repl.enter()
            assert "Lfs2" in repl.run("import vfs\nprint(vfs.mount())")


def test_an_answer_that_came_while_this_machine_stood_still_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time to answer runs out while the process stands still, and the answer is there: it counts."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        with Line(os.ttyname(slave)) as line:
            hour, real = [0.0], line._port.read

            def read(size: int) -> bytes:
                data: bytes = real(size)
                if not hour[0]:
                    os.write(master, b"late")
                    select.select([slave], [], [], 10)
                    hour[0] = 100.0  # it stands still here
                return data

            monkeypatch.setattr(line._port, "read", read)
            monkeypatch.setattr("qytet_bench.line.time", SimpleNamespace(monotonic=lambda: hour[0]))
            assert line.read(5.0) == b"late"
            monkeypatch.undo()
    finally:
        os.close(master)
        os.close(slave)


def test_a_silent_port_is_told_from_a_board_without_micropython(tmp_path: Path) -> None:
    """No prompt: nothing at all and a blank flash are told apart, each with what to do."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        with Line(os.ttyname(slave)) as line:
            with pytest.raises(SilentError, match="no MicroPython prompt") as caught:
                Repl(line).enter(0.6)
            assert "cable" in caught.value.do
            os.write(master, b"rst:0x10 (RTCWDT_RTC_RESET),boot:0x13\r\ninvalid header: 0xffffffff\r\n")
            with pytest.raises(SilentError) as caught:
                Repl(line).enter(0.6)
            assert "qytet bench flash" in caught.value.do
    finally:
        os.close(master)
        os.close(slave)


def test_a_port_that_does_not_come_back_ends_with_what_to_do(tmp_path: Path) -> None:
    """Waiting for a port ends at its deadline, with words."""
    with (
        board(tmp_path) as (made, _),
        BadLine(made.console.path, tmp_path / "port") as bad,
        Line(bad.path) as line,
    ):
        bad.vanish()
        with pytest.raises(LineGoneError):
            line.reopen(0.3)
