"""The tutorial, done from end to end: every command that it marks is run beside a demo of its own."""

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
START_S, RUN_S, STOP_S = 180, 300, 90


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
        while not httpx.get(f"http://127.0.0.1:{port}/v1/latest?city=korce").json()["items"]:
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


@pytest.mark.servers
@pytest.mark.timeout(700)
def test_the_tutorial_can_be_followed(demo: Demo) -> None:
    """Every marked command works in the order of the page, says what the page shows, and nothing is lost by it."""
    marked = [block for block in blocks(PAGE) if block.language == "console" and "run" in block.marks]
    for block in blocks(PAGE):
        if name := block.saved_as():
            (demo.folder / name).write_text(block.text, encoding="utf-8")
    text = script(marked).replace(":8100/", f":{demo.port}/")
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=demo.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = re.split(r"^#### \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    for (command, output), heard in zip(promised(marked), said, strict=True):
        assert pattern(output).search(heard), f"$ {command}\nshown:\n{output}\nheard:\n{heard}"

    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(STOP_S) == 0, (demo.folder / "demo.log").read_text()[-3000:]
    summary = json.loads((demo.folder / ".qytet/demo-summary.json").read_text())
    assert summary["lost"] == 0
    assert summary["duplicated"] == 0
    assert summary["generated"] > 0
