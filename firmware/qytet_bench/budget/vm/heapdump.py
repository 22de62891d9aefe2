"""For the VM: its heap as it lies in memory, for `dump.py` to weigh in words of 32 bits."""

import gc

import micropython
import uctypes


def write(name):
    """Collect, tell the allocation table between two marks, and write heap and address map beside `name`."""
    gc.collect()
    gc.collect()
    here = uctypes.addressof(bytearray(64))
    with open("/proc/self/maps") as maps, open(name + ".maps", "w") as copy:
        for line in maps:
            copy.write(line)
            low, _, high = line.split(" ")[0].partition("-")
            if int(low, 16) <= here < int(high, 16):
                first, last = int(low, 16), int(high, 16)
    gc.collect()
    print("HEAP " + name)
    micropython.mem_info(1)
    print("END")
    with open(name + ".heap", "wb") as file:
        file.write(first.to_bytes(8, "little"))
        while first < last:
            file.write(uctypes.bytearray_at(first, 4096))
            first += 4096
