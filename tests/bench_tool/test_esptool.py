"""esptool is run, followed and repeated; its failures become words."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qytet_bench import serialport
from qytet_bench.esptool import Chip, Esptool, EsptoolError, Kind, Region
from tests.bench_tool import fake_esptool

Fake = Callable[..., Esptool]
PROGRAM = (sys.executable, fake_esptool.__file__)
LOST = ["Writing at 0x00010000...", "A fatal error occurred: The chip stopped responding."]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """`fake(*runs, chip=…)`: an esptool whose runs end so (None: well); its `told` collects why it was repeated."""
    state = tmp_path / "boards.json"
    monkeypatch.setenv("FAKE_BOARDS", str(state))

    def make(*runs: list[str] | None, chip: str = "ESP32-D0WD-V3", size: str = "4MB") -> Esptool:
        board = {"chip": chip, "mac": "24:0A:C4:00:00:01", "size": size, "runs": list(runs)}
        state.write_text(json.dumps({"port": board}))
        told: list[str] = []
        tool = Esptool("port", program=PROGRAM, before_retry=told.append)
        tool.told = told  # type: ignore[attr-defined]
        return tool

    return make


def calls(tmp_path: Path) -> list[list[str]]:
    return list(json.loads((tmp_path / "boards.json").read_text())["port"]["argv"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ESP32-D0WD-V3", "esp32"),
        ("ESP32", "esp32"),
        ("ESP32-PICO-D4", "esp32"),
        ("ESP32-U4WDH", "esp32"),
        ("ESP32-S3", "esp32s3"),
        ("ESP32-C3", "esp32c3"),
        ("ESP32-S2", "esp32s2"),
        ("ESP8266EX", "esp8266"),
    ],
)
def test_the_chip_is_read_from_what_esptool_says(fake: Fake, text: str, name: str) -> None:
    """Family, MAC address and flash size come out of esptool's words, whichever package the chip is in."""
    found = fake(chip=text, size="8MB").identify()
    assert found == Chip(name, f"{text} (revision v3.1)", "24:0a:c4:00:00:01", 8 << 20)


def test_an_unknown_flash_size_is_zero(fake: Fake) -> None:
    """A flash whose size esptool cannot tell is not taken for one of some size."""
    assert fake(size="Unknown").identify().flash_size == 0


def test_progress_goes_from_nothing_to_all(fake: Fake, tmp_path: Path) -> None:
    """Bytes written never go back within a run, cover both files, and end with all of them."""
    for name, size in (("a", 0x100000), ("b", 0x200000)):
        (tmp_path / name).write_bytes(bytes(size))
    regions = [Region(0x1000, tmp_path / "a", 0x100000), Region(0x200000, tmp_path / "b", 0x200000)]
    seen: list[tuple[int, int]] = []
    fake().write("esp32", regions, lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0][0] == 0
    assert seen[-1] == (0x300000, 0x300000)
    (arguments,) = calls(tmp_path)
    assert arguments[-5:] == ["write-flash", "0x1000", str(tmp_path / "a"), "0x200000", str(tmp_path / "b")]


def test_a_lost_reply_repeats_the_run_and_the_last_one_slowly(fake: Fake, tmp_path: Path) -> None:
    """One lost reply ends esptool, not the bench: whole runs are repeated, the third at 115200 baud."""
    tool: Any = fake(LOST, ["A fatal error occurred: MD5 of file does not match data in flash!"], None)
    tool.write("esp32", [], lambda _done, _total: None)
    assert tool.attempts == 3
    assert len(tool.told) == 2
    assert [arguments[arguments.index("--baud") + 1] for arguments in calls(tmp_path)] == [
        "460800",
        "460800",
        "115200",
    ]


def test_a_port_that_comes_back_is_written_again(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A board that resets in the middle of writing, and is there again, is written from the beginning."""
    gone = ["could not open port: [Errno 2] No such file or directory"]
    monkeypatch.setattr(serialport, "comes_back", lambda _port, limit_s: limit_s > 0)
    fake(gone, None).write("esp32", [], lambda _done, _total: None)
    assert len(calls(tmp_path)) == 2
    with pytest.raises(EsptoolError):
        fake(gone, None).identify()


@pytest.mark.parametrize(
    ("line", "kind", "attempts", "words"),
    [
        ("A fatal error occurred: Serial data stream stopped: Possible serial noise.", Kind.LOST, 3, "cable"),
        (
            "A fatal error occurred: Failed to connect to ESP32: No serial data received.",
            Kind.NO_ANSWER,
            1,
            "BOOT",
        ),
        ("A fatal error occurred: MD5 of file does not match data in flash!", Kind.VERIFY, 3, "115200"),
        (
            "Could not open /dev/x, the port is busy or doesn't exist.\n[Errno 13] Permission denied",
            Kind.REFUSED,
            1,
            "",
        ),
        (
            "Could not open port\n[Errno 11] Could not exclusively lock port",
            Kind.BUSY,
            1,
            "Close that program",
        ),
        ("could not open port /dev/x: [Errno 2] No such file or directory", Kind.NO_PORT, 1, "cable"),
        ("Detected flash encryption enabled and", Kind.PROTECTED, 1, "another board"),
        ("/usr/bin/python: No module named esptool", Kind.NO_PROGRAM, 1, "pip install"),
        ("something that nobody has seen before", Kind.UNKNOWN, 3, "seen before"),
    ],
)
def test_each_failure_says_what_to_do(fake: Fake, line: str, kind: Kind, attempts: int, words: str) -> None:
    """Failures are told apart; those that may pass are tried three times, the others not again."""
    tool = fake(*[line.splitlines()] * 4)
    with pytest.raises(EsptoolError) as caught:
        tool.identify()
    assert caught.value.kind is kind
    assert caught.value.attempts == attempts
    assert caught.value.what
    assert caught.value.do
    assert words in str(caught.value)


def test_a_program_that_says_nothing_is_ended(tmp_path: Path) -> None:
    """A run that hangs does not hang the bench: it is ended and counts as a broken connection."""
    script = tmp_path / "hang.py"
    script.write_text("import threading\nprint('esptool v5.6.0', flush=True)\nthreading.Event().wait()\n")
    tool = Esptool("port", program=(sys.executable, str(script)), silence_s=0.6)
    with pytest.raises(EsptoolError) as caught:
        tool.identify()
    assert caught.value.kind is Kind.LOST
