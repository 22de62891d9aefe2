"""The flash file behaves as a NOR chip does, also when the power goes."""

from pathlib import Path

import pytest

from qytet_simulators.hardware.flash import FlashFile, PowerCutError


def test_writing_only_clears_bits_and_erasing_sets_them(flash: FlashFile) -> None:
    """What was written once can only lose bits until its block is erased."""
    flash.write(100, b"\xf0\x0f")
    flash.write(100, b"\xff\x33")
    assert flash.read(99, 4) == b"\xff\xf0\x03\xff"
    flash.erase(0, 4096)
    assert flash.is_blank(0, 4096)


def test_erases_are_counted_by_block(flash: FlashFile) -> None:
    """Wear is known for each block."""
    flash.erase(4096, 8192)
    flash.erase(8192, 4096)
    assert list(flash.erases[:4]) == [0, 1, 2, 0]
    assert flash.operations == 3


def test_the_file_holds_what_the_chip_holds(flash: FlashFile) -> None:
    """Whoever opens the same file later finds the same content."""
    flash.write(5, b"kept")
    flash.close()
    with FlashFile(flash.path) as again:
        assert again.read(5, 4) == b"kept"


@pytest.mark.parametrize(("offset", "count"), [(-1, 2), (4 << 20, 1), ((4 << 20) - 1, 2)])
def test_nothing_lies_beyond_the_end(flash: FlashFile, offset: int, count: int) -> None:
    """An address outside of the chip is an error, not another place."""
    with pytest.raises(ValueError, match="not within a flash"):
        flash.write(offset, bytes(count))


def test_only_whole_blocks_are_erased(flash: FlashFile) -> None:
    """A part of a block cannot be erased."""
    with pytest.raises(ValueError, match="whole blocks"):
        flash.erase(4096, 100)


def test_a_file_of_another_size_is_not_taken_for_the_chip(tmp_path: Path) -> None:
    """A wrong file is refused before anything is written to it."""
    (tmp_path / "other").write_bytes(b"important")
    with pytest.raises(ValueError, match="is no flash"):
        FlashFile(tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == b"important"


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_write_is_torn_and_everything_after_it_fails(flash: FlashFile, seed: int) -> None:
    """Of the operation in which the power goes a beginning is done, at most one byte half; nothing follows."""
    flash.cut_after(2, seed)
    flash.write(0, bytes(16))
    with pytest.raises(PowerCutError):
        flash.write(16, bytes(64))
    for act in (lambda: flash.read(0, 1), lambda: flash.write(0, b"a"), lambda: flash.erase(0, 4096)):
        with pytest.raises(PowerCutError):
            act()
    flash.restore()
    assert flash.read(0, 16) == bytes(16)
    torn = flash.read(16, 64)
    rest = torn.lstrip(b"\0")
    assert rest[1:] == b"\xff" * len(rest[1:])


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_erase_leaves_the_end_of_the_block(flash: FlashFile, seed: int) -> None:
    """A torn erase has set a beginning of the block; no bit was cleared by it, and other blocks are as they were."""
    flash.write(0, bytes(3 * 4096))
    flash.cut_after(1, seed)
    with pytest.raises(PowerCutError):
        flash.erase(4096, 4096)
    flash.restore()
    assert flash.read(0, 4096) == flash.read(8192, 4096) == bytes(4096)
    rest = flash.read(4096, 4096).lstrip(b"\xff")
    assert rest[1:] == bytes(len(rest[1:]))
