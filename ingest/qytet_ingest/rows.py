"""Rows of store.observation as numpy arrays: quality by gross range, and the bytes of a binary COPY."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qytet_contract import codes
from qytet_ingest.batch import Batch
from qytet_ingest.registry import Registry

__all__ = ["COPY_ROWS", "Rows", "build", "copy_bytes", "gross_range"]

COPY_ROWS = (
    "copy store.observation (phenomenon_time, value, datastream_id, quality, time_quality) "
    "from stdin (format binary)"
)

_EPOCH_US = 946_684_800_000_000  # 2000-01-01, where PostgreSQL's time stamps begin
_HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
_TRAILER = b"\xff\xff"

_HEAD = [("n", ">i2"), ("time_size", ">i4"), ("time", ">i8"), ("value_size", ">i4")]
_TAIL = [
    ("id_size", ">i4"),
    ("id", ">i4"),
    ("q_size", ">i4"),
    ("q", ">i2"),
    ("tq_size", ">i4"),
    ("tq", ">i2"),
]
_WITH_VALUE = np.dtype([*_HEAD, ("value", ">f8"), *_TAIL])
_WITHOUT_VALUE = np.dtype([*_HEAD, *_TAIL])

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Parallel arrays, one entry a reading: `record` is its record in the batch, `value` NaN for null."""

    record: Ints
    stream: Ints
    time_us: Ints
    value: Floats
    quality: npt.NDArray[np.int16]
    time_quality: npt.NDArray[np.int16]

    def __len__(self) -> int:
        """Number of readings."""
        return len(self.stream)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Rows":
        """The readings that a mask or an index selects."""
        return Rows(
            self.record[which],
            self.stream[which],
            self.time_us[which],
            self.value[which],
            self.quality[which],
            self.time_quality[which],
        )


def build(batch: Batch, registry: Registry) -> Rows:
    """The readings of a batch with their quality."""
    sizes = np.array(batch.record_size, dtype=np.int64)
    stream = np.array(batch.streams, dtype=np.int64)
    value = np.array(batch.values, dtype=np.float64)  # None becomes NaN, and JSON knows no other NaN
    return Rows(
        record=np.repeat(np.arange(len(sizes)), sizes),
        stream=stream,
        time_us=np.repeat(np.array(batch.record_time, dtype=np.int64) * 1000, sizes),
        value=value,
        quality=gross_range(stream, value, registry),
        time_quality=np.repeat(np.array(batch.record_tq, dtype=np.int16), sizes),
    )


def gross_range(stream: Ints, value: Floats, registry: Registry) -> npt.NDArray[np.int16]:
    """QARTOD gross range test: 4 outside what the sensor can say, 3 outside what is plausible, 9 without value."""
    fail_min, fail_max, suspect_min, suspect_max = registry.limits[stream].T
    quality = np.full(len(stream), codes.GOOD, dtype=np.int16)
    quality[(value < suspect_min) | (value > suspect_max)] = codes.SUSPECT
    quality[(value < fail_min) | (value > fail_max)] = codes.FAIL
    quality[np.isnan(value)] = codes.MISSING
    return quality


def copy_bytes(rows: Rows) -> bytes:
    """All of a binary COPY: header, rows, trailer."""
    empty = np.isnan(rows.value)
    if not empty.any():
        return _HEADER + _block(rows, _WITH_VALUE) + _TRAILER
    return (
        _HEADER + _block(rows.take(~empty), _WITH_VALUE) + _block(rows.take(empty), _WITHOUT_VALUE) + _TRAILER
    )


def _block(rows: Rows, form: np.dtype[np.void]) -> bytes:
    out = np.empty(len(rows), form)
    out["n"] = 5
    out["time_size"] = 8
    out["time"] = rows.time_us - _EPOCH_US
    out["value_size"] = 8 if form is _WITH_VALUE else -1
    if form is _WITH_VALUE:
        out["value"] = rows.value
    out["id_size"] = 4
    out["id"] = rows.stream
    out["q_size"] = 2
    out["q"] = rows.quality
    out["tq_size"] = 2
    out["tq"] = rows.time_quality
    return out.tobytes()
