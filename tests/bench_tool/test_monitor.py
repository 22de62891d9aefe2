"""The console of a node: nothing of it is lost, what is wrong is put into words, and no secret is shown."""

import importlib
import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from qytet_bench.commands import app
from qytet_bench.console import Assembler, Redactor, Said
from qytet_bench.failures import decode, errors_in, failures
from qytet_bench.line import Line, LineGoneError
from qytet_bench.monitor import Printer, follow
from qytet_bench.monitor_commands import known_secrets
from qytet_bench.program import SOURCE
from tests.bench_tool.conftest import Plug
from tests.bench_tool.desk import WIFI_PASSWORD, Desk
from tests.bench_tool.nodeboard import BadLine, board

TALKS = """
import asyncio
async def run():
    n = 0
    while True:
        print("%d info still here %d" % (n * 1000, n))
        n += 1
        await asyncio.sleep(60)
print("5 info qytet 0.1.0, boot 0a0b0c0d, 0 kept")
print("6 warning no line: no network: wrong password")
asyncio.run(run())
"""
SPEED = 300
"""A line each 0.2 s: a port that nobody reads loses the oldest."""
TRACEBACK = (
    b"Traceback (most recent call last):\r\n"
    b'  File "main.py", line 3, in <module>\r\n'
    b'  File "qytet_node/config.py", line 30, in load\r\n'
    b"ConfigError: /etc/node.json: broker is missing\r\n"
)


def said_of(*pieces: bytes, redact: Redactor | None = None) -> list[Said]:
    parts = Assembler(redact)
    return [one for piece in pieces for one in parts.feed(piece)] + parts.flush()


@pytest.mark.parametrize(("id_", "line"), [(row.id, line) for row in failures() for line in row.see])
def test_each_failure_is_known_by_its_lines(id_: str, line: str) -> None:
    """Every line that the table shows is decoded by its own row, and by no row before it."""
    found = decode(line)
    assert found is not None
    assert found.id == id_


def test_each_failure_says_what_why_and_what_to_do() -> None:
    """No row is without its three parts, no identity is there twice, and each shows a line."""
    rows = failures()
    assert len({row.id for row in rows}) == len(rows) > 40
    for row in rows:
        assert all((row.title, row.why, row.do, row.group, row.see)), row.id
        assert row.title[-1] != ".", row.id
        assert row.do[-1] == ".", row.id
        assert row.level in ("info", "warning", "error"), row.id


SAID_BY_THE_NODE = """
no network: |wrong password|the password may be wrong|no such network|the access point is out of reach
the access point refused|no address in time|the time is not known: | is not to be believed|no answer
refused with code |no connection: |nobody answered in time|this is no MQTT broker|a subscription was refused
the other side ended the connection|no line: |sensor |absent|timeout|checksum|short|range|busy|PUBACK| in time|SUBACK
the flash is full: a record was dropped|the flash fails with error |restart: |no connection for |ordered by
orders of outputs cannot be read| failed: |back from|restart in|stopped; the board starts again|command |qytet
no account of updates: error |/slot.json cannot be written
"""


def test_the_words_are_the_nodes() -> None:
    """What the table looks for is what the program on the board says: a word that is changed there is noticed here."""
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py")))
    for words in SAID_BY_THE_NODE.strip().replace("\n", "|").split("|"):
        assert words in code or words.strip() in code.split(), words


def test_each_reason_of_the_network_has_a_row() -> None:
    """Every word that the node has for a status of the radio is decoded more closely than as `some reason`."""
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCE.glob("qytet_node/*.py"))
    (table,) = re.findall(r"^_WORDS = \{(.*?)^\}", source, re.MULTILINE | re.DOTALL)
    words = re.findall(r"\d+: \"([^\"]+)\"", table)
    assert len(words) >= 5
    for word in words:
        found = decode(f"no line: no network: {word}")
        assert found is not None
        assert found.id != "wifi-other", word


