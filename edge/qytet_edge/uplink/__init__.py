"""The uplink: what the spool keeps goes to the city's broker, live first, and stays until the city has stored it.

address     where the broker is, and how it is verified
manners     every bound and every patience; what a metered link changes
connection  one MQTT connection, from CONNECT to its end
line        what is in flight, and who waits for room
window      what one boot has on its way: unsent, sent, due again
live        records as they come
backfill    everything else, in batches, after live
notices     births and states of nodes, logs, acks
hearing     marks and commands
uplink      ties them together

spool.fresh --obs--> broker     a record that is durable goes out live
spool.read --hist--> broker     what did not, or got no mark in time, follows as backfill
broker --stored--> spool.mark   only the city's mark lets the spool forget; a PUBACK never does
"""

from qytet_edge.uplink.address import Address
from qytet_edge.uplink.identity import Identity
from qytet_edge.uplink.manners import Manners, Metered
from qytet_edge.uplink.uplink import State, Uplink

__all__ = ["Address", "Identity", "Manners", "Metered", "State", "Uplink"]
