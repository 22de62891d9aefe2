"""Updates on evidence: the commands `update` and `network`, and the trial of what they bring.

    order -> fetched, checked, written beside -> restart -> on trial -> the city has stored a reading of it -> kept
                                                                    '-> none in time, or in three starts -> back

The answer `done` or `failed` is given when that is settled, not before. What fetches and checks is imported when it
is needed and forgotten afterwards.
"""

import asyncio
import gc

from qytet_node import VERSION
from qytet_node.commands import CommandError
from qytet_node.lent import lent
from qytet_node.slots import ETC, Slots

PROOF_MS = 90000
"""Readings made before do not prove a version: the watchdog must have had its chance."""
TRIAL_MS, SETTINGS_MS = 1800000, 600000
"""How long a version, or settings, may run without proof; main.py counts the starts."""
LONGEST_S = 3600
"""Of one download, however busily the server drips."""
_LOOK_MS = 1000
OVER = "over"
"""What a part of the application gives back that need not be begun anew."""


def register(app):
    """At the start: end or go on with a trial."""
    app.trying = False
    Ota(app).begin()


class Ota:
    """The application's updates; in memory during a trial and while an order is carried out."""

    def __init__(self, app):
        self._app, self._slots = app, Slots(app.root, app.etc)

    def handler(self, name):
        """What carries out a command."""
        return self._update if name == "update" else self._network

    def begin(self):
        """Go on with a trial, or tell how the last one ended."""
        try:
            if self._slots.tidy(self._app.named):
                self._app.tasks.append(("trial", self._trial))
            else:
                self._tell()
        except OSError as error:  # a flash that takes nothing must not keep the node from running
            self._app.journal.error("no account of updates: error " + str(error.errno))

    def _tell(self):
        """Answer the orders that are settled; whatever else had begun was cut off by a restart."""
        state, commands = self._slots.read(), self._app.commands
        for name in ("update", "network"):
            for ident in commands.begun(name):
                if ident != state["id"]:
                    commands.finish(ident, "failed", "a restart came in between")
                elif state["why"]:
                    commands.finish(ident, "failed", state["why"])
                else:
                    commands.finish(ident, "done", VERSION)

    async def _trial(self):
        state = self._slots.read()
        if state["trial"]:
            settings = state["trial"] == ETC
            if not await (self._reached(1, SETTINGS_MS) if settings else self._proven()):
                self._slots.go_back("no reading of it was stored in time")
                await self._app.restart("back to what ran before")
                return None
            self._slots.keep()
            self._app.journal.info(("the settings" if settings else VERSION) + " proved good")
            self._tell()
        return OVER

    async def _proven(self):
        """Whether the city stores a report with a measured value in time; health alone, or nulls, prove no version."""
        app, sampler, before = self._app, self._app.sampler, None
        until = max(TRIAL_MS, PROOF_MS + 2000 * sampler.report_s)
        while app.clock.up() < until:
            if app.clock.up() >= PROOF_MS:
                now = sampler.measured, app.backlog.seq
                if before and now[0] > before[0] and now[1] > before[1]:
                    return await self._reached(now[1], until)
                before = before or now
            await asyncio.sleep_ms(_LOOK_MS)
        return False

    async def _reached(self, seq, until):
        """Whether the city has stored this boot's record `seq` before `until` ms of running."""
        while self._app.uplink.confirmed < seq:
            if self._app.clock.up() >= until:
                return False
            await asyncio.sleep_ms(_LOOK_MS)  # marks come when they come, and nobody else waits for them
        return True

    async def _update(self, args, ident):
        url, sha256 = args["url"], args["sha256"]
        if not isinstance(url, str) or not isinstance(sha256, str):
            raise CommandError("url and sha256 are texts")
        return await self._carry_out(ident, lambda: self._stage(url, sha256, ident))

    async def _network(self, args, ident):
        return await self._carry_out(ident, lambda: self._renew(args, ident))

    async def _carry_out(self, ident, act):
        if self._app.trying or self._slots.read()["trial"]:
            raise CommandError("something else is being tried")
        self._app.trying = True
        try:
            self._app.uplink.answer(ident, "accepted")
            what = await act()
        finally:
            self._app.trying = False
            gc.collect()
        await self._app.restart("to try " + what)
        return "accepted", ""

    async def _stage(self, url, sha256, ident):
        fetch, staging = lent("fetch"), lent("staging")
        source = fetch.Source(url, self._app.etc, self._app.link.context)
        try:
            version = await asyncio.wait_for(
                staging.stage(source, self._slots, self._app.etc, sha256, VERSION), LONGEST_S
            )
        except Exception as error:
            self._slots.clear()
            raise CommandError(staging.words(error))
        finally:
            await source.close()
        self._slots.begin(self._slots.other, ident)
        return version

    async def _renew(self, args, ident):
        self._slots.try_settings(lent("renewal").settings(self._app.etc, args), ident)
        return "new settings"
