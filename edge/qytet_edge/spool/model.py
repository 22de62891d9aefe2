"""What the spool tells its users, and the bounds that they give it."""

from dataclasses import dataclass, field

from qytet.errors import QytetError

__all__ = ["Held", "Limits", "SpoolError", "State"]

MIB = 1 << 20


class SpoolError(QytetError):
    """The spool cannot be opened (another process has it, its folder cannot be used), or it is closed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the spool may take. The defaults suit 50 records/s for several days on a 16 GB card."""

    bytes: int = 4096 * MIB
    """What the database may hold before its oldest records are dropped; SQLite's log of 8 to 16 MiB comes on top."""
    age_s: int = 30 * 86400
    """Records are dropped after so many seconds of a *running* gateway: neither a clock that jumps nor a winter
    without power ages them."""
    commit_ms: int = 0
    """How long a write waits for others to share its transaction; 0 commits as soon as the disk is free.
    An SD card lives longer with 250 to 1000; `put` takes that much longer to return."""
    spare_bytes: int = 16 * MIB
    """Room on the disk that puts leave alone, so that marks can always be written and so free what is stored."""
    notices: int = 5000
    """Messages that are no records, kept at most; the oldest are dropped and counted."""
    notice_bytes: int = 32 * MIB
    """Bytes of long ones among them; never more than an eighth of `bytes`, so that a node that talks nonsense cannot
    push records out."""
    fresh: int = 2000
    """Records kept in memory for live sending."""
    roll_rows: int = 4096
    """Records that lie in the order of arrival, mirrored in memory, before they are sorted by device."""
    roll_bytes: int = 2 * MIB
    """The same in bytes of their values."""
    check_s: float = 20.0
    """Longest time that the check after an unclean end may take before the gateway starts without its answer."""
    boots: int = 10000
    """Numberings (device and boot) remembered at most."""
    aside: int = 2
    """Corrupt files kept for whoever wants to look at them."""


@dataclass(frozen=True, slots=True)
class Held:
    """One numbering of which the spool holds records, or of which it must tell that they are lost.

    `lo` is what may be said to the city: nothing below it is held any more, here or (relayed) by the node.
    `dropped` counts records that the bounds took; those of a relayed node are not lost, the node keeps them
    until they are marked. `lowest` and `highest` are 0 if nothing is held.
    """

    device: str
    boot: str
    own: bool
    lowest: int
    highest: int
    count: int
    mark: int
    lo: int
    dropped: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class State:
    """The spool as it was after the last transaction; totals are for the life of the file, except where named."""

    boot: str = ""
    records: int = 0
    """Kept and not marked."""
    notices: int = 0
    bytes: int = 0
    """Used by the database; what is marked is used again, the file itself does not shrink."""
    limit_bytes: int = 0
    log_bytes: int = 0
    oldest_age_s: int | None = None
    """Running time since the oldest record was accepted."""
    dropped: int = 0
    """Own records lost to the bounds of size and age."""
    let_go: int = 0
    """Relayed records dropped here; their nodes still hold them, and send them again."""
    notices_dropped: int = 0
    duplicates: int = 0
    """Relayed records that were kept or marked already, since this process began."""
    conflicts: int = 0
    """Relayed records whose number another record has, since this process began."""
    full_since_ms: int | None = None
    """Unix milliseconds since when the disk takes nothing; puts wait."""
    full_why: str = ""
    set_aside: tuple[str, ...] = ()
    """Names of corrupt files beside the spool, oldest first."""
    salvaged: int = 0
    """Records copied from corrupt files since this process began."""
    commits: int = 0
    written_bytes: int | None = None
    """Bytes that this process has sent to its disks (/proc/self/io), None where the system does not tell."""
    waiting: int = field(default=0)
    """Writes that wait for the disk at this moment."""
