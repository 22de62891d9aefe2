"""For the VM: a board's flash on which the node's own main.py, slots and updates live; the power may fail at any write.

The program in the slots is small (`ota_app.py`) but for the modules that update it, which are the real ones. The city
is here: it gives orders until they are answered, and stores what the program sends, if the program sends anything.
An uptime is virtual; only `World._life` lets it pass.
"""
# MicroPython has no pathlib.
# ruff: noqa: PTH102, PTH116, PTH123

import asyncio
import gc
import json
import os
import random
import sys

import vfs
from cutflash import Flash

STEP_MS, MINUTE_MS = 1000, 60000
LONGEST_MS = 4 * 60 * MINUTE_MS
MOST_BOOTS = 40
_BLOCK = 1024
_yield = asyncio.sleep_ms


class Reset(BaseException):
    """The chip begins anew."""


class Pause:
    """A module `time` in which nobody waits."""

    @staticmethod
    def sleep(_s):
        if world.types_at == "pause":
            raise KeyboardInterrupt


class Machine:
    """A module `machine`: a reset ends the life, watchdogs are remembered."""

    @staticmethod
    def WDT(timeout):  # noqa: N802 - MicroPython's name
        if world.types_at == "no dog":
            raise OSError(19)
        world.watchdogs.append(timeout)

    @staticmethod
    def reset():
        raise Reset


class World:
    """A board and a city; `given`: main, key, settings, slots (version -> [[path, host's path]]), bundles."""

    def __init__(self, given):
        self.given = given
        with open(given["main"]) as file:
            self.main = compile(file.read(), "main.py", "exec")
        self.slots = {name: [(p, _content(h)) for p, h in rows] for name, rows in given["slots"].items()}
        self.bundles = {name: _content(path) for name, path in given["bundles"].items()}
        self.watchdogs = []
        vfs.umount("/")  # from here on the host's files are out of reach
        self._image = self._blank()

    # ---- the flash

    def _blank(self):
        """A new board with version 0.1.0 in slot a."""
        self.flash = Flash(self.given["blocks"], _rand, _BLOCK)
        vfs.VfsLfs2.mkfs(self.flash)
        self.mount()
        for folder in ("/etc", "/data", "/a", "/a/qytet_node", "/a/qytet_contract"):
            os.mkdir(folder)
        self.fill("/a", "0.1.0")
        self.put("/slot.json", b'{"run":"a","trial":null,"left":0}')
        self.put("/etc/update.key", self.given["key"].encode())
        self.put("/etc/node.json", json.dumps(self.given["settings"]).encode())
        vfs.umount("/")
        return bytes(self.flash.data)

    def again(self):
        """A new board, and a city that knows nothing of it."""
        self.flash.forget()
        self.flash = Flash(0, _rand, _BLOCK)
        self.flash.count, self.flash.data = len(self._image) // _BLOCK, bytearray(self._image)
        self.flash.erases = [0] * self.flash.count
        self.mount()
        self.orders, self.answers, self.lives = {}, {}, []
        self.muted, self.types_at, self.broken = (), "", []
        self.settled = self.ends_anyway = False
        del self.watchdogs[:]
        gc.collect()

    def mount(self):
        try:
            vfs.umount("/")
        except OSError:
            pass
        vfs.mount(vfs.VfsLfs2(self.flash), "/")

    def put(self, path, content):
        with open(path, "wb") as file:
            file.write(content)

    def fill(self, root, version):
        """A slot with this version."""
        for path, content in self.slots[version]:
            self.put(root + "/" + path, content)

    def state(self):
        with open("/slot.json") as file:
            return json.load(file)

    # ---- the city

    def order(self, ident, name, args):
        self.orders[ident] = json.dumps({"v": 1, "cmd": name, "exp": 1 << 50, "args": args})

    def answer(self, ident, state, why=""):
        if self.flash.off:
            return
        before = self.answers.get(ident)
        if before is not None and before[0] != "accepted" and before != (state, why):
            self.broken.append(("two answers", ident, before, state, why))
        self.answers[ident] = (state, why)
        if state != "accepted":
            self.orders.pop(ident, None)

    # ---- the board

    def boot(self):
        """From reset to reset, or to the prompt."""
        sys.path[:] = ["", ".frozen", "/lib"]
        asyncio.new_event_loop()
        try:
            exec(self.main, {"__name__": "__main__"})
        except Reset:
            return "reset"
        return "prompt"

    def until_settled(self, cuts=()):
        """Boot again and again, with the power failing after so many operations each, until nothing is left to do."""
        cuts = list(cuts)
        self._cut_next(cuts)
        for _ in range(MOST_BOOTS):
            assert self.boot() == "reset"
            assert not self.broken, self.broken
            if self.flash.off:
                self._power_again()
                self._cut_next(cuts)
                self.mount()
                self._startable_is_whole()
            elif self.settled:
                return
        raise AssertionError(("never settled", self.lives, self.answers))

    def _power_again(self):
        dead, self.flash = self.flash, self.flash.after_cut()
        dead.forget()
        asyncio.new_event_loop()
        gc.collect()

    def _cut_next(self, cuts):
        self.flash.cut_at = self.flash.operations + cuts.pop(0) if cuts else None

    def whole(self, version, root):
        """A slot must hold this version, byte for byte."""
        for path, content in self.slots[version]:
            with open(root + "/" + path, "rb") as file:
                assert file.read() == content, (version, root, path)

    def _startable_is_whole(self):
        """Whatever could be imported as a program is a whole version, also in the slot that does not run."""
        for root in ("/a", "/b"):
            try:
                os.stat(root + "/qytet_node/app.mpy")
            except OSError:
                continue
            assert any(self._is(version, root) for version in self.slots), (
                root + " could be started and is not whole"
            )

    def _is(self, version, root):
        try:
            self.whole(version, root)
        except (AssertionError, OSError):
            return False
        return True

    # ---- the program, called by `ota_app.py`

    def live(self, version, root, named, kind):
        """One life of a version's program."""
        if self.flash.off:
            raise Reset
        self.lives.append((version, root[-1], named))
        self.whole(version, root)
        if kind == "crash":
            raise TypeError("broken")
        if kind == "hang" or self.types_at == "run":
            raise Reset if kind == "hang" else KeyboardInterrupt
        if kind == "exit":
            raise SystemExit
        if kind == "end":
            return
        asyncio.run(self._life(Node(root, named), kind))
        raise Reset

    async def _life(self, node, kind):
        from qytet_node import ota

        ota.register(node)
        for name in ("update", "network"):
            node.commands.register(name, ota.Ota(node).handler(name))
        running = [asyncio.create_task(node.for_ever(part)) for _, part in node.tasks]
        while not node.ended and not self.flash.off and not self.settled:
            await _yield(0)
            node.ms += STEP_MS
            node.seq = node.ms // MINUTE_MS
            if kind != "numb":
                node.measured = node.seq
            if kind != "mute" and node.named not in self.muted:
                self._speak(node)
            assert node.ms < LONGEST_MS, ("nothing ends this life", self.lives, self.answers)
        for task in running:
            task.cancel()

    def _speak(self, node):
        """The node is online: the city stores what it sent, and says what it wants."""
        node.confirmed = node.seq
        for ident, payload in list(self.orders.items()):
            if node.ms % MINUTE_MS == 0:
                node.commands.take(ident, payload)
        if not self.orders and (self.ends_anyway or self.state()["trial"] is None):
            self.settled = True


