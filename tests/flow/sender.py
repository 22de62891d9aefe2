"""The load of a kill test as a process of its own: floods, and prints its account as JSON."""

import json
import sys
from dataclasses import asdict

from qytet_simulators.device.address import Address
from qytet_simulators.device.flood import Pace, flood, prepare
from qytet_simulators.device.load import Load

DEADLINE_S = 150.0


def main() -> None:
    """The argument is a JSON object; see tests.flow.kills."""
    given = json.loads(sys.argv[1])
    names = ("records", "devices", "readings", "run", "start_ms")
    load = Load(**{name: given[name] for name in names}, prefix=given["run"])
    pace = Pace(
        window=500,
        rate=given["rate"],
        marks=given.get("marks", True),
        resend_after=1.0,
        deadline_s=DEADLINE_S,
    )
    result = flood(prepare(load, connections=2), Address.parse(given["url"], None), pace)
    sys.stdout.write(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
