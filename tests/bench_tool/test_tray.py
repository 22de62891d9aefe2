"""The list of a tray: checked whole before any board is touched."""

import os

import pytest

from qytet.errors import InputError
from qytet_bench import tray
from tests.bench_tool.desk import Desk


def mistakes(desk: Desk, text: str) -> list[tuple[int, str]]:
    with pytest.raises(tray.TrayError) as caught:
        tray.read(desk.listed(text), desk.settings)
    return caught.value.mistakes


def test_all_mistakes_are_told_at_once_with_their_lines(desk: Desk) -> None:
    """Each wrong line is named with its number, before any board is touched; several in one file at once."""
    found = mistakes(
        desk,
        "device,site,profile,board,password,notes\n"
        "node-1,skenderbej,air,,,\n"
        "Node 2,skenderbej,air,,,\n"
        ",skenderbej,,,,\n"
        '\n"node-3",skenderbej,weather,,,"two\nlines"\n'
        "node-1,blloku,,,,\n"
        "node-4,blloku,,esp8266,,\n"
        "node-5,blloku,,,short,\n"
        "node-6,blloku,,,a-long-password,\n"
        "node-7,blloku,,,a-long-password,\n"
        "node-8,blloku,,,,,,\n",
    )
    assert [line for line, _ in found] == [3, 4, 7, 8, 9, 10, 12, 13]
    words = [
        "cannot be a device",
        "names no device",
        "no profile",
        "line 2 already",
        "no board",
        "cannot be used",
    ]
    for (_, text), word in zip(found, [*words, "password of line 11", "8 cells"], strict=True):
        assert word in text
    assert not any("a-long-password" in text or "short" in text for _, text in found)
    assert not desk.vault.folder.exists()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("site\nx\n", 1, "device is missing"),
        ("device,colour\nnode-1,red\n", 1, "colour"),
        ("device,device\nnode-1,node-2\n", 1, "twice"),
        ("device\n", 1, "no device in it"),
        ("", 1, "no device in it"),
        ('device\n"node-1\n', 3, "no CSV"),
    ],
)
def test_a_list_that_is_none_is_told(desk: Desk, text: str, line: int, words: str) -> None:
    """A wrong first line, an empty file and broken quotes are mistakes like others."""
    found = mistakes(desk, text)
    assert any(words in told and at <= line for at, told in found)


def test_what_spreadsheets_write_is_read(desk: Desk) -> None:
    """Byte order mark, semicolons, carriage returns, capital headings and empty lines are no mistakes."""
    path = desk.listed("")
    path.write_bytes(
        "\ufeffDevice;Site;Notes\r\nnode-1;skenderbej;Rruga e Dëshmorëve\r\n;;\r\nnode-2;blloku;\r\n".encode()
    )
    rows = tray.read(path, desk.settings)
    assert [(row.line, row.node.device, row.node.site) for row in rows] == [
        (2, "node-1", "skenderbej"),
        (4, "node-2", "blloku"),
    ]
    assert rows[0].notes == "Rruga e Dëshmorëve"
    path.write_bytes(b"device;notes\nnode-1;D\xebshmor\n")
    with pytest.raises(tray.TrayError, match="line 2: It is no UTF-8"):
        tray.read(path, desk.settings)


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps users apart by other means")
def test_a_list_with_passwords_is_its_owners_alone(desk: Desk) -> None:
    """Issued passwords in a list that others can read are refused; in a private one they are what is flashed."""
    path = desk.listed("device,password\nnode-1,issued-by-the-city\n")
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        tray.read(path, desk.settings)
    path.chmod(0o600)
    (row,) = tray.read(path, desk.settings)
    assert "issued-by-the-city" not in repr(row)
    desk.vault.adopt("node-1", "another-password")
    with pytest.raises(tray.TrayError, match="another password"):
        tray.read(path, desk.settings)


def test_an_image_that_is_missing_is_a_mistake_of_the_list(desk: Desk) -> None:
    """A chip without a usable MicroPython image is told once, at the first line that needs it."""
    (desk.folder / "esp32c3.bin").unlink()
    ((line, text),) = mistakes(desk, "device,board\na,\nb,esp32-c3-devkitm\nc,esp32-c3-devkitm\n")
    assert line == 3
    assert "esp32c3.bin" in text
