"""The spool: an SQLite file in which every record is durable before it is sent, until the city has stored it.

    async with Spool(path, Limits(), stamp) as spool:
        await spool.put([Reading("meter", {"grid_frequency": 50.01})])      # durable on return
        [held] = await spool.held()
        records = await spool.read(held.device, held.boot, held.mark, 500, 64_000)
        await spool.mark(held.device, held.boot, records[-1].seq)           # stored by the city: let go

    model     bounds, state and what is held            change     one transaction in the making
    fresh     the ring for live sending                 bounds     drop-oldest, and the sorting of the intake
    accept    what may come in, and how it is dated     salvage    what a corrupt file still gives
    spool     the async face                            writer     the thread, group commit, a disk that is full
    store     the file and what memory knows of it      queries    the SQL

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
