"""A gateway fits a small board: it loads only what its configuration needs, and says little."""

import json
import subprocess
import sys

BIG = ("cryptography", "gpiozero", "numpy", "psycopg", "pymodbus", "pandas", "httpx")
_RUN = """
import json, sys
sys.argv = ["qytet", "edge", "run"]
from qytet import cli
cli.add_plugins(first_word="edge")
from qytet_edge import service
import qytet_edge.inbox.files, qytet_edge.inbox.i2c, qytet_edge.inbox.modbus, qytet_edge.inbox.pins
import qytet_edge.inbox.relay, qytet_edge.inbox.uart, qytet_edge.outputs.modbus, qytet_edge.outputs.pins
json.dump(sorted(sys.modules), sys.stdout)
"""


def test_a_gateway_without_instruments_loads_no_big_library() -> None:
    """What runs for ever on 512 MB holds none of the libraries that instruments, updates or servers need."""
    done = subprocess.run([sys.executable, "-c", _RUN], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "qytet_edge.service" in loaded
    assert not loaded & set(BIG)