def test_what_is_no_failure_is_left_alone() -> None:
    """Lines of a node that is well are decoded as nothing."""
    for line in (
        "qytet 0.1.0, boot 0a0b0c0d, 0 kept",
        "command c4be2f: done",
        ">>> ",
        "MicroPython v1.29.0 on 2026-07-12; Generic ESP32 module with ESP32",
        "load:0x3fff0030,len:4688",
        "MPY: soft reboot",
    ):
        assert decode(line) is None, line


def test_error_numbers_are_the_chips() -> None:
    """118 is EHOSTUNREACH on an ESP32, though it is something else on Linux; a name that the board gives wins."""
    assert [row.name for row in errors_in("no line: no connection: 118")] == ["EHOSTUNREACH"]
    assert [row.name for row in errors_in("OSError: [Errno 113] EHOSTUNREACH")] == ["EHOSTUNREACH"]
    assert [row.name for row in errors_in("sensor co2: absent: error 19")] == ["ENODEV"]
    assert errors_in("12 info 118 records kept") == []


def test_lines_come_whole_whatever_the_pieces() -> None:
    """A line that arrives byte by byte is the same line; level and uptime are taken from it."""
    whole = b"61234 warning sensor co2: absent: error 19\r\n"
    for pieces in ([whole], [bytes((byte,)) for byte in whole]):
        (one,) = said_of(*pieces)
        assert (one.kind, one.level, one.up_ms, one.text) == (
            "node",
            "warning",
            61234,
            "sensor co2: absent: error 19",
        )
        assert one.failure is not None
        assert one.failure.id == "sensor-absent"


def test_a_traceback_is_one_piece() -> None:
    """Its lines stay together, decoded by the last, also if it is cut in the middle or ends with the connection."""
    for pieces in (
        [TRACEBACK],
        [TRACEBACK[:60], TRACEBACK[60:]],
        [b"1 info before\r\n" + TRACEBACK + b">>> "],
    ):
        found = [one for one in said_of(*pieces) if one.kind == "traceback"]
        assert len(found) == 1
        assert found[0].text.count("\n") == 3
        assert found[0].failure is not None
        assert found[0].failure.id == "settings"
    (cut,) = said_of(TRACEBACK[:80])
    assert cut.kind == "traceback"


def test_endless_output_is_bounded() -> None:
    """A line and a traceback without an end are cut, so that they take no memory."""
    found = said_of(*[b"x" * 1000] * 50)
    assert sum(len(one.text) for one in found) == 50_000
    assert max(len(one.text) for one in found) <= 4096
    found = said_of(b"Traceback (most recent call last):\r\n", *[b"  File x\r\n"] * 500)
    assert max(one.text.count("\n") for one in found) < 70


def test_a_board_cannot_command_the_terminal() -> None:
    """Escape sequences and control characters are taken out; what is no text is counted, not shown."""
    (one,) = said_of(b"1 info \x1b]0;owned\x07\x1b[2Jhello\x00\x9b\r\n")
    assert "\x1b" not in one.text
    assert "\x07" not in one.text
    assert one.text.endswith("hello")
    (one,) = said_of(bytes(range(128, 256)) + b"\r\n")
    assert one.failure is not None
    assert one.failure.id == "garbage"


def test_no_secret_is_shown() -> None:
    """Known secrets, and whatever stands behind a word like password, are hidden, in lines and in tracebacks."""
    redact = Redactor(["correct horse", "b7c6d5e4f3"])
    lines = [
        b'{"wifi": {"ssid": "city", "password": "correct horse"}}\r\n',
        b"psk=s3cr3t-of-others\r\n",
        b"ValueError: b7c6d5e4f3\r\n",
        b"Traceback (most recent call last):\r\n  x\r\nKeyError: correct horse\r\n",
    ]
    for one in said_of(*lines, redact=redact):
        text = json.dumps(one.as_dict())
        assert not any(secret in text for secret in ("correct horse", "b7c6d5e4f3", "s3cr3t"))
        assert "•••" in one.text
    (plain,) = said_of(b"1 warning no line: no network: wrong password\r\n", redact=redact)
    assert plain.text == "no line: no network: wrong password"


