"""The application: one asyncio program, wired from the node's settings and its profile (`wiring.py`).

    sensors -> sampler -> record -> backlog (flash) -> uplink -> city, whose marks empty the backlog

Every part runs for ever and is begun anew if it fails; the supervisor feeds the watchdog while sampler and uplink make
progress. What is needed now and then only (commands, health, the start) is lent (`lent.py`).
"""

import asyncio
import gc

from qytet_node import VERSION
from qytet_node.backlog import FullError
from qytet_node.lent import lent
from qytet_node.supervisor import WATCHDOG_MS, Supervisor

FLOOR_MS = 1780000000000
"""2026-05-28, before this program was made: an earlier time is a clock that was never set."""
HEALTH_FIRST_S, HEALTH_S = 5, 300
SAMPLER_LIMIT_MS, UPLINK_LIMIT_MS = 60000, 600000
"""The uplink's longest pause between two attempts is three minutes, its longest attempt less than two."""
_AGAIN_MS = 5000
_OVER = "over"
"""What a part gives back that has done its work (`ota.py`)."""


class App:
    """`make_hardware(board)` gives the chip (`hardware.Hardware`); `root` holds profiles and boards, `etc` settings.

    Its parts: hardware, clock, journal, backlog, link, keeper, uplink, sampler, outputs (or None), commands; `ordered`
    is what commands remember; `tasks` are rows of (name, function that gives a coroutine), to which others may add
    before `run`.
    Raises config.ConfigError or profile.ProfileError for settings that cannot be used.
    """

    def __init__(self, make_hardware, root, etc="/etc", data="/data", say=print, named="node.json"):
        self.etc, self.data, self.root, self.named = etc, data, root, named
        self.ordered = {}
        lent("wiring").wire(self, make_hardware, FLOOR_MS, say)
        self.tasks = [
            ("sampler", self.sampler.run),
            ("uplink", self.uplink.run),
            ("clock", self._keep_time),
            ("health", self._tell_health),
            ("supervisor", self._supervise),
        ]
        if self.outputs is not None:
            self.tasks.append(("outputs", self._follow))
        lent("ota").register(self)
        gc.collect()

    def record(self, m):
        """Keep a record of values and send it; with no value there is none."""
        if not m:
            return
        up = self.clock.up()
        t, quality = self.clock.at(up)
        try:
            self.uplink.offer(*self.backlog.append(t, up, quality, m))
        except FullError:
            self.journal.error("the flash is full: a record was dropped")
        except OSError as error:
            self.journal.error("the flash fails with error " + str(error.errno))

    async def run(self):
        """Run every part for ever."""
        kept = str(self.backlog.depth)
        self.journal.info("qytet " + VERSION + ", boot " + self.backlog.boot + ", " + kept + " kept")
        lent("orders").tell_restarted(self)
        first, *others = [self._for_ever(name, part) for name, part in self.tasks]
        self.tasks = None  # they run
        others = [asyncio.create_task(one) for one in others]
        try:
            await first
        finally:
            for task in others:
                task.cancel()

    def restart(self, why):
        """To be awaited: end in order and begin anew, when the last answer is out or after five seconds."""
        return lent("health").restart(self, why)

    # ---- what parts ask of each other

    def latest(self, key):
        """The last value of a key that was asked for at the start, or None."""
        return self.sampler.latest(key)

    def reader(self, key):
        """A function that gives the last value of a key, or None."""
        return lambda: self.sampler.latest(key)

    def lux(self):
        """How bright it is, where that is measured."""
        return self.latest("photocell_illuminance")

    def levels(self):
        """What every report tells of the outputs."""
        return {} if self.outputs is None else self.outputs.values()

    def streams(self):
        """What a birth says of the keys that will come, as JSON."""
        return lent("health").streams(self)

    @property
    def commands(self):
        """Who takes commands, as long as there are some."""
        return lent("orders").commands(self)

    def on_command(self, ident, payload):
        """A command came in."""
        self.commands.take(ident, payload)

    def now(self):
        """Unix milliseconds, or None."""
        return self.clock.now()[0]

    def give_up(self, why):
        """Restart, but let whoever says so go on to its end."""
        self._ending = asyncio.create_task(self.restart(why))

    # ---- parts

    async def _for_ever(self, name, part):
        while True:
            try:
                if await part() == _OVER:
                    return
            except Exception as error:
                self.journal.error(name + " failed: " + type(error).__name__ + " " + str(error))
            gc.collect()
            await asyncio.sleep_ms(_AGAIN_MS)

    def _keep_time(self):
        return self.keeper.run(self.link)

    def _follow(self):
        return self.outputs.run(self.motion)

    async def _tell_health(self):
        await asyncio.sleep_ms(HEALTH_FIRST_S * 1000)
        while True:
            self.record(lent("health").values(self))
            lent("health").tell_troubles(self)
            await asyncio.sleep_ms(HEALTH_S * 1000)

    async def _supervise(self):
        watched = (
            ("sampler", self.sampler, SAMPLER_LIMIT_MS),
            ("uplink", self.uplink, UPLINK_LIMIT_MS),
        )
        watchdog = self.hardware.watchdog(WATCHDOG_MS)
        await Supervisor(watchdog, self.clock, watched, self.uplink, self.give_up).run()


def main(root, named="node.json"):
    """Run on the board until the end of days, or until something is so wrong that only a restart helps."""
    asyncio.run(App(lent("hardware").Hardware, root, named=named).run())
