"""Rows out of a recording's file, one at a time: CSV, gzipped CSV and Parquet."""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qytet.errors import InputError
from qytet_simulators.replay.mapping import Source

__all__ = ["Row", "digest", "locate", "rows"]

Row = tuple[int, list[Any]]
"""Line number in the file (rows from 1 in Parquet) and the cells, in the header's order."""

_PARQUET_ROWS = 8192
_CHUNK = 1 << 20


def locate(source: Source, data: Path) -> Path:
    """The source's file below the data folder. Raises InputError if it is not there."""
    path = data / source.path
    if not path.is_file():
        raise InputError(
            f"The recording {source.path} is not in {data}.",
            do="Give the folder that holds it by --data or by QYTET_DATA.",
        )
    return path


def digest(paths: list[Path]) -> str:
    """SHA-256 over the contents of the files, in order: what the records' identity hangs on."""
    total = hashlib.sha256()
    for path in paths:
        one = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                one.update(chunk)
        total.update(one.digest())
    return total.hexdigest()


@contextmanager
def rows(source: Source, data: Path) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """The header and the rows of a source; the file is closed at the end.

    Raises InputError, also from the iterator, with file and line.
    """
    path = locate(source, data)
    kind = source.format or _kind(path)
    opener = _parquet if kind == "parquet" else _csv
    try:
        with opener(path, source, kind) as (header, found):
            if len(set(header)) < len(header):
                raise InputError(
                    f"{path} names a column twice.", why=f"Its header: {', '.join(header)}"[:300]
                )
            yield header, found
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, LookupError) as error:
        raise InputError(f"{path} cannot be read.", why=str(error)) from error


def _kind(path: Path) -> str:
    if path.name.endswith(".parquet"):
        return "parquet"
    return "csv.gz" if path.name.endswith(".gz") else "csv"


@contextmanager
def _csv(path: Path, source: Source, kind: str) -> Iterator[tuple[list[str], Iterator[Row]]]:
    encoding = "utf-8-sig" if source.encoding.lower() in ("utf-8", "utf8") else source.encoding
    opener: Any = gzip.open if kind == "csv.gz" else open
    with opener(path, "rt", encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=source.delimiter, strict=True)
        header = next(reader, None)
        if not header:
            raise InputError(f"{path} is empty.", why="It has no header.")
        yield header, _csv_rows(path, reader, len(header))


def _csv_rows(path: Path, reader: Any, width: int) -> Iterator[Row]:
    try:
        for cells in reader:
            if not cells:
                continue
            if len(cells) != width:
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells where the header has {width}.",
                    do="Check `delimiter`, or mend the file.",
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV.", why=str(error)) from error


@contextmanager
def _parquet(path: Path, _source: Source, _kind: str) -> Iterator[tuple[list[str], Iterator[Row]]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            yield list(file.schema_arrow.names), _parquet_rows(file)
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a Parquet file that can be read.", why=str(error)) from error


def _parquet_rows(file: Any) -> Iterator[Row]:
    row = 0
    for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row += 1
            yield row, list(cells)