def test_what_the_bench_knows_is_hidden_even_if_a_part_is_damaged(desk: Desk) -> None:
    """The Wi-Fi's password from a file of its own, and every credential that can be read, are known to be secret."""
    known = desk.vault.credential("node-1").password
    (desk.vault.folder / "node-0.json").write_bytes(b"half")
    (desk.vault.folder / "node-0.json").chmod(0o600)
    assert known_secrets(desk.config) == [WIFI_PASSWORD, known]
    assert known_secrets(desk.folder / "nothing.toml") == []
    redact = Redactor(['nine" lives\\'])
    (one,) = said_of(b'{"x": "nine\\" lives\\\\"}\r\n', redact=redact)
    assert "lives" not in one.text


def test_advice_comes_once_in_a_while() -> None:
    """The same failure shows its advice once a minute, its name each time; colours only on a terminal."""
    out = io.StringIO()
    printer = Printer(Console(file=out, width=200), as_json=False)
    for _ in range(3):
        for one in said_of(b"1 warning no line: refused with code 5\r\n"):
            printer.show(one)
    text = out.getvalue()
    assert text.count("do:  ") == 1
    assert text.count("= The broker does not let the node in") == 3
    assert "\x1b" not in text


def until(found: Iterator[Said], text: str) -> list[Said]:
    """What comes until a line holds the text."""
    seen = []
    for one in found:
        seen.append(one)
        if text in one.text:
            return seen
    raise AssertionError([one.text for one in seen])


class SlowLine:
    """A line whose bytes come after so many seconds each, by a clock of its own."""

    url = "slow"

    def __init__(self, *due: tuple[float, bytes]) -> None:
        self.now = 0.0
        self._due = list(due)

    def monotonic(self) -> float:
        return self.now

    def read(self, until: float) -> bytes:
        if self._due and self._due[0][0] <= until:
            self.now, data = max(self._due[0][0], self.now), self._due.pop(0)[1]
            return data
        self.now = until
        return b""


def test_a_line_that_comes_in_two_pieces_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second between the halves of a line makes no two of it; a prompt, and what never ends, are shown too."""
    slow = SlowLine(
        (1.0, b"61234 warning no line: no network: wrong pass"), (2.2, b"word\r\n>>> "), (6.0, b"half a")
    )
    monkeypatch.setattr("qytet_bench.monitor.time", slow)
    found = [(one.text, round(slow.now)) for one in follow(slow, until=20.0)]  # type: ignore[arg-type]
    assert found == [("no line: no network: wrong password", 2), (">>>", 3), ("half a", 8)]


def test_what_came_while_this_machine_stood_still_is_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop of seconds between two reads a line that is whole by now is not shown as two halves."""
    slow = SlowLine((1.0, b"1 info first ha"), (3.0, b"lf and second\r\n"))
    real = slow.read

    def read(until: float) -> bytes:
        data = real(until)
        if not data:
            slow.now += 5.0  # the process stands still here
        return data

    monkeypatch.setattr(slow, "read", read)
    monkeypatch.setattr("qytet_bench.monitor.time", slow)
    assert [one.text for one in follow(slow, until=30.0)] == ["first half and second"]  # type: ignore[arg-type]


def test_it_goes_on_through_resets(tmp_path: Path) -> None:
    """A reset in the middle is heard and named, and what the node says afterwards too."""
    with board(tmp_path, {"main.py": TALKS}, speed=SPEED) as (made, _), Line(made.console.path) as line:
        made.console.wait_for("still here")
        found = follow(line, until=time.monotonic() + 60)
        until(found, "still here 1")
        made.reset_button()
        seen = until(found, "qytet 0.1.0")
        assert [one.failure.id for one in seen if one.failure] == ["reset-power"]
        seen = until(found, "wrong password")
        assert seen[-1].level == "warning"


