"""The spool: an SQLite file in which every record is durable before it is sent, until the city has stored it.

    async with Spool(path, Limits(), stamp) as spool:
        await spool.put([Reading("meter", {"grid_frequency": 50.01})])      # durable on return
        [held] = await spool.held()
        records = await spool.read(held.device, held.boot, held.mark, 500, 64_000)
        await spool.mark(held.device, held.boot, records[-1].seq)           # stored by the city: let go

    spool     the async face                            store      the file and what memory knows of it
    model     limits, state and what is held            change     one transaction in the making
    accept    what may come in, and how it is dated     boots      one numbering: marks, `lo`, what is held of it
    fresh     the ring for live sending                 rows       a record as a row, with a checksum
    host      the machine's boots, uptime and disk      queries    the SQL
    desk      what waits for the thread, and answers    bounds     sorting the intake, dropping the oldest
    writer    the thread: group commit, full disks      salvage    setting a corrupt file aside
    faults    what an error of SQLite means             recover    what a corrupt file still gives
    moments   when rows that came at once were made

**Two levels.** A record first lands in `intake`, in the order of arrival: a commit touches few pages however many
devices speak. `intake` is mirrored in memory; once it has some thousands of records, those that the city has not
yet marked move to `record`, sorted by device, boot and number, where a backlog is read quickly. Online nearly
nothing ever moves. **Nothing in flight is on disk**: after a crash the uplink sends again what has no mark, and
the city knows records by (device, boot, seq).
"""

from qytet_edge.spool.fresh import Fresh
from qytet_edge.spool.host import Host
from qytet_edge.spool.model import Held, Limits, SpoolError, State
from qytet_edge.spool.spool import Spool

__all__ = ["Fresh", "Held", "Host", "Limits", "Spool", "SpoolError", "State"]
