"""Scenario files: which faults befall which devices, and when.

A scenario is TOML. Times are seconds of the simulated clock since the run began::

    name = "a bad day"
    about = "one sentence"
    seed = 7                      # which devices and instants chance picks

    [[fault]]
    kind = "offline"
    devices = ["tirana-air-*"]    # patterns as in a shell; default all
    share = 0.5                   # of the matching devices; default 1
    from_s = 30                   # default 0
    to_s = 90                     # default for ever

Kinds and their own keys:

    stuck        keys: the first value in the window is repeated
    spike        keys, size, chance: now and then a value is off by `size` (either way)
    drift        keys, per_hour: a value creeps away
    clock_step   step_s: the clock is wrong by so much (moved by up to 99 ms, so that no stamp meets an earlier one)
    clock_unset  the clock is not set: records carry no time
    reboot       every_s, down_s, unset_s: restart at from_s (and every so often until to_s), silent for `down_s`,
                 without time for `unset_s`
    offline      batch: records are kept, and sent as backfill when the window ends
    duplicate    chance: a record is sent twice
    reorder      depth: records leave shuffled within so many
    garbage      chance: a malformed message goes out beside the record
"""

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from qytet.errors import InputError
from qytet_simulators.faults.luck import chance

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Patterns = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class ScenarioError(InputError):
    """A scenario file cannot be read or asks for something impossible."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """What all faults have in common."""

    devices: Patterns = ("*",)
    share: Share = 1.0
    from_s: Seconds = 0.0
    to_s: Seconds | None = None

    def active(self, elapsed_ms: int) -> bool:
        """Whether an instant, in ms since the run began, lies in the window."""
        return self.from_s * 1000 <= elapsed_ms and (self.to_s is None or elapsed_ms < self.to_s * 1000)


class ValueFault(Fault, frozen=True):
    """Changes what is measured, in the datastreams that ``keys`` match."""

    keys: Patterns = ("*",)


class Stuck(ValueFault, frozen=True, tag="stuck"):
    """A value that no longer moves."""


class Spike(ValueFault, frozen=True, kw_only=True, tag="spike"):
    """A value that now and then leaps."""

    size: Positive
    chance: Share = 0.02


class Drift(ValueFault, frozen=True, kw_only=True, tag="drift"):
    """A value that creeps away."""

    per_hour: float


class ClockStep(Fault, frozen=True, kw_only=True, tag="clock_step"):
    """A clock that is wrong by a constant."""

    step_s: float


class ClockUnset(Fault, frozen=True, tag="clock_unset"):
    """A clock that was never set."""


class Reboot(Fault, frozen=True, tag="reboot"):
    """A device that restarts."""

    every_s: Positive | None = None
    down_s: Seconds = 0.0
    unset_s: Seconds = 0.0


class Offline(Fault, frozen=True, tag="offline"):
    """A device without a network, whose records arrive later."""

    batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50


class Duplicate(Fault, frozen=True, tag="duplicate"):
    """A device that sends twice."""

    chance: Share = 0.05


class Reorder(Fault, frozen=True, tag="reorder"):
    """A path that mixes up the order."""

    depth: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 5


class Garbage(Fault, frozen=True, tag="garbage"):
    """A device that also says what nobody understands."""

    chance: Share = 0.01


AnyFault: TypeAlias = (
    Stuck | Spike | Drift | ClockStep | ClockUnset | Reboot | Offline | Duplicate | Reorder | Garbage
)


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named list of faults."""

    name: str
    about: str = ""
    seed: int = 1
    fault: tuple[AnyFault, ...] = ()

    def of(self, device: str) -> Iterator[tuple[int, AnyFault]]:
        """The faults that befall a device, each with its place in the list."""
        for place, fault in enumerate(self.fault):
            named = any(fnmatchcase(device, pattern) for pattern in fault.devices)
            if named and chance(self.seed, place, device, "share") < fault.share:
                yield place, fault


QUIET = Scenario("quiet", "Nothing goes wrong.")


def sample_scenarios() -> list[str]:
    """Names of the scenarios that come with the package."""
    folder = files("qytet_simulators.faults") / "scenarios"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load_scenario(source: str | Path) -> Scenario:
    """Read a scenario from a file, or a sample by its name.

    Raises:
        ScenarioError: it cannot be read, is no TOML, or says something impossible; with the place.
    """
    named = isinstance(source, str) and source in sample_scenarios()
    origin = files("qytet_simulators.faults") / "scenarios" / f"{source}.toml" if named else Path(source)
    try:
        scenario = msgspec.convert(tomllib.loads(origin.read_text(encoding="utf-8")), Scenario)
    except OSError as error:
        samples = ", ".join(sample_scenarios())
        raise ScenarioError(
            f"The scenario {str(source)!r} cannot be read.",
            why=str(error),
            do=f"Give a file, or one of: {samples}.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ScenarioError(f"The scenario {str(source)!r} is wrong.", why=str(error)) from error
    for place, fault in enumerate(scenario.fault):
        _check(str(source), place, fault)
    return scenario


def _check(source: str, place: int, fault: AnyFault) -> None:
    wrong = ""
    if fault.to_s is not None and fault.to_s <= fault.from_s:
        wrong = "`to_s` must lie after `from_s`"
    elif isinstance(fault, Reboot) and fault.every_s is not None and fault.every_s <= fault.down_s:
        wrong = "`every_s` must be longer than `down_s`"
    elif isinstance(fault, ClockStep) and fault.step_s == 0:
        wrong = "`step_s` must not be 0"
    elif isinstance(fault, Offline) and fault.to_s is None:
        wrong = "`to_s` is needed: a device that never comes back sends nothing"
    if wrong:
        raise ScenarioError(f"The scenario {source!r} is wrong.", why=f"{wrong} - at `$.fault[{place}]`")
