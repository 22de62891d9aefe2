"""The application: one asyncio program, wired from the node's settings and its profile.

    sensors -> sampler -> record -> backlog (flash) -> uplink -> city, whose marks empty the backlog

Every part runs for ever and is begun anew if it fails; the supervisor feeds the watchdog while sampler and uplink make
progress. `ota`, where it is there, adds its commands and its trial through `register(app)`.
"""

import asyncio
import gc
import os

from qytet_node import VERSION, config, health, profile
from qytet_node.backlog import Backlog, FullError
from qytet_node.clock import Clock
from qytet_node.commands import CommandError, Commands
from qytet_node.log import Log
from qytet_node.outputs import Outputs
from qytet_node.parts import Parts
from qytet_node.sampling import Sampler, Sensor
from qytet_node.supervisor import WATCHDOG_MS, Supervisor
from qytet_node.timekeeper import Timekeeper
from qytet_node.uplink import Uplink
from qytet_node.wifi import Wifi, trusting

FLOOR_MS = 1780000000000
"""2026-05-28, before this program was made: an earlier time is a clock that was never set."""
HEALTH_FIRST_S, HEALTH_S = 5, 300
UPLINK_LIMIT_MS = 600000
"""The longest pause between two attempts is three minutes, the longest attempt less than two."""
_AGAIN_MS = 5000


