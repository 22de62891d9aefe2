"""Makes the pictures of the technician's tutorial: what the commands really say, from blank board to accepted node.

Usage: make pictures

Runs the end-to-end test (a simulated board, everything behind it real), and draws what its commands printed as SVG.
Times and ports differ each time, so nothing compares the pictures; make them anew when the commands say something else.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/tutorials/pictures"
TEST = "tests/nodes/test_end_to_end.py"
SHOWN = ("flash", "monitor", "test", "label")
_WIDTH = 112
_STYLES = {
    "ok  ": "green",
    "skip": "yellow",
    "...": "dim",
    "warning": "yellow",
    "error": "red",
    "  = ": "cyan",
}
_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own, without the font that it would fetch from elsewhere."""


def main() -> int:
    """Run the test, draw, and say what was written."""
    with tempfile.TemporaryDirectory(prefix="qytet-pictures-") as folder:
        command = [sys.executable, "-m", "pytest", "-q", "--basetemp", f"{folder}/run", TEST]
        subprocess.run(command, cwd=ROOT, check=True)
        found = next(Path(folder).glob("run/*/transcript.json"))
        transcript = json.loads(found.read_text())
    PICTURES.mkdir(exist_ok=True)
    for command_line, said in transcript:
        name = command_line.split()[2]
        if name in SHOWN:
            path = PICTURES / f"{name}.svg"
            path.write_text(picture(command_line, said))
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


def picture(command_line: str, said: str) -> str:
    """The SVG of a terminal with a command and its words."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=_WIDTH, file=nowhere)
        console.print(Text("$ ", style="bold green").append(command_line, style="bold"), soft_wrap=False)
        for line in said.rstrip().splitlines():
            console.print(_styled(line))
        return console.export_svg(
            title="qytet bench", theme=MONOKAI, code_format=_FORMAT, unique_id="terminal"
        )


def _styled(line: str) -> Text:
    """The colours that a terminal would have had."""
    found = next(
        (style for word, style in _STYLES.items() if re.match(rf"[\d:. ]*{re.escape(word)}", line)), ""
    )
    return Text(line, style=found)


if __name__ == "__main__":
    sys.exit(main())
