"""Updates on evidence: the commands `update` and `network`, and the trial of what they bring.

    order -> fetched, checked, written beside -> restart -> on trial -> the city has stored a reading of it -> kept
                                                                    '-> none in time, or in three starts -> back

The answer `done` or `failed` is given when that is settled, not before. What fetches and checks is imported when it
is needed and forgotten afterwards.
"""

import asyncio
import gc
import sys

from qytet_node import VERSION
from qytet_node.commands import CommandError
from qytet_node.slots import ETC, Slots

PROOF_MS = 90000
"""Records made before do not prove a version: the watchdog must have had its chance."""
TRIAL_MS, SETTINGS_MS = 1800000, 600000
"""How long a version, or settings, may run without proof; main.py counts the starts."""
LONGEST_S = 3600
"""Of one download, however busily the server drips."""
_LOOK_MS = 1000
_BIG = ("fetch", "staging", "renewal", "rsa")


def register(app):
    """Add the commands, and end or go on with a trial."""
    Ota(app)


class Ota:
    """The application's updates."""

    def __init__(self, app):
        self._app, self._slots = app, Slots(app.root, app.etc)
        self._busy = False
        app.commands.register("update", self._update)
        app.commands.register("network", self._network)
        if self._slots.tidy(app.named):
            app.tasks.append(("trial", self._trial))
        else:
            self._tell()

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
            if not await self._proven(*((0, SETTINGS_MS) if settings else (PROOF_MS, TRIAL_MS))):
                self._slots.go_back("no reading of it was stored in time")
                await self._app.restart("back to what ran before")
                return
            self._slots.keep()
            self._app.journal.info(("the settings" if settings else VERSION) + " proved good")
            self._tell()
        await asyncio.Event().wait()  # all is settled

    async def _proven(self, from_ms, until_ms):
        """Whether the city stored a record that was made after `from_ms`, before `until_ms` of running."""
        clock, uplink, first = self._app.clock, self._app.uplink, None
        while clock.up() < until_ms:
            if first is None and clock.up() >= from_ms:
                first = self._app.backlog.seq + 1 if from_ms else 1
            if first and uplink.confirmed >= first:
                return True
            await asyncio.sleep_ms(_LOOK_MS)  # marks come when they come, and nobody else waits for them
        return False

    async def _update(self, args, ident):
        url, sha256 = args["url"], args["sha256"]
        if not isinstance(url, str) or not isinstance(sha256, str):
            raise CommandError("url and sha256 are texts")
        return await self._carry_out(ident, lambda: self._stage(url, sha256, ident))

    async def _network(self, args, ident):
        return await self._carry_out(ident, lambda: self._renew(args, ident))

    async def _carry_out(self, ident, act):
        if self._busy or self._slots.read()["trial"]:
            raise CommandError("something else is being tried")
        self._busy = True
        try:
            self._app.uplink.answer(ident, "accepted")
            what = await act()
        finally:
            self._busy = False
            _forget()
        await self._app.restart("to try " + what)
        return "accepted", ""

    async def _stage(self, url, sha256, ident):
        from qytet_node import fetch, staging

        source = fetch.Source(url, self._app.etc)
        try:
            version = await asyncio.wait_for(
                staging.stage(source, self._slots, self._app.etc, sha256, VERSION), LONGEST_S
            )
        except Exception as error:
            self._slots.clear()
            raise CommandError(staging.words(error)) from error
        finally:
            await source.close()
        self._slots.begin(self._slots.other, ident)
        return version

    async def _renew(self, args, ident):
        from qytet_node import renewal

        self._slots.try_settings(renewal.settings(self._app.etc, args), ident)
        return "new settings"


def _forget():
    """Give back the memory of what is needed for an order only."""
    package = sys.modules["qytet_node"]
    for name in _BIG:
        sys.modules.pop("qytet_node." + name, None)
        if hasattr(package, name):
            delattr(package, name)
    gc.collect()
