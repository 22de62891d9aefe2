"""The node's line to the city: connects for ever, sends live records first and the backlog behind, obeys the marks.

    network up -> time known -> connected -> birth, state -> live records and backfill, until something breaks

What is sent stays in the backlog until the server's `stored` mark covers it. If marks stay away although all was sent,
the backfill begins anew: a record that comes twice is counted by the server and changes nothing.
"""

import asyncio
import random

from qytet_node.lent import lent
from qytet_node.mqtt import Client, Lost, Refused
from qytet_node.records import hist, mark, obs

LIVE = 16
"""Live records that wait in memory; what does not fit is sent from the flash."""
HIST_ROWS, HIST_BYTES = 20, 3000
RETRY_FIRST_S, RETRY_LAST_S = 1, 120
RESEND_FIRST_MS, RESEND_LAST_MS = 120000, 3600000
"""How long marks may stay away before everything is sent again; doubled while they do."""
LOOK_MS = 50
"""How soon a record that is made is seen."""
ANSWERS = LOGS = 8
_LONGEST_ID = 64
"""Of a command (contract)."""
_INTRODUCTION = ("", "", "")
"""Among the answers: say birth and state again (`introduction.py`)."""


class Uplink:
    """`link` brings the network up and opens the stream (`wifi.Wifi`); `timekeeper()` is awaited until time is known.

    `about` is the node's identity: city, device, user, password, fw, board, and ds, a function that gives rows of key
    and unit as JSON.
    `on_command(id, payload)` must be quick; answers come through `answer`.
    """

    def __init__(self, about, link, clock, backlog, on_command, timekeeper, hist_every_ms=1000):
        from qytet_contract import topics

        self.prefix = topics.topic(about["city"], about["device"], "")
        self._about, self._link, self._clock, self.backlog = about, link, clock, backlog
        self._on_command, self._timekeeper = on_command, timekeeper
        self._hist_every = hist_every_ms
        self._live, self.answers, self._logs = [], [], []
        self._awake = False
        self._marked_at = self._hist_at = 0
        self._resend_after = RESEND_FIRST_MS
        self._live_from = 1
        self.told = 0
        self.online = False
        self.failures = 0
        self.attempts = 0
        self.why = ""
        self.progress_at = 0
        self.online_at = 0
        self.overflowed = 0
        self.confirmed = 0

    # ---- what others hand over

    def offer(self, seq, one):
        """A record that is durable: it will be sent as soon as there is a connection."""
        if not self.online:
            return  # the backfill of the next connection sends it
        if len(self._live) < LIVE:
            self._live.append((seq, one))
            self._awake = True
        else:
            self.overflowed += 1
            self._live_from = seq + 1  # the backfill goes that far; what it sends a second time does no harm

    def answer(self, ident, state, why=""):
        """An answer to a command, to be sent before anything else; the oldest goes when there are too many."""
        _bounded(self.answers, ANSWERS)
        self.answers.append((ident, state, why))
        self._awake = True

    def introduce(self):
        """Send birth and state again (the command `rebirth`)."""
        if _INTRODUCTION not in self.answers:
            self.answers.append(_INTRODUCTION)
        self._awake = True

    def again(self):
        """Send everything that is held and not confirmed once more (the command `resend`)."""
        self._begin_anew()  # what waits live stays: one of it may be on its way
        self._awake = True

    @property
    def speaks_up(self):
        """Whether there are answers that wait for a connection that is there."""
        return self.online and bool(self.answers)

    def log(self, up, level, text):
        """A line for the city's log; kept while there is no connection, the oldest goes when there are too many."""
        _bounded(self._logs, LOGS)
        self._logs.append((up, level, text))
        self._awake = True

    # ---- the loop

    async def run(self):
        """Connect and send for ever; every way in which a connection can end leads back to the beginning."""
        wait = RETRY_FIRST_S
        while True:
            self._progress()
            self.attempts += 1
            began = self.online_at
            try:
                await self._once()
            except (
                Exception
            ) as error:  # whatever it was, the next attempt may go better, and nobody else tries
                self.why = str(error) or type(error).__name__
                if self.online_at != began and self._clock.up() - self.online_at > 60000:
                    wait = RETRY_FIRST_S  # the connection held
                elif isinstance(error, Refused):
                    wait = RETRY_LAST_S  # a wrong password does not become right by asking often
            self.failures += 1
            # Jitter, so that a street of nodes does not come back in one moment.
            await asyncio.sleep_ms(int(wait * 1000 * (0.5 + random.getrandbits(10) / 1024)))
            wait = min(wait * 2, RETRY_LAST_S)

    async def _once(self):
        await self._link.up()
        self._progress()
        await self._timekeeper()
        self._progress()
        about = self._about
        will = (self.prefix + "state", lent("messages").state(self.backlog.boot, "lost"), True)
        client = Client(self._link.open, about["device"], about["user"], about["password"], will=will)
        try:
            await client.connect()
            reading = asyncio.create_task(self._listen(client))
            try:
                await self._speak(client)
            finally:
                reading.cancel()
                try:
                    await reading
                except asyncio.CancelledError:
                    pass
        finally:
            self.online = False
            self._live.clear()
            await client.close()

    async def _listen(self, client):
        """Take what comes in until the connection ends, then wake the speaker, who would find out later."""
        try:
            await client.run(self._take)
        except Exception as error:
            self.why = str(error) or type(error).__name__
        await client.close()
        self._awake = True

    async def _speak(self, client):
        await client.subscribe((self.prefix + "stored", self.prefix + "cmd/+"))
        await self._introduce(client)
        self._begin_anew()  # from here on without a pause until `online`: no record may fall in between
        self.online = True
        self.online_at = self._clock.up()
        self.failures = 0
        while True:
            if not client.connected:
                raise Lost(self.why or "the connection ended")
            self._progress()
            await self._speak_once(client)

    async def _speak_once(self, client):
        """Say one thing, the most urgent."""
        if self.answers:
            await lent("introduction").answer(self, client, self._about)
        elif self._live:
            await client.publish(self.prefix + "obs", obs(self.backlog.boot, self._live[0][1]))
            self._live.pop(0)
        elif self._logs:
            line = lent("messages").log(self.backlog.boot, *self._logs.pop(0))
            await client.publish(self.prefix + "log", line, qos=0)
        elif self.told != self.backlog.dropped:
            await lent("introduction").tell_lost(self, client)
        elif not await self._send_old(client):
            await self._rest()

    def _begin_anew(self):
        """Send everything that is not confirmed from the flash, and what is made from now on live."""
        self.backlog.rewind()
        self._live_from = self.backlog.seq + 1
        self._marked_at = self._clock.up()

    def _introduce(self, client):
        return lent("introduction").introduce(self, client, self._about)

    async def _send_old(self, client):
        """One batch of the backlog, if it is time for one; tells whether there may be more."""
        wait = self._hist_at + self._hist_every - self._clock.up()
        if wait > 0:
            await self._pause(wait)
            return True
        found = self.backlog.backfill(HIST_ROWS, HIST_BYTES, self._live_from)
        if found is None:
            return False
        boot, rows = found
        await client.publish(self.prefix + "hist", hist(boot, self.backlog.lowest(boot), rows))
        self._hist_at = self._clock.up()
        return True

    async def _rest(self):
        """Nothing to send: wait for something, look after marks that stay away."""
        await self._pause(min(5000, self._resend_after))
        if not self.backlog.depth:
            self._marked_at = self._clock.up()
        elif self._clock.up() - self._marked_at > self._resend_after:
            self._resend_after = min(self._resend_after * 2, RESEND_LAST_MS)
            self._begin_anew()

    async def _pause(self, ms):
        """Wait for something to say: an event with a time limit would take a task of its own, for ever."""
        until = self._clock.up() + ms
        while not self._awake and self._clock.up() < until:
            await asyncio.sleep_ms(LOOK_MS)
        self._awake = False

    def _progress(self):
        self.progress_at = self._clock.up()

    # ---- what comes in

    def _take(self, topic, payload):
        """A message from the server; what makes no sense is left alone, as the next one may."""
        if not topic.startswith(self.prefix):
            return
        kind, _, ident = topic[len(self.prefix) :].partition("/")
        if kind == "stored":
            self._mark(payload)
        elif kind == "cmd" and 0 < len(ident) <= _LONGEST_ID and "/" not in ident:
            self._on_command(ident, payload)

    def _mark(self, payload):
        found = mark(payload)
        if found is None:
            return
        boot, seq = found
        before = self.backlog.depth
        self.backlog.stored(boot, seq)
        if boot == self.backlog.boot:
            self.confirmed = max(self.confirmed, min(seq, self.backlog.seq))
        if self.backlog.depth < before:
            self._marked_at = self._clock.up()
            self._resend_after = RESEND_FIRST_MS


def _bounded(queue, most):
    while len(queue) >= most:
        queue.pop(0)
