"""The load of a benchmark as a process of its own: prints the devices, waits for a line, floods, prints the account."""

import json
import sys
from dataclasses import asdict

from qytet_simulators.device.address import Address
from qytet_simulators.device.flood import Pace, flood, prepare
from qytet_simulators.device.load import Load


def main() -> None:
    """Arguments: records, devices, readings a message, run, broker URL, and messages a second or nothing."""
    records, devices, readings, run, url, *rate = sys.argv[1:]
    load = Load(int(records), devices=int(devices), readings=int(readings), run=run, prefix=run)
    parts = prepare(load, connections=4)
    print(json.dumps(load.description()), flush=True)
    sys.stdin.readline()
    pace = Pace(window=4000, marks=True, rate=float(rate[0]) if rate else None, resend_after=30.0)
    print(json.dumps(asdict(flood(parts, Address.parse(url, None), pace))), flush=True)


if __name__ == "__main__":
    main()
