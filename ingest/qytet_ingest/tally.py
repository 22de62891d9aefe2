"""How many readings of each boot a transaction stores, and how many of these are suspect or fail."""

import numpy as np
import numpy.typing as npt

from qytet_contract import codes
from qytet_ingest.batch import Batch
from qytet_ingest.rows import Rows

__all__ = ["tally"]


def tally(batch: Batch, stored: Rows) -> None:
    """Set the counts of the batch's boots to what these rows hold; a try that failed is forgotten thereby."""
    place = {}
    for at, boot in enumerate(batch.boots):
        place[boot] = at
        boot.readings = boot.suspect = boot.failed = 0
    if not len(stored):
        return
    boot_of_record = np.array([place[boot] for boot in batch.record_boot])

    def counts(records: npt.NDArray[np.int64]) -> list[int]:
        found: list[int] = np.bincount(boot_of_record[records], minlength=len(place)).tolist()
        return found

    readings = counts(stored.record)
    suspect = counts(stored.record[stored.quality == codes.SUSPECT])
    failed = counts(stored.record[stored.quality == codes.FAIL])
    for boot, at in place.items():
        boot.readings, boot.suspect, boot.failed = readings[at], suspect[at], failed[at]
