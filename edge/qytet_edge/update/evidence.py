"""The gateway's side of a trial: says so when the city has stored a record that this very process made.

The process may not write where releases lie: it writes into its own folder, and the guard, which may, compares.
"""

from collections.abc import Mapping
from importlib.metadata import version

from qytet import log
from qytet_edge.update import disk, trial
from qytet_edge.update.layout import Layout

__all__ = ["Evidence"]

_log = log.get("update")


class Evidence:
    """Make it at the start of the process, before the first record; tell it what is made and what is marked.

    `config`: SHA-256 of the configuration as this process read it; the file may be another one by now. `release`:
    what it is (tests say otherwise).
    """

    def __init__(self, layout: Layout, config: str, *, release: str = "") -> None:
        named = trial.read(layout.trial / "info")
        self._path = layout.evidence
        self._lines = ""
        self._first: dict[tuple[str, str], int] = {}
        if named:
            self._lines = f"trial={named['id']}\nrelease={release or version('qytet')}\nconfig={config}\n"

    @property
    def wanted(self) -> bool:
        """Whether there is something to prove; else the other calls do nothing."""
        return bool(self._lines)

    def made(self, device: str, boot: str, seq: int) -> None:
        """This process has put a record of its own into the spool; the first of each device counts."""
        if self.wanted:
            self._first.setdefault((device, boot), seq)

    def stored(self, device: str, boot: str, seq: int) -> None:
        """The city's mark: all up to `seq` is stored. Writes the evidence once; a disk that refuses is tried again."""
        first = self._first.get((device, boot))
        if not self.wanted or first is None or seq < first:
            return
        try:
            disk.write(self._path, self._lines.encode())
        except OSError as error:
            _log.warning("evidence", why=str(error))
            return
        self._lines = ""
        _log.info("proven", device=device, seq=seq)

    def begin(self, marks: Mapping[tuple[str, str], int]) -> None:
        """Instead of `made`: the number that each (device, boot) has next, as the spool says at the start."""
        for (device, boot), seq in marks.items():
            self.made(device, boot, seq)
