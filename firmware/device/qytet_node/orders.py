"""What this node does for the commands of the city; in memory while one is under way (`lent.py`)."""

from qytet_node.commands import CommandError, Commands
from qytet_node.lent import lent

_ELSEWHERE = ("update", "network")


def commands(app):
    """Who takes commands and answers them; `app.ordered` is what it remembers."""
    handlers = Handlers(app)
    path = app.data + "/commands.json"
    return Commands(path, app.now, app.uplink.answer, app.journal, app.ordered, handlers.find)


def tell_restarted(app):
    """A restart that was ordered before this start is done."""
    taker = app.commands
    for ident in taker.begun("restart"):
        taker.finish(ident, "done")


class Handlers:
    """One method a command: `await handler(args, id)` gives (state, why)."""

    def __init__(self, app):
        self._app = app

    def find(self, name):
        """The handler, or None."""
        if name in _ELSEWHERE:
            return lent("ota").Ota(self._app).handler(name)
        own = {
            "rebirth": self._rebirth,
            "restart": self._restart,
            "set": self._set,
            "interval": self._interval,
            "schedule": self._schedule,
            "resend": self._resend,
        }
        return own.get(name)

    async def _rebirth(self, *_):
        self._app.uplink.introduce()
        return "done", ""

    async def _restart(self, _, ident):
        self._app.give_up("ordered by " + ident)
        return "accepted", ""

    async def _set(self, args, _):
        self._lamps().set(args["output"], args["value"])
        return "done", ""

    async def _schedule(self, args, _):
        self._lamps().follow(args["output"], args["schedule"])
        return "done", ""

    def _lamps(self):
        if self._app.outputs is None:
            raise CommandError("this node has no outputs")
        return self._app.outputs

    async def _interval(self, args, _):
        report_s = args["report_s"]
        if isinstance(report_s, bool) or not isinstance(report_s, int) or not 1 <= report_s <= 86400:
            raise CommandError("report_s must be a whole number from 1 to 86400")
        self._app.sampler.set_interval(report_s)
        return "done", "until the next restart"

    async def _resend(self, args, _):
        backlog = self._app.backlog
        boot, last = args["boot"], args["last"]
        lowest = backlog.lowest(boot)
        if boot not in backlog.boots() or last < lowest:
            raise CommandError("nothing of that is held any more")
        self._app.uplink.again()
        return "done", "from %d on" % max(lowest, args["first"])
