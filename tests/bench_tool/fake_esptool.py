"""Stands in for the program esptool where no chip's protocol is at stake: boards by port in the file FAKE_BOARDS.

{"/dev/ttyA": {"chip": "ESP32", "mac": "…", "size": "4MB", "runs": [what each run ends with, null: well], "argv": […]}}
"""

import json
import os
import sys
from pathlib import Path


def main() -> int:
    state = Path(os.environ["FAKE_BOARDS"])
    boards = json.loads(state.read_text())
    arguments = sys.argv[1:]
    board = boards[arguments[arguments.index("--port") + 1]]
    board.setdefault("argv", []).append(arguments)
    ending = board["runs"].pop(0) if board.get("runs") else None
    state.write_text(json.dumps(boards))
    print("esptool v5.6.0")
    if ending:
        print("\n".join(ending))
        return 2
    print(f"Connected to {board['chip']} on a port:\nChip type:          {board['chip']} (revision v3.1)")
    print(f"MAC:                {board['mac']}")
    if "flash-id" in arguments:
        print(f"Detected flash size: {board['size']}")
    else:
        written(arguments[arguments.index("write-flash") + 1 :])
    return 0


def written(pieces: list[str]) -> None:
    for address, name in zip(pieces[::2], pieces[1::2], strict=True):
        size, at = Path(name).stat().st_size, int(address, 16)
        for done in range(0, size, 0x40000):
            print(f"Writing at {at + done:#010x} ━━━ {100 * done / size:.1f}% [0s]")
        print(f"Wrote {size} bytes ({size // 9} compressed) at {at:#010x} in 0.5 seconds (1 kbit/s).")


if __name__ == "__main__":
    sys.exit(main())
