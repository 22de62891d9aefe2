"""What is done of a tray is known after any break, and to one bench at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qytet.errors import InputError
from qytet_bench import journal


def test_the_journal_survives_half_a_line(tmp_path: Path) -> None:
    """After a power cut in the middle of a line, what stands before and what is noted after are both read."""
    path = tmp_path / "devices.csv.journal"
    with journal.opened(path) as notes:
        notes.note("node-1", "flashed", mac="m")
    whole = path.read_bytes()
    for cut in range(len(whole) - 1):
        path.write_bytes(whole + whole[:cut].replace(b"node-1", b"node-2"))
        with journal.opened(path) as notes:
            assert notes.last("node-1")["state"] == "flashed"
            assert notes.last("node-2") == {}
            notes.note("node-3", "flashed")
        with journal.opened(path) as notes:
            assert notes.last("node-3")["state"] == "flashed"


def test_two_benches_do_not_share_a_journal(tmp_path: Path) -> None:
    """A second bench at the same tray is refused while the first runs; a lock that a power cut left is no obstacle."""
    path = tmp_path / "devices.csv.journal"
    hold = (
        "import sys\nfrom pathlib import Path\nfrom qytet_bench import journal\n"
        "with journal.opened(Path(sys.argv[1])):\n    print('ours', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ours\n"
        with pytest.raises(InputError, match=f"process {other.pid}"), journal.opened(path):
            pass
        other.kill()
    path.with_name(path.name + ".lock").write_text(
        str(os.getppid())
    )  # after a restart its number is another's
    with journal.opened(path) as notes:
        notes.note("node-1", "flashed")
