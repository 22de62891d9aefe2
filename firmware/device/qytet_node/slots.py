"""Which version runs, what is on trial, and what became of the last trial: `/slot.json`, which main.py reads first.

    {"run": "a", "trial": "b", "left": 3, "id": "c4be2f", "why": ""}

`run` is the slot that proved itself; `trial` the other one, or "etc" for the settings in `node.trial.json`, or null;
`left` how often it may still be started; `id` the command that began it; `why` is empty, or why it went back.
"""

import json
import os

ETC = "etc"
SETTINGS, TRIED = "node.json", "node.trial.json"
STARTS = 3
ENTRY = "qytet_node/app.mpy"
"""Written last, removed first: a slot without it cannot be started."""


class Slots:
    """`root` is the folder of the slot that runs, such as /a; `etc` that of the settings."""

    def __init__(self, root, etc):
        self._path = root[:-1] + "slot.json"
        self._etc = etc + "/"
        self.mine = root[-1]
        self.other = "b" if self.mine == "a" else "a"
        self.free = root[:-1] + self.other
        """The folder of the slot that does not run."""
        self.manifest = root[:-1] + "update.json"
        """Where an update's manifest lies while its files come."""

    def read(self):
        """The state; that of a new board if there is none that makes sense."""
        state = {"run": self.mine, "trial": None, "left": 0, "id": "", "why": ""}
        try:
            with open(self._path) as file:
                state.update(json.load(file))
        except (OSError, ValueError, TypeError):
            pass
        return state

    def begin(self, trial, ident):
        """From the next start on, `trial` (a slot or ETC) has three starts to prove itself."""
        self._write(self.mine, trial, STARTS, ident, "")

    def keep(self):
        """It proved itself. After a power cut in between, new settings are in force and `tidy` finds that out."""
        state = self.read()
        if state["trial"] == ETC:
            os.rename(self._etc + TRIED, self._etc + SETTINGS)
        self._write(self.mine, None, 0, state["id"], "")

    def go_back(self, why):
        """It did not: what ran before runs from the next start on."""
        state = self.read()
        self._write(self.other if state["trial"] == self.mine else self.mine, None, 0, state["id"], why)

    def tidy(self, named):
        """Whether what runs (with settings of this name) is on trial; ends a trial of anything else."""
        state = self.read()
        trial, tried = state["trial"], _exists(self._etc + TRIED)
        if trial == self.mine or (trial == ETC and tried and named == TRIED):
            return True
        if trial == ETC and not tried:
            self._write(self.mine, None, 0, state["id"], "")
        elif trial:
            self.go_back(state["why"] or "its start could not be counted")
        if tried:
            os.remove(self._etc + TRIED)
        return False

    def clear(self):
        """Forget an update that came to nothing."""
        self.clear_slot()
        _remove(self.manifest)

    def clear_slot(self):
        """Empty the slot that does not run; from the first moment it cannot be started."""
        _remove(self.free + "/" + ENTRY)
        _remove(self.free)

    def try_settings(self, settings, ident):
        """Put new settings on trial."""
        _replace(self._etc + TRIED, settings)
        self.begin(ETC, ident)

    def _write(self, run, trial, left, ident, why):
        state = {"run": run, "trial": trial, "left": left, "id": ident, "why": why}
        _replace(self._path, state)


def _replace(path, value):
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.rename(path + ".new", path)


def _exists(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _remove(path):
    """A file, or a folder with all it holds; nothing there is fine."""
    try:
        names = os.listdir(path)
    except OSError:
        names = []
    for name in names:
        _remove(path + "/" + name)
    try:
        os.remove(path)
    except OSError:
        try:
            os.rmdir(path)
        except OSError:
            pass
