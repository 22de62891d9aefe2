"""Starts the node's program: what is on trial while it has starts left, else what has proved itself.

No update replaces this file, so it copes with whatever it finds: `/slot.json` (see `qytet_node/slots.py`) may be
missing or nonsense, a slot may be damaged. A slot that can run is started; when it ends, for whatever reason but
Ctrl-C, the chip begins anew. After Ctrl-C the prompt is there, and a forgotten board begins anew by itself.
"""

import json
import os
import sys
import time

import machine

STATE = "/slot.json"
SLOTS = ("a", "b")
SETTINGS, TRIED = "node.json", "node.trial.json"
START_MS = 120000
"""Longest start until the application feeds the watchdog itself."""
PROMPT_MS = 600000
PAUSE_S = 5
"""Before a reset, so that somebody at the console can read why, and stop it."""


def read():
    """What /slot.json says; that of a new board if it says nothing that makes sense."""
    try:
        with open(STATE) as file:
            found = json.load(file)
        if found["run"] in SLOTS:
            return found
    except Exception as error:
        print("/slot.json:", error)
    return {"run": "a"}


def write(found):
    """Replace it whole; tells whether that went well."""
    try:
        with open(STATE + ".new", "w") as file:
            json.dump(found, file)
        os.rename(STATE + ".new", STATE)
    except OSError as error:
        print("/slot.json cannot be written:", error)
        return False
    return True


def go_back(found, why):
    """The trial is over."""
    print("back from", found["trial"] + ":", why)
    write({"run": found["run"], "trial": None, "left": 0, "id": found.get("id", ""), "why": why})


def choose():
    """(slot, settings, state); a trial's start is counted before it can fail, and without a count there is none."""
    found = read()
    run, trial, left = found["run"], found.get("trial"), found.get("left")
    if trial == "etc":
        chosen = (run, TRIED, found)
        if not exists("/etc/" + TRIED):  # kept already, the power went before it was written down
            trial = None
    elif trial in SLOTS and trial != run:
        chosen = (trial, SETTINGS, found)
    else:
        trial = None
    if trial:
        if isinstance(left, int) and left > 0:
            found["left"] = left - 1
            if write(found):
                return chosen
        else:
            go_back(found, found.get("why") or "no reading of it was stored, and its starts are used up")
    return run, SETTINGS, {}


def exists(path):
    """Whether there is such a file."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def load(slot):
    """The slot's `main`; nothing of another slot, or of the root, is found by its imports."""
    for name in list(sys.modules):
        if name.startswith("qytet"):
            del sys.modules[name]
    sys.path[:] = ["/" + slot] + [one for one in sys.path if one not in ("", "/a", "/b")]
    from qytet_node.app import main

    return main


def start():
    """Run a slot's program until it ends, which it should not."""
    slot, named, trial = choose()
    try:
        main = load(slot)
    except Exception as error:
        sys.print_exception(error)
        if trial.get("trial") == slot:
            go_back(trial, "it cannot be imported: " + words(error))
            return
        slot, named = SLOTS[slot == "a"], SETTINGS  # damaged, so the older one is better than none
        main = load(slot)
    for done in ("read", "go_back", "choose", "exists", "load"):
        del globals()[done]  # four KB for the program
    try:
        main("/" + slot, named)
    except Exception as error:
        if trial:
            trial["why"] = "it crashed: " + words(error)
            write(trial)
        raise


def words(error):
    """What is told the city."""
    return (type(error).__name__ + " " + str(error))[:100]


def watch(ms):
    """From now on the chip begins anew after so long without food; a new limit replaces the one before."""
    try:
        machine.WDT(timeout=ms)
    except Exception as error:
        print("no watchdog:", error)


def run():
    """Start, and begin anew after any end."""
    watch(START_MS)
    try:
        start()
        print("the program ended")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.print_exception(error)
    print("restart in", PAUSE_S, "s")
    time.sleep(PAUSE_S)
    machine.reset()


try:
    run()
except KeyboardInterrupt:
    watch(PROMPT_MS)
    print("stopped; the board starts again after Ctrl-D, or by itself in", PROMPT_MS // 60000, "minutes")
