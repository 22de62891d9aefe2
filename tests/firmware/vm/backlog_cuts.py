"""For the VM: a node's life with a backlog, cut off at one flash operation after another, and what must still hold.

Arguments: seed, first cut, cuts. Prints one line of JSON: what happened, or raises.
"""

import gc
import json
import random
import sys

import vfs
from cutflash import Flash
from qytet_node.backlog import Backlog, FullError
from qytet_node.records import hist, seq_of

seed, first, cuts = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


class Server:
    """What a server knows: by boot, the numbers that came and those said to be lost."""

    def __init__(self):
        self.got, self.lost = {}, {}

    def take(self, boot, lowest, rows):
        got = self.got.setdefault(boot, {})
        self.lost[boot] = max(self.lost.get(boot, 1), lowest)
        for one in rows:
            seq = seq_of(one)
            assert got.get(seq, one) == one, "two different records of one number"
            got[seq] = one

    def mark(self, boot):
        seq, got, lost = 0, self.got.get(boot, {}), self.lost.get(boot, 1)
        while seq + 1 in got or seq + 1 < lost:
            seq += 1
        return seq


def mounted(flash):
    try:
        vfs.umount("/f")
    except OSError:
        pass
    vfs.mount(vfs.VfsLfs2(flash), "/f")


def drain(backlog, server):
    for boot in backlog.boots():
        server.take(boot, backlog.lowest(boot), [])
    while True:
        found = backlog.backfill(7, 900)
        if found is None:
            return
        boot, rows = found
        hist(boot, backlog.lowest(boot), rows)
        server.take(boot, backlog.lowest(boot), rows)
        if random.getrandbits(1):
            backlog.stored(boot, server.mark(boot))


def live(flash, boot, server, kept, cap, small):
    """One boot: records, now and then a drain, until the power goes or it has made enough."""
    mounted(flash)
    backlog = Backlog("/f/data", boot, cap, 1024)
    for number in range(30):
        m = {"pm2_5": number / 10, "vehicle_count:lane1": random.getrandbits(7)}
        try:
            seq, one = backlog.append(None if number < 3 else 1789000000000 + number, number * 1000, "ntp", m)
        except FullError:
            continue
        kept[(boot, seq)] = one
        if random.getrandbits(4 if small else 3) == 0:
            backlog.rewind()
            drain(backlog, server)
            for known in backlog.boots():
                backlog.stored(known, server.mark(known))
        if random.getrandbits(4) == 0:
            backlog.save()
    return backlog.dropped


def settle(flash, server, boot, cap):
    """Power is back for good: everything that is left goes to the server, and the backlog empties."""
    mounted(flash)
    backlog = Backlog("/f/data", boot, cap, 1024)
    for _ in range(4):
        backlog.rewind()
        drain(backlog, server)
        for known in backlog.boots():
            backlog.stored(known, server.mark(known))
    assert backlog.depth == 0, ("left", backlog.depth, backlog.boots())
    assert not backlog.boots(), backlog.boots()
    assert backlog.damaged == 0, "a power cut is no damage"
    backlog.close()
    return backlog.dropped


dropped = torn = 0
for cut in range(first, first + cuts):
    random.seed(seed * 100003 + cut)
    small = cut % 3 == 0  # every third life has too little room
    flash = Flash(24 if small else 48, lambda n: random.getrandbits(16) % n, 512 if small else 1024)
    vfs.VfsLfs2.mkfs(flash)
    cap = 1500 if small else 30000
    server, kept = Server(), {}
    boot = 0
    flash.cut_at = flash.operations + cut
    while boot < 3:
        boot += 1
        try:
            live(flash, "%08x" % boot, server, kept, cap, small)
        except OSError as error:
            if not flash.off:
                raise AssertionError("an error without a power cut") from error
            torn += 1
            flash = flash.after_cut()
            flash.cut_at = flash.operations + 1 + random.getrandbits(8) if boot < 2 else None
    flash = flash.after_cut()
    counted = settle(flash, server, "%08x" % 99, cap)
    missing = [key for key in kept if key[1] not in server.got.get(key[0], {})]
    for boot_seq in missing:
        assert boot_seq[1] < server.lost.get(boot_seq[0], 1), ("lost and not told", cut, boot_seq)
    for key, one in kept.items():
        assert server.got.get(key[0], {}).get(key[1], one) == one, "not what was made"
    assert len(missing) <= counted, ("lost and not counted", cut, len(missing), counted)
    if not small:
        assert not missing, ("lost with room to spare", cut, missing)
    dropped += counted
    gc.collect()
print(json.dumps({"cuts": cuts, "torn": torn, "dropped": dropped}))
