"""Checks of what the gateway is wired to: serial ports, pins, I2C, and whether its user may use them."""

import os
from collections.abc import Iterator
from pathlib import Path

from qytet.doctor.finding import Finding, ok, problem, warning
from qytet_edge.doctor.scene import Scene, SerialPort, group_name

__all__ = ["pins", "serial"]

_USES_PINS = ("pulses", "contact", "gpio", "pwm")


def serial(scene: Scene) -> Iterator[Finding]:
    """Each serial port that is there, and each that the configuration names."""
    there = scene.ports()
    wanted = _wanted(scene)
    for port in there:
        if not any(_same(port.device, name) for name in wanted):
            yield ok(f"{port.device} is there ({_described(port)}); no source uses it")
    for name, users in wanted.items():
        yield from _port(scene, name, ", ".join(users), there)


def pins(scene: Scene) -> Iterator[Finding]:
    """Pins and I2C buses that the configuration names."""
    plugins = (*scene.config.sources, *scene.config.outputs)
    if any(getattr(one, "kind", "") in _USES_PINS for one in plugins):
        chips = sorted((scene.root / "dev").glob("gpiochip*"))
        if not chips:
            yield problem(
                "there are no GPIO pins (/dev/gpiochip0)",
                "This is no Raspberry Pi, or its kernel does not offer them; remove what uses pins.",
            )
        for chip in chips[:1]:
            yield from _permitted(scene, chip, "pins")
    for bus in sorted({str(getattr(one, "bus", 1)) for one in plugins if getattr(one, "kind", "") == "i2c"}):
        path = scene.root / "dev" / f"i2c-{bus}"
        if path.exists():
            yield from _permitted(scene, path, "sensors on this bus")
        else:
            yield problem(
                f"the I2C bus {path} is not there",
                "Switch it on: sudo raspi-config nonint do_i2c 0, then restart the Pi.",
            )


def _wanted(scene: Scene) -> dict[str, list[str]]:
    """Serial ports of the configuration, with the names of what uses them."""
    found: dict[str, list[str]] = {}
    for one in (*scene.config.sources, *scene.config.outputs):
        port = getattr(one, "port", None)
        if isinstance(port, str | Path) and str(port).startswith("/"):
            found.setdefault(str(port), []).append(one.name)
    return found


def _port(scene: Scene, name: str, users: str, there: list[SerialPort]) -> Iterator[Finding]:
    path = Path(name)
    if not path.exists():
        choice = "; ".join(f"{port.stable or port.device} ({port.description})" for port in there)
        yield problem(
            f"{name} is not there ({users})",
            f"Plug the adapter in, or set `port` to one that is there: {choice}."
            if choice
            else "Plug the adapter in; dmesg shows whether the kernel sees it.",
        )
        return
    known = next((port for port in there if _same(port.device, name)), None)
    if known and known.stable and name == known.device and "USB" in name:
        yield warning(
            f"{name} may be another adapter after the next start ({users})",
            f"Set `port` to the name that stays: {known.stable}.",
        )
    if _is_console(scene, path):
        yield problem(
            f"{name} is Linux's own console ({users})",
            "Free it: sudo raspi-config nonint do_serial_cons 1, then restart the Pi.",
        )
    holders = _holders(scene, path)
    simulated = path.resolve().is_relative_to(scene.root / "dev/pts")  # then the instrument holds both ends
    if holders and not ((scene.running or simulated) and all("qytet" in holder for holder in holders)):
        yield problem(
            f"{name} is in use by {', '.join(holders)} ({users})",
            "End that program, or give it another port.",
        )
    yield from _permitted(scene, path, users)


def _permitted(scene: Scene, path: Path, users: str) -> Iterator[Finding]:
    try:
        allowed = scene.user.may_use(path)
        group = group_name(path.stat().st_gid)
    except OSError as error:
        yield problem(f"{path} cannot be looked at: {error.strerror}", "Plug it in again.")
        return
    if allowed:
        yield ok(f"{path} is there, and {scene.user.name} may use it ({users})")
    else:
        yield problem(
            f"{scene.user.name} may not use {path} ({users})",
            f"sudo usermod -aG {group} {scene.user.name}, then restart the gateway (or log in again).",
        )


def _is_console(scene: Scene, path: Path) -> bool:
    try:
        words = (scene.root / "proc/cmdline").read_text().split()
    except OSError:
        return False
    name = path.resolve().name
    aliases = {"serial0": (scene.root / "dev/serial0").resolve().name}
    consoles = [word.removeprefix("console=").split(",")[0] for word in words if word.startswith("console=")]
    return name in [aliases.get(console, console) for console in consoles]


def _holders(scene: Scene, path: Path) -> list[str]:
    """Programs that hold the port open, as far as we may see: all of them as root, else our own."""
    target, found = path.resolve(), set()
    for folder in (scene.root / "proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            if any(link.resolve() == target for link in (folder / "fd").iterdir()):
                found.add(_program(folder))
        except OSError:
            continue  # it is not ours, or it has ended
    return sorted(found)


def _program(folder: Path) -> str:
    words = (folder / "cmdline").read_bytes().split(b"\0")
    name = b" ".join(Path(os.fsdecode(word)).name.encode() for word in words[:3] if word)
    return name.decode("utf-8", "replace") or f"process {folder.name}"


def _described(port: SerialPort) -> str:
    words = [word for word in (port.description, port.stable) if word and word != "n/a"]
    return ", ".join(words) or "a port of the board"


def _same(first: str, second: str) -> bool:
    return Path(first).resolve() == Path(second).resolve()
