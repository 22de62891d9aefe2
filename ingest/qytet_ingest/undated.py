"""Records made before the clock was set: kept until a later record of the same boot says when the boot began."""

import json
from typing import Any

import numpy as np
import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from qytet import log
from qytet_contract import codes, records, topics
from qytet_ingest import late
from qytet_ingest.batch import Batch, DeadLetter
from qytet_ingest.careful import INSERT_ROWS
from qytet_ingest.ledger import Boot
from qytet_ingest.registry import Device, Registry
from qytet_ingest.rows import gross_range

__all__ = ["resolve", "store"]

_log = log.get("ingest.undated")
_CLOCKS_DIFFER_MS = 300_000  # the device's clock may be that much ahead of ours

_STORE = """
insert into store.undated (device_id, boot, seq, up_ms, m)
select * from unnest(%(device)s::int[], %(boot)s::text[], %(seq)s::bigint[], %(up)s::bigint[], %(m)s::jsonb[])
     as n(device_id, boot, seq, up_ms, m)
where not exists (select from store.delivery y
                  where y.device_id = n.device_id and y.boot = n.boot and y.received @> n.seq)
on conflict (device_id, boot, seq) do nothing
"""
_WAITING = """
select seq, up_ms, m, (extract(epoch from received_at) * 1000)::bigint from store.undated
where device_id = %(device)s and boot = %(boot)s order by seq for update
"""
_DONE = "delete from store.undated where device_id = %(device)s and boot = %(boot)s and seq = any(%(seqs)s)"


def store(connection: psycopg.Connection[Any], batch: Batch) -> None:
    """Keep the batch's records without time, unless the ledger has them: an earlier commit may have dated them."""
    if not batch.undated:
        return
    waiting = batch.undated
    columns = {
        "device": [record.boot.device_id for record in waiting],
        "boot": [record.boot.boot for record in waiting],
        "seq": [record.seq for record in waiting],
        "up": [record.up_ms for record in waiting],
        "m": [Jsonb(json.loads(record.m)) for record in waiting],
    }
    connection.execute(_STORE, columns)


def resolve(connection: psycopg.Connection[Any], batch: Batch, registry: Registry) -> None:
    """Date the waiting records of every boot that has an anchor by now."""
    for boot in batch.boots:
        if boot.undated and boot.anchor_ms is not None:
            _resolve_boot(connection, batch, registry, boot, boot.anchor_ms)


def _resolve_boot(
    connection: psycopg.Connection[Any], batch: Batch, registry: Registry, boot: Boot, anchor_ms: int
) -> None:
    """Records whose datastream was not valid at the instant found, or who were made after they came, stay undated."""
    device = registry.by_id.get(boot.device_id)
    if device is None:
        return
    key = {"device": boot.device_id, "boot": boot.boot}
    done = []
    for seq, up_ms, m, received_ms in connection.execute(_WAITING, key).fetchall():
        record = (boot.boot, seq, up_ms, anchor_ms + up_ms, m)
        possible = records.TIME_FLOOR <= anchor_ms + up_ms < received_ms + _CLOCKS_DIFFER_MS
        stored = _dated(connection, batch, registry, device, record) if possible else None
        if stored is not None:
            done.append(seq)
            boot.count(stored)
    if done:
        connection.execute(_DONE, {**key, "seqs": done})


def _dated(
    connection: psycopg.Connection[Any],
    batch: Batch,
    registry: Registry,
    device: Device,
    record: tuple[str, int, int, int, dict[str, float | None]],
) -> list[int] | None:
    """Store one record at the instant found; the qualities of its readings. What collides becomes a dead letter.

    None leaves it undated: no datastream was valid then, or PostgreSQL refuses a value.
    """
    boot, seq, up_ms, t_ms, m = record
    streams = {key: device.stream_at(key, t_ms) for key in m}
    if None in streams.values():
        return None
    chosen = [stream for stream in streams.values() if stream is not None]
    values = np.array(
        list(m.values()), dtype=np.float64
    )  # null becomes NaN, which INSERT_ROWS makes null again
    quality = dict(zip(chosen, gross_range(np.array(chosen), values, registry).tolist(), strict=True))
    columns = {
        "time_us": [t_ms * 1000] * len(chosen),
        "value": values.tolist(),
        "stream": chosen,
        "quality": list(quality.values()),
        "time_quality": [codes.TIME_BACKDATED] * len(chosen),
    }
    try:
        with connection.transaction():  # a savepoint: what PostgreSQL refuses must not hold up the batch
            stored = connection.execute(INSERT_ROWS, columns).fetchall()
            late.note(connection, np.array(chosen), np.full(len(chosen), t_ms * 1000))
    except (errors.DataError, errors.IntegrityError) as error:
        _log.warning("record stays undated", device=device.name, boot=boot, seq=seq, why=str(error))
        return None
    if len(stored) < len(chosen):
        topic = topics.topic(device.city, device.name, topics.OBS).encode()
        raw = json.dumps(records.obs(boot, seq, None, up_ms, "none", m), separators=(",", ":")).encode()
        detail = f"dated to {t_ms} ms, where another record holds this datastream and instant"
        batch.dead.append(DeadLetter(topic, raw, codes.COLLISION, detail, device.name))
    return [quality[stream] for stream, _time in stored]
