"""Devices that honour the contract without being hardware: they keep what they accepted until it is stored.

record      one accepted record and its bytes on the wire
backlog     what a device still holds, and what goes out again when
node        one device: its boots, its sequence numbers, its backlog
carrier     one MQTT connection that carries devices
switchboard all connections of a run, on one thread
tally       counters and latencies
"""

from qytet_simulators.device.address import Address
from qytet_simulators.device.backlog import Backlog, Batch, Patience
from qytet_simulators.device.carrier import Carrier, Manners
from qytet_simulators.device.node import Node
from qytet_simulators.device.record import Record
from qytet_simulators.device.switchboard import Switchboard
from qytet_simulators.device.tally import Latency, Tally

__all__ = [
    "Address",
    "Backlog",
    "Batch",
    "Carrier",
    "Latency",
    "Manners",
    "Node",
    "Patience",
    "Record",
    "Switchboard",
    "Tally",
]
