"""Commands from the city: each is carried out once, whatever often it comes, and answered.

    cmd/{id} {"v":1,"cmd":…,"exp":…,"args":{…}}  ->  ack/{id} {"v":1,"s":"accepted|done|failed","why":…}

A handler is awaited with the arguments and gives (state, why). The last answers are kept, so that a command that comes
again is answered again and not carried out again; answers that a restart must not forget are kept on flash.
"""

import asyncio
import json
import os

from qytet_node import messages

KEPT = 16
AT_ONCE = 4
"""Commands under way at the same time; more are refused, and come again by themselves."""
LASTING = ("restart", "update", "network")
"""Commands whose answer outlives a restart, because they cause one."""


class CommandError(ValueError):
    """A command that is not carried out; says why."""


class Commands:
    """`answer(id, state, why)` sends; `now()` gives Unix ms or None; `path` keeps lasting answers.

    `memory` is what outlives this object: a dictionary, empty at the start. `find(name)` gives a handler that was not
    registered, or None.
    """

    def __init__(self, path, now, answer, journal=None, memory=None, find=None):
        self._path, self._now, self._answer, self._journal = path, now, answer, journal
        self._table, self._find = {}, find
        memory = {} if memory is None else memory
        known = bool(memory)
        self._answers = memory.setdefault(
            "answers", {}
        )  # id -> [state, why, name of a lasting command or ""]
        self._order = memory.setdefault("order", [])
        self._tasks = memory.setdefault("tasks", {})
        if not known:
            self._load()

    def register(self, name, handler):
        """`await handler(args, id)` gives (state, why); raises CommandError or ValueError to refuse."""
        self._table[name] = handler

    def take(self, ident, payload):
        """A command that came in: answer it again, or begin it."""
        known = self._answers.get(ident)
        if known is not None:
            self._answer(ident, known[0], known[1])
            return
        try:
            name, exp, args = messages.command(payload)
            handler = self._checked(name, exp)
        except ValueError as error:
            self._finish(ident, "failed", str(error))
        else:
            if len(self._tasks) < AT_ONCE:
                self._remember(ident, "accepted", "", "")
                self._tasks[ident] = asyncio.create_task(self._carry_out(ident, name, args, handler))

    def finish(self, ident, state, why=""):
        """The end of a command that was only accepted, perhaps before a restart."""
        self._finish(ident, state, why, self._answers[ident][2] if ident in self._answers else "")

    def begun(self, name):
        """Ids of a lasting command that have begun and not ended: after a restart somebody must say how they ended."""
        return [
            one
            for one in self._order
            if self._answers[one][0] == "accepted" and self._answers[one][2] == name
        ]

    def _checked(self, name, exp):
        handler = self._table.get(name) or (self._find and self._find(name))
        if not handler:
            raise CommandError("unknown command: " + name[:32])
        now = self._now()
        if now is None:
            raise CommandError(
                "the time is not known here, so it cannot be told whether this is still wanted"
            )
        if exp < now:
            raise CommandError("expired")
        return handler

    async def _carry_out(self, ident, name, args, handler):
        lasting = name if name in LASTING else ""
        try:
            if lasting:  # first on flash, then begun: a command that restarts us is not begun twice
                self._remember(ident, "accepted", "", lasting)
            state, why = await handler(args, ident)
        except KeyError as error:
            state, why = "failed", "the argument " + str(error.args[0]) + " is missing"
        except ValueError as error:
            state, why = "failed", str(error)
        except Exception as error:
            state, why = "failed", type(error).__name__ + ": " + str(error)
        del self._tasks[ident]
        self._finish(ident, state, why, lasting)

    def _finish(self, ident, state, why, lasting=""):
        self._remember(ident, state, why, lasting)
        if self._journal is not None:
            self._journal.info("command " + ident + ": " + state + (" " + why if why else ""))
        self._answer(ident, state, why)

    def _remember(self, ident, state, why, lasting):
        if ident not in self._answers:
            self._order.append(ident)
        self._answers[ident] = [state, why, lasting]
        ended = [one for one in self._order if self._answers[one][0] != "accepted"]
        for one in ended[: max(0, len(self._order) - KEPT)]:
            self._order.remove(one)
            del self._answers[one]
        if lasting:
            self._save()

    def _load(self):
        try:
            with open(self._path) as file:
                for ident, state, why, name in json.load(file)[-KEPT:]:
                    self._answers[ident] = [state, why, name]
                    self._order.append(ident)
        except (OSError, ValueError, TypeError):
            pass  # nothing lasting was ever ordered, or it cannot be read: at worst a restart comes twice

    def _save(self):
        kept = [[one] + self._answers[one] for one in self._order if self._answers[one][2]]
        with open(self._path + ".new", "w") as file:
            json.dump(kept, file)
        os.rename(self._path + ".new", self._path)
