"""Runs first in the VM: does what the ESP32 port does from power-on to the program's main.py.

The flash's file system becomes `/`; blank flash gets a new one, a broken one is said so for ever, as on the board.
Until then nothing interrupts: a prompt without the board's files would show those of the machine that it runs on.
"""

import os
import sys

sys.path[:] = [os.getenv("QYTET_SHIMS"), ".frozen"]
import _bench
import esp32
import machine
import network
import onewire
import select
import socket
import time
import vfs


def _mount(offset, size):
    """The partition as the root of all files."""
    part = esp32.Partition("vfs", offset, size, 1, 0x81)
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(part), "/")
    except OSError:
        first = bytearray(256)
        part.readblocks(0, first)
        if first != b"\xff" * 256:
            while True:
                print("The filesystem appears to be corrupted. If you had important data there, you")
                print("may want to make a flash snapshot to try to recover it.")
                time.sleep(3)
        print("Performing initial setup")
        vfs.VfsLfs2.mkfs(part)
        vfs.mount(vfs.VfsLfs2(part), "/")
        with open("boot.py", "w") as file:
            file.write("# This file is executed on every boot (including wake-boot from deepsleep)\n")


def _run(name):
    """Run a script of the root, if there is one, as the main program; its errors are shown, not fatal."""
    try:
        os.stat(name)
    except OSError:
        return
    try:
        execfile(name)
    except SystemExit:
        _bench.ask(_bench.RESET, 1)  # a soft reset, as on the board
    except BaseException as error:  # what ends a script ends in the REPL
        sys.print_exception(error)


def _begin():
    if os.getenv("QYTET_PROBE"):
        import gc

        gc.collect()
        print(gc.mem_alloc())
        raise SystemExit
    main, offset, size = _bench.open_channel()
    _mount(offset, size)
    os.chdir("/")
    try:
        _bench.ask(_bench.WAIT, data=bytes(8))  # until the instant 0: "from here on Ctrl-C may come"
    except KeyboardInterrupt:
        pass
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []
    _run("boot.py")
    if main:
        _run("main.py")


_begin()
