"""The pages about the bench show files that work, and name every key and column."""

import hashlib
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from qytet.deploy import tls
from qytet.errors import InputError
from qytet_bench import settings, tray
from qytet_bench.description import description
from tests.bench_tool.desk import Desk, firmware

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "firmware/example"
PAGE = (ROOT / "docs/reference/bench.md").read_text(encoding="utf-8")


def test_the_examples_are_on_the_page_as_they_are() -> None:
    """The files that the page shows are those that lie in the project, byte for byte."""
    assert f"```toml\n{(EXAMPLE / 'bench.toml').read_text(encoding='utf-8')}```" in PAGE
    listed = (EXAMPLE / "devices.csv").read_text(encoding="utf-8")
    assert f"```text\n{listed}```" in PAGE
    assert f"```text\n{listed}```" in (ROOT / "docs/how-to/flash-a-tray.md").read_text(encoding="utf-8")


def test_the_examples_work(desk: Desk) -> None:
    """With certificate, key and images in place, the example's list is without mistake and describes its devices."""
    for path in EXAMPLE.iterdir():
        shutil.copy(path, desk.folder)
    (desk.folder / "update.pem.pub").write_text("a" * 512)
    (desk.folder / "wifi.txt").write_text("correct horse\n")
    (desk.folder / "ca.crt").write_bytes(tls.authority().certificate)
    common = settings.load(desk.config)
    with pytest.raises(InputError, match="image"):
        tray.read(desk.folder / "devices.csv", common)
    text = desk.config.read_text()
    for chip in ("esp32", "esp32s3"):
        (desk.folder / common.image[chip].path).write_bytes(firmware(chip))
        digest = hashlib.sha256(firmware(chip)).hexdigest()
        text = text.replace("0" * 64, digest, 1)
    desk.config.write_text(text)
    common = settings.load(desk.config)
    rows = tray.read(desk.folder / "devices.csv", common)
    described = description([row.node for row in rows], common)
    assert len(described["devices"]) == 3
    assert {site["site"] for site in described["sites"]} == {"skenderbej", "blloku"}


def test_every_key_and_column_is_explained() -> None:
    """What bench.toml may hold, and what columns a list may have, stands in a table of the page."""
    keys, columns = PAGE.split("## The list of a tray")
    tables = (settings.Wifi, settings.Broker, settings.Image, settings.City, settings.Site)
    known = {field.name for table in tables for field in msgspec.structs.fields(table)}
    known |= {field.name for field in msgspec.structs.fields(settings.BenchSettings)} - {"folder"}
    known -= {"wifi", "broker", "image", "cities", "sites"}  # tables, explained by their keys
    explained = {name for row in _rows(keys) for name in re.findall(r"`([a-z_0-9]+)`", row)}
    assert known <= explained
    assert all(f"[{table}" in keys for table in ("wifi]", "broker]", "image.", "cities.", "sites."))
    listed = {name for row in _rows(columns) for name in re.findall(r"`([a-z]+)`", row.split("|")[1])}
    assert set(tray.COLUMNS) <= listed


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]
