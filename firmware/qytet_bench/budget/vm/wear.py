"""For the VM: what a record costs the flash: the node's own backlog on littlefs, on a flash that counts its erases.

The argument is a JSON file: flash (a file to make), blocks, records, keys (of each). The mark of a record comes when
the next one is made, as on a good line. Prints a JSON value: erases in all, of the block most worn, bytes written.
"""

import json
import sys

import flashfile
import vfs
from qytet_node.app import Backlog

_EVERY_MS = 60000
_START = 1780000000000


def main():
    """Keep the records, let each go, count."""
    with open(sys.argv[1]) as file:
        given = json.load(file)
    flash = flashfile.Flash(given["flash"], given["blocks"])
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/data")
    backlog = Backlog("/data/backlog", "0badcafe", 1200000)
    begun, written = flash.total(), flash.written
    for number in range(given["records"]):
        m = {key: number % 90 + place / 7 for place, key in enumerate(given["keys"])}
        up = number * _EVERY_MS
        backlog.append(_START + up, up, "ntp", m)
        if number:
            backlog.stored("0badcafe", number)
    said = {"erases": flash.total() - begun, "written": flash.written - written, "most": flash.most()}
    print(json.dumps(said))


main()