class App:
    """`make_hardware(board)` gives the chip (`hardware.Hardware`); `root` holds profiles and boards, `etc` settings.

    Raises config.ConfigError or profile.ProfileError for settings that cannot be used.
    """

    def __init__(self, make_hardware, root, etc="/etc", data="/data", say=print):
        self.etc, self.data, self.root = etc, data, root
        self.settings = config.load(etc + "/node.json")
        self.profile, board = profile.load(root, self.settings)
        self.hardware = hardware = make_hardware(board)
        self.clock = Clock(hardware.ticks_ms, hardware.ticks_diff, FLOOR_MS)
        self.clock.set(
            hardware.rtc_ms(), "rtc"
        )  # what a restart left; after a power cut it is below the floor
        self.journal = Log(self.clock, say=say)
        boot = "".join("%02x" % byte for byte in os.urandom(4))
        self.backlog = Backlog(data, boot, self.settings["keep_bytes"])
        self._make_line()
        self._make_sensors()
        self.commands = Commands(
            data + "/commands.json", lambda: self.clock.now()[0], self.uplink.answer, self.journal
        )
        self._register()
        self.tasks = [
            ("sampler", self.sampler.run),
            ("uplink", self.uplink.run),
            ("clock", lambda: self.keeper.run(self.link)),
            ("health", self._tell_health),
            ("supervisor", self._supervise),
        ]
        if self.profile.get("outputs"):
            self.tasks.append(("outputs", lambda: self.outputs.run(self.parts.motion)))

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
        self.journal.info(
            "qytet " + VERSION + ", boot " + self.backlog.boot + ", " + str(self.backlog.depth) + " kept"
        )
        for ident in self.commands.begun("restart"):
            self.commands.finish(ident, "done")
        await asyncio.gather(*[self._for_ever(name, part) for name, part in self.tasks])

    async def restart(self, why):
        """End in order and begin anew, when the last answer is out or after five seconds."""
        self.journal.warning("restart: " + why)
        for _ in range(50):
            if not self.uplink.speaks_up:
                break
            await asyncio.sleep_ms(100)
        for sensor in self.sampler.sensors:
            await sensor.stop()
        self.backlog.close()
        self.hardware.reset()

    # ---- wiring

    def _make_line(self):
        settings, broker = self.settings, self.settings["broker"]
        trust = trusting(self.etc) if broker["tls"] else None
        self.link = Wifi(self.hardware.station(), settings["wifi"], broker, trust)
        self.keeper = Timekeeper(self.clock, settings["ntp"], self.hardware.set_rtc, needed=broker["tls"])
        names = [row["name"] for row in self.profile["sensors"]]
        about = {
            "city": settings["city"],
            "device": settings["device"],
            "user": broker["user"],
            "password": broker["password"],
            "fw": VERSION,
            "board": settings["board"],
            "ds": profile.streams(profile.keys(self.profile) + health.keys(names)),
        }
        self.uplink = Uplink(about, self.link, self.clock, self.backlog, self._on_command, self.keeper.known)
        self.journal.send = self.uplink.log

    def _make_sensors(self):
        self.parts = Parts(self.hardware, self.data, self._latest)
        warm = self.hardware.reset_cause() != health.POWER_ON
        sensors = []
        for row in self.profile["sensors"]:
            try:
                sensors.append(Sensor(row, self.parts.make(row), self.clock, warm))
            except profile.ProfileError as error:  # the others are worth as much as before
                self.journal.error(str(error))
        rows = self.profile.get("outputs", [])
        self.sampler = Sampler(sensors, self.clock, self.record, self.profile["report_s"], self._levels)
        path = self.etc + "/outputs.json"
        self.outputs = Outputs(rows, self.hardware, self.clock, path, self._lux, self.record)
        self.health = health.Health(self.clock, self.link, self.backlog, sensors, self.hardware)

    def _register(self):
        for name, handler in (
            ("rebirth", self._rebirth),
            ("restart", self._restart),
            ("set", self._set),
            ("interval", self._interval),
            ("schedule", self._schedule),
            ("resend", self._resend),
        ):
            self.commands.register(name, handler)
        try:
            from qytet_node import ota
        except ImportError:
            return
        ota.register(self)

    def _latest(self, key):
        return self.sampler.latest(key)

    def _lux(self):
        return self.sampler.latest("photocell_illuminance")

    def _levels(self):
        return self.outputs.values()

    def _on_command(self, ident, payload):
        self.commands.take(ident, payload)

    # ---- parts

    async def _for_ever(self, name, part):
        while True:
            try:
                await part()
            except Exception as error:
                self.journal.error(name + " failed: " + type(error).__name__ + " " + str(error))
            gc.collect()
            await asyncio.sleep_ms(_AGAIN_MS)

    async def _tell_health(self):
        await asyncio.sleep_ms(HEALTH_FIRST_S * 1000)
        while True:
            self.record(self.health.values())
            self._tell_troubles()
            await asyncio.sleep_ms(HEALTH_S * 1000)

    def _tell_troubles(self):
        for sensor in self.sampler.sensors:
            if sensor.last_error:
                self.journal.warning("sensor " + sensor.name + ": " + sensor.last_error)
                sensor.last_error = ""
        if not self.uplink.online and self.uplink.why:
            self.journal.warning("no line: " + self.uplink.why)

    async def _supervise(self):
        def give_up(why):
            asyncio.create_task(self.restart(why))  # noqa: RUF006 - nothing comes after it

        watched = [
            ("sampler", lambda: self.sampler.progress_at, 60000),
            ("uplink", lambda: self.uplink.progress_at, UPLINK_LIMIT_MS),
        ]
        watchdog = self.hardware.watchdog(WATCHDOG_MS)
        self.supervisor = Supervisor(watchdog, self.clock, watched, lambda: not self.uplink.online, give_up)
        await self.supervisor.run()

    # ---- commands

    async def _rebirth(self, *_):
        self.uplink.introduce()
        return "done", ""

    async def _restart(self, _, ident):
        self._ending = asyncio.create_task(self.restart("ordered by " + ident))
        return "accepted", ""

    async def _set(self, args, _):
        self.outputs.set(args["output"], args["value"])
        return "done", ""

    async def _schedule(self, args, _):
        self.outputs.follow(args["output"], args["schedule"])
        return "done", ""

    async def _interval(self, args, _):
        report_s = args["report_s"]
        if isinstance(report_s, bool) or not isinstance(report_s, int) or not 1 <= report_s <= 86400:
            raise CommandError("report_s must be a whole number from 1 to 86400")
        self.sampler.set_interval(report_s)
        return "done", "until the next restart"

    async def _resend(self, args, _):
        boot, last = args["boot"], args["last"]
        lowest = self.backlog.lowest(boot)
        if boot not in self.backlog.boots() or last < lowest:
            raise CommandError("nothing of that is held any more")
        self.uplink.again()
        return "done", "from %d on" % max(lowest, args["first"])


def main(root, etc="/etc", data="/data"):
    """Run on the board until the end of days, or until something is so wrong that only a restart helps."""
    from qytet_node.hardware import Hardware

    asyncio.run(App(Hardware, root, etc, data).run())
