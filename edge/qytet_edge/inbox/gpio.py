"""The Pi's pins through gpiozero: one pin factory for all who use pins, and errors as the operating system's."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qytet.doctor.finding import Finding, ok, problem
from qytet_edge.inbox.kinds import Context

__all__ = ["PIN", "Pins", "check", "pins"]

PIN = r"^([0-9]{1,2}|[A-Z][A-Z0-9]*:?[A-Z0-9]*)$"
"""A BCM number (`17`), or a name that gpiozero knows (`BOARD11`, `J8:11`)."""

Pins = Callable[[], Any]
"""Gives the pin factory, made at the first call (importing gpiozero takes a second on a small Pi)."""


def pins(context: Context) -> Pins:
    """The one factory of this gateway; gpiozero keeps account of who has reserved which pin in it."""
    made: list[Any] = context.shared("gpio pins", list)

    def factory() -> Any:
        if not made:
            made.append(context.pins() if context.pins else _default())
        return made[0]

    return factory


def _default() -> Any:
    from gpiozero import Device

    Device.ensure_pin_factory()
    return Device.pin_factory


@contextmanager
def as_os_errors(what: str) -> Iterator[None]:
    """Turn whatever a pin library raises into an OSError that begins with `what`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{what}: {type(error).__name__}: {error}") from error


def check(context: Context, who: str, pin: str) -> Finding:
    """Whether this pin could be used; claims nothing, as the running gateway may hold it."""
    if context.pins is None and (found := _no_chip(who)):
        return found
    try:
        with as_os_errors(f"{who}: pin {pin}"):
            known = list(pins(context)().board_info.find_pin(pin))
    except OSError as error:
        return problem(f"{error}.", "Install the library for pins: pip install lgpio")
    if not any("gpio" in info.interfaces for _, info in known):
        return problem(f"{who}: {pin} is no pin of this board.", "Give the BCM number, such as pin = 17.")
    return ok(f"{who}: pin {pin} is there.")


def _no_chip(who: str) -> Finding | None:
    chips = list(Path("/dev").glob("gpiochip*"))
    if not chips:
        return problem(f"{who}: this computer has no pins.", "Run the gateway on a Raspberry Pi.")
    if not any(os.access(chip, os.R_OK | os.W_OK) for chip in chips):
        return problem(
            f"{who}: the pins may not be used.", "Add the gateway's user to the group gpio, and restart."
        )
    return None


class InputPin:
    """An input pin, claimed at once; close it when done. Raises OSError."""

    def __init__(self, what: str, factory: Any, pin: str, pull: str, *, active_high: bool) -> None:
        self._what = f"{what}, pin {pin}"
        self._active_high = active_high
        pull_up = {"up": True, "down": False, "none": None}[pull]
        with as_os_errors(self._what):
            from gpiozero import InputDevice

            state = active_high if pull_up is None else None
            self._device = InputDevice(pin, pull_up=pull_up, active_state=state, pin_factory=factory)

    @property
    def active(self) -> bool:
        """Whether the contact is active now."""
        return bool(self._device.is_active)

    def watch(self, listener: Callable[[float, int], None]) -> None:
        """Call `listener(seconds, level)` at each edge, in gpiozero's thread; it is held by a weak reference only.

        The kernel's own debouncing stays off: it would swallow whatever is shorter than its time.
        """
        with as_os_errors(self._what):
            pin = self._device.pin
            pin.bounce = None
            pin.edges = "both"
            pin.when_changed = listener

    def means(self, level: int) -> bool:
        """Whether this level is the active one."""
        return bool(level) == self._active_high

    def close(self) -> None:
        """Let the pin go; no edge is told any more."""
        self._device.pin.when_changed = None
        self._device.close()
