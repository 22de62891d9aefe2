"""The tutorial, done from end to end: every command that it marks is run beside a demo of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from qytet.embedded.ports import free_port
from tests.docs.markdown import ROOT, Block, blocks

PAGE = ROOT / "docs/tutorials/first-hour.md"
START_S, RUN_S, STOP_S, ASK_S = 180, 300, 90, 60


@dataclass(frozen=True)
class Demo:
    """A running demo: the folder in which the reader stands, and the page's port."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"


def environment() -> dict[str, str]:
    """A reader's environment with the project's own activated."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QYTET_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "COLUMNS": "200"}


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """`qytet demo run` in an empty folder, on a free port, with a small fleet; killed if a test leaves it."""
    port, log = free_port(), tmp_path / "demo.log"
    tmp_path.chmod(0o711)  # the database's user has to pass, when we are root
    command = [sys.executable, "-m", "qytet", "demo", "run", "--port", str(port), "--interval", "1"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=file, stderr=file, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_S
        while b"Ctrl-C stops it" not in log.read_bytes():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)
        latest = f"http://127.0.0.1:{port}/v1/latest?city=korce"
        while not httpx.get(latest, timeout=ASK_S).json()["items"]:
            assert time.monotonic() < deadline, "nothing came from Korçë"
            time.sleep(0.2)
        yield Demo(tmp_path, port, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        subprocess.run(
            [sys.executable, "-m", "qytet", "demo", "remove"],
            cwd=tmp_path,
            env=environment(),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def script(found: list[Block]) -> str:
    """One shell script of all marked commands; each says its number first, and the first failure ends it."""
    lines, number = ["set -eu"], 0
    for block in found:
        for line in block.text.splitlines():
            if line.startswith("$ "):
                lines += [f"printf '\\n#### {number}\\n'", line[2:]]
                number += 1
    return "\n".join(lines) + "\n"


def promised(found: list[Block]) -> list[tuple[str, str]]:
    """Each marked command with the output that the page shows for it."""
    shown: list[tuple[str, list[str]]] = []
    for block in found:
        for line in block.text.splitlines():
            if line.startswith("$ "):
                shown.append((line[2:], []))
            else:
                shown[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in shown]


def pattern(output: str) -> "re.Pattern[str]":
    """What is shown, with any text for each ellipsis."""
    return re.compile(".*".join(map(re.escape, output.split("…"))), re.DOTALL)


def run(text: str, folder: Path, seconds: float) -> tuple[int | None, str, str]:
    """Exit code (None: out of time), output and errors of a script; whatever it has started has ended then, too.

    The output goes to files: a pipe would stay open as long as the longest of its processes.
    """
    said, wrong = folder / "script.out", folder / "script.err"
    with (
        said.open("wb") as output,
        wrong.open("wb") as errors,
        subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing of it is left
                os.killpg(process.pid, signal.SIGKILL)
    return code, said.read_text(encoding="utf-8"), wrong.read_text(encoding="utf-8")


@pytest.mark.parametrize(("end", "code"), [("sleep 600", None), ("exit 3", 3)], ids=["late", "failed"])
def test_a_script_leaves_nothing_running(tmp_path: Path, end: str, code: int | None) -> None:
    """What a script leaves in the background is ended with it, when it fails and when its time is over."""
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    try:
        left = "(exec > held; touch there; sleep 600) & until [ -e there ]; do sleep 0.01; done"
        assert run(f"{left}; {end}", tmp_path, 3 if code is None else 60)[0] == code
        os.set_blocking(reader, True)  # it ends when the last process that can write to it has
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


@pytest.mark.servers
@pytest.mark.timeout(700)
def test_the_tutorial_can_be_followed(demo: Demo) -> None:
    """Every marked command works in the order of the page, says what the page shows, and nothing is lost by it."""
    marked = [block for block in blocks(PAGE) if block.language == "console" and "run" in block.marks]
    for block in blocks(PAGE):
        if name := block.saved_as():
            # A reader waits 5 s for a mark; a machine that does much else may need longer to give it.
            text = block.text.replace("heard.get(timeout=5)", "heard.get(timeout=15)")
            (demo.folder / name).write_text(text, encoding="utf-8")
    text = script(marked).replace(":8100/", f":{demo.port}/")
    code, said, wrong = run(text, demo.folder, RUN_S)
    assert code == 0, f"exit code {code} (None: after {RUN_S} s)\n{said[-2000:]}{wrong[-2000:]}"
    parts = re.split(r"^#### \d+\n", said, flags=re.MULTILINE)[1:]
    for (command, output), heard in zip(promised(marked), parts, strict=True):
        assert pattern(output).search(heard), f"$ {command}\nshown:\n{output}\nheard:\n{heard}"

    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(STOP_S) == 0, (demo.folder / "demo.log").read_text()[-3000:]
    summary = json.loads((demo.folder / ".qytet/demo-summary.json").read_text())
    assert summary["lost"] == 0
    assert summary["duplicated"] == 0
    assert summary["generated"] > 0
