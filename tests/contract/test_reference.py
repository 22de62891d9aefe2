"""The reference pages say what the code says."""

import subprocess
import sys
from pathlib import Path

GENERATE = Path(__file__).resolve().parents[2] / "docs" / "generate.py"


def test_the_generated_parts_of_the_reference_are_fresh(postgres_server):
    """The columns of the views and the codes on the reference pages are those of the database and the contract."""
    done = subprocess.run(
        [sys.executable, GENERATE, "--check"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