class Node:
    """What `ota` sees of the application."""

    def __init__(self, root, named):
        from qytet_node.commands import Commands

        self.root, self.named, self.etc = root, named, "/etc"
        self.clock = self.uplink = self.backlog = self.journal = self.link = self.sampler = self
        self.context = None
        self.ms = self.seq = self.confirmed = self.measured = 0
        self.report_s = 60
        self.ended = False
        self.tasks = []
        self.answer = world.answer
        self.commands = Commands("/data/commands.json", lambda: 1 << 40, world.answer)
        asyncio.sleep_ms = self._sleep_ms

    def up(self):
        return self.ms

    def info(self, text):
        pass

    error = info

    async def restart(self, why):
        self.ended = True
        await asyncio.Event().wait()

    async def for_ever(self, part):
        while not world.flash.off:
            try:
                if await part():
                    return
            except Exception as error:  # noqa: BLE001 - as the application does
                if not world.flash.off:
                    world.broken.append(str(error))
            await self._sleep_ms(5000)

    async def _sleep_ms(self, ms):
        until = self.ms + ms
        await _yield(0)
        while self.ms < until:
            await _yield(0)


def make(given):
    """The one world."""
    global world
    world = World(given)
    world.Reset = Reset
    for name, module in (("time", Pause), ("machine", Machine), ("world", world)):
        sys.modules[name] = module
    return world


def _content(path):
    with open(path, "rb") as file:
        return file.read()


def _rand(n):
    return random.getrandbits(16) % n


world = None