def test_it_waits_for_a_port_that_vanished(tmp_path: Path) -> None:
    """A pulled cable is said, and so is its return; after that the node is heard again."""
    with (
        board(tmp_path, {"main.py": TALKS}, speed=SPEED) as (made, _),
        BadLine(made.console.path, tmp_path / "port") as bad,
        Line(bad.path) as line,
    ):
        found = follow(line, until=time.monotonic() + 60)
        until(found, "still here")
        bad.vanish()
        gone = until(found, "has gone")[-1]
        assert gone.kind == "note"
        bad.come_back()
        until(found, "is back")
        until(found, "still here")
        bad.vanish()
        until(found, "has gone")
        assert [one.kind for one in follow(line, until=time.monotonic() + 0.3)] == ["note"]


def test_a_port_that_is_not_there_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    """A wrong name is refused at once."""
    with pytest.raises(Exception, match="port") as caught:
        Line(str(tmp_path / "nothing"))
    assert "qytet bench ports" in caught.value.do  # type: ignore[attr-defined]
    assert not isinstance(caught.value, LineGoneError)


def test_the_command_ends_at_a_text_or_at_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--until` ends well as soon as the text comes, with 1 if it does not come in time; JSON is one object a line."""
    with board(tmp_path, {"main.py": TALKS}, speed=SPEED) as (made, _):
        made.console.wait_for("still here")
        port = ["--port", made.console.path, "--config", str(tmp_path / "none.toml")]
        with monkeypatch.context() as patch:
            presses, show = [made.reset_button], Printer.show

            def shown(printer: Printer, said: Said) -> None:
                """The port is open now: what the node says as it starts is heard."""
                show(printer, said)
                while presses:
                    presses.pop()()

            patch.setattr(Printer, "show", shown)
            done = CliRunner().invoke(
                app, ["monitor", *port, "--json", "--until", "wrong password", "--for", "60"]
            )
        assert done.exit_code == 0, done.output
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines[-1]["failure"]["id"] == "wifi-password"
        assert lines[-1]["failure"]["do"]
        done = CliRunner().invoke(app, ["monitor", *port, "--until", "never said", "--for", "0.3"])
        assert done.exit_code == 1


def test_ctrl_c_ends_in_order(tmp_path: Path) -> None:
    """Ctrl-C ends the command with exit code 0 and without a traceback; the board goes on."""
    with board(tmp_path, {"main.py": TALKS}, speed=SPEED) as (made, _):
        made.console.wait_for("still here")
        command = [sys.executable, "-m", "qytet", "bench", "monitor", "--port", made.console.path, "--json"]
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert "text" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        mark = len(made.console.text)
        made.console.wait_for("still here", since=mark)


def test_over_the_network_it_is_the_same(plug: Plug) -> None:
    """A blank board on an RFC 2217 port: the ROM's words are decoded, and `--reset` presses its button."""
    port = plug()
    port.board.power_on()
    with Line(port.url) as line:
        line.reset()
        seen = until(follow(line, until=time.monotonic() + 60), "invalid header")
        assert seen[-1].failure is not None
        assert seen[-1].failure.id == "no-firmware"
        assert any(one.failure and one.failure.id == "reset-power" for one in seen)


def test_the_page_of_failures_is_made_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/how-to/node-failures.md holds each failure as the table has it."""
    docs = Path(__file__).parents[2] / "docs"
    monkeypatch.syspath_prepend(str(docs))
    page = importlib.import_module("failures_page").page()
    assert (docs / "how-to/node-failures.md").read_text(encoding="utf-8").endswith(page)
    assert page.count("**Do:**") == len(failures())
