"""Records made before the clock was set: kept until a later record of the same boot says when the boot began."""

import json
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from qytet_contract import codes, records, topics
from qytet_ingest.batch import Batch, DeadLetter
from qytet_ingest.careful import INSERT_ROWS
from qytet_ingest.ledger import Boot
from qytet_ingest.registry import Device, Registry
from qytet_ingest.rows import gross_range

__all__ = ["resolve", "store"]

_STORE = """
insert into store.undated (device_id, boot, seq, up_ms, m)
select * from unnest(%(device)s::int[], %(boot)s::text[], %(seq)s::bigint[], %(up)s::bigint[], %(m)s::jsonb[])
on conflict (device_id, boot, seq) do nothing
"""
_WAITING = """
select seq, up_ms, m from store.undated where device_id = %(device)s and boot = %(boot)s order by seq for update
"""
_DONE = "delete from store.undated where device_id = %(device)s and boot = %(boot)s and seq = any(%(seqs)s)"


def store(connection: psycopg.Connection[Any], batch: Batch) -> None:
    """Keep the batch's records without time."""
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
    """Records whose datastream was not valid at the instant found stay undated, and visible."""
    device = registry.by_id.get(boot.device_id)
    if device is None:
        return
    key = {"device": boot.device_id, "boot": boot.boot}
    done = []
    for seq, up_ms, m in connection.execute(_WAITING, key).fetchall():
        if _dated(connection, batch, registry, device, (boot.boot, seq, up_ms, anchor_ms + up_ms, m)):
            done.append(seq)
    if done:
        connection.execute(_DONE, {**key, "seqs": done})


def _dated(
    connection: psycopg.Connection[Any],
    batch: Batch,
    registry: Registry,
    device: Device,
    record: tuple[str, int, int, int, dict[str, float | None]],
) -> bool:
    """Store one record at the instant found; what collides there becomes a dead letter."""
    boot, seq, up_ms, t_ms, m = record
    streams = {key: device.stream_at(key, t_ms) for key in m}
    if None in streams.values() or not records.TIME_FLOOR <= t_ms < records.TIME_CEILING:
        return False
    chosen = [stream for stream in streams.values() if stream is not None]
    values = list(m.values())
    columns = {
        "time_us": [t_ms * 1000] * len(chosen),
        "value": values,
        "stream": chosen,
        "quality": gross_range(np.array(chosen), np.array(values, dtype=np.float64), registry).tolist(),
        "time_quality": [codes.TIME_BACKDATED] * len(chosen),
    }
    if len(connection.execute(INSERT_ROWS, columns).fetchall()) < len(chosen):
        topic = topics.topic(device.city, device.name, topics.OBS).encode()
        raw = json.dumps(records.obs(boot, seq, None, up_ms, "none", m), separators=(",", ":")).encode()
        detail = f"dated to {t_ms} ms, where another record holds this datastream and instant"
        batch.dead.append(DeadLetter(topic, raw, codes.COLLISION, detail, device.name))
    return True
