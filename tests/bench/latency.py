"""From publish to commit, seen from outside: probes published beside a load, and looked for in the database."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from qytet_simulators.device.load import Load
from tests.bench.rig import Rig, Worker

PROBES = 300
LOOK_S = 0.002

_SEEN = (
    "select upper(received) - 1 from store.delivery join store.device using (device_id) where name = %(name)s"
)


def latencies(rig: Rig, log: Path, readings_per_s: float) -> dict[str, float]:
    """p50, p95 and p99 in ms of single records published while others load the worker at that rate."""
    per_message = 6
    records = int(readings_per_s / per_message * PROBES * 0.12)
    run = f"lat-{time.monotonic_ns() % 10**9}"
    url = rig.broker.url("simulator")
    command = [sys.executable, "-m", "tests.bench.publish", str(records), "1000", str(per_message), run, url]
    with subprocess.Popen(
        [*command, str(readings_per_s / per_message)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        rig.register(json.loads(load.stdout.readline()))
        probe = Load(1, devices=1, readings=per_message, run=run, prefix=f"{run}p")
        rig.register(probe.description())
        with Worker.run(rig, {}, log):
            load.stdin.write(b"go\n")
            load.stdin.flush()
            found = _probe(rig, probe)
            load.stdout.readline()
    return {f"p{share}": float(np.percentile(found, share)) for share in (50, 95, 99)}


def _probe(rig: Rig, probe: Load) -> list[float]:
    """Publish one record after the other, each as soon as the one before it is seen; ms each."""
    import paho.mqtt.client as mqtt

    from qytet_contract import records, topics
    from qytet_simulators.device.address import Address

    address = Address.parse(rig.broker.url("simulator"), None)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"{probe.run}-probe")
    client.username_pw_set(address.user, address.password)
    client.connect(address.host, address.port)
    client.loop_start()
    topic = topics.topic(probe.city, probe.names[0], topics.OBS)
    found: list[float] = []
    for seq in range(1, PROBES + 1):
        now = int(time.time() * 1000)
        values: dict[str, Any] = probe.values(0, seq)
        began = time.perf_counter()
        client.publish(topic, json.dumps(records.obs(probe.boots[0], seq, now, seq, "ntp", values)), qos=1)
        while (row := rig.connection.execute(_SEEN, {"name": probe.names[0]}).fetchone()) is None or row[
            0
        ] < seq:
            time.sleep(LOOK_S)
        found.append((time.perf_counter() - began) * 1000)
        time.sleep(0.02)  # spreads the probes over the batches; nothing is awaited here
    client.disconnect()
    client.loop_stop()
    return found
