"""Outputs on pins: safe at the start and at the end, and in between what was asked for."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin
from pydantic import TypeAdapter, ValidationError

from qytet_edge.inbox.kinds import OUTPUTS, Context, model
from qytet_edge.outputs import pins

READ: TypeAdapter[pins.Config] = TypeAdapter(pins.Config)


@pytest.fixture
def factory() -> Iterator[MockFactory]:
    found = MockFactory(pin_class=MockPWMPin)
    yield found
    found.reset()


def made(factory: MockFactory, **fields: Any) -> pins.Switch | pins.Dimmer:
    context = Context(city="korce", gateway="gw-1", folder=Path(), data_dir=Path(), pins=lambda: factory)
    return pins.create(READ.validate_python({"name": "out", "pin": 18, **fields}), context)


@pytest.mark.parametrize("active_high", [True, False])
@pytest.mark.parametrize("safe", [True, False])
def test_a_switch_is_safe_switched_and_safe_again(active_high: bool, safe: bool) -> None:
    """From the first moment to the last the pin has no level that nobody asked for, whichever level means on."""
    factory = MockFactory(pin_class=MockPin)
    pin = factory.pin(18)

    async def main() -> None:
        output = made(factory, kind="gpio", active_high=active_high, safe=safe)
        await output.open()
        assert pin.state is (safe == active_high)
        for value, on in ((1.0, True), (0.0, False), (100, True), (0.49, False)):
            await output.set(value)
            assert pin.state is (on == active_high)
        await output.set(float(not safe))
        pin.clear_states()
        await output.close()
        assert [state.state for state in pin.states][:2] == [(not safe) == active_high, safe == active_high]
        await output.close()

    asyncio.run(main())


def test_a_dimmer_gives_the_share_that_was_asked_for(factory: MockFactory) -> None:
    """0 to 100 % become a duty of 0 to 1 at the frequency that was asked for, and safe at the end."""
    pin = factory.pin(18)

    async def main() -> None:
        output = made(factory, kind="pwm", safe=20, frequency_hz=500)
        await output.open()
        assert (pin.state, pin.frequency) == (0.2, 500)
        for value in (0, 35.5, 100):
            await output.set(value)
            assert pin.state == pytest.approx(value / 100)
        pin.clear_states()
        await output.close()
        assert pin.states[1].state == 0.2

    asyncio.run(main())


@pytest.mark.parametrize("value", [-1, 100.5, float("nan"), float("inf")])
def test_nonsense_moves_nothing(factory: MockFactory, value: float) -> None:
    """A level that is none is refused with an OSError, and the lamp stays as it was."""
    pin = factory.pin(18)

    async def main() -> None:
        output = made(factory, kind="pwm")
        await output.set(70)
        with pytest.raises(OSError, match="0 to 100"):
            await output.set(value)
        assert pin.state == 0.7
        await output.close()

    asyncio.run(main())


def test_a_pin_in_use_is_an_error_of_the_system(factory: MockFactory) -> None:
    """A pin that another output has raises OSError with the names, and can be used once it is let go."""

    async def main() -> None:
        context = Context(city="korce", gateway="gw-1", folder=Path(), data_dir=Path(), pins=lambda: factory)
        one, two = (
            pins.create(READ.validate_python({"kind": "gpio", "name": name, "pin": 18}), context)
            for name in "ab"
        )
        await one.set(1)
        with pytest.raises(OSError, match="output b, pin 18"):
            await two.set(1)
        await one.close()
        await two.set(1)
        await two.close()

    asyncio.run(main())


def test_a_slow_start_that_is_given_up_keeps_the_pin(factory: MockFactory) -> None:
    """Whoever gives up waiting while the pin is being claimed does not lock it for the one who asks next."""
    gate = threading.Event()

    def slow() -> MockFactory:
        gate.wait(60)
        return factory

    async def main() -> None:
        context = Context(city="korce", gateway="gw-1", folder=Path(), data_dir=Path(), pins=slow)
        output = pins.create(READ.validate_python({"kind": "gpio", "name": "out", "pin": 18}), context)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(output.set(1), 0.01)
        gate.set()
        await asyncio.gather(output.set(1), output.set(1))
        assert factory.pin(18).state == 1
        await output.close()

    asyncio.run(main())


def test_without_a_pin_library_the_error_says_so() -> None:
    """Where no pin library works, setting raises OSError instead of something that nobody expects."""

    def broken() -> Any:
        raise ImportError("no lgpio")

    async def main() -> None:
        context = Context(city="korce", gateway="gw-1", folder=Path(), data_dir=Path(), pins=broken)
        output = pins.create(READ.validate_python({"kind": "gpio", "name": "out", "pin": 18}), context)
        with pytest.raises(OSError, match="no lgpio"):
            await output.set(1)
        await output.close()
        (finding,) = await pins.probe(
            READ.validate_python({"kind": "gpio", "name": "out", "pin": 18}), context
        )
        assert finding.state == "problem"

    asyncio.run(main())


@pytest.mark.parametrize("fields", [{"safe": 101}, {"frequency_hz": 0}, {"pin": "x y"}, {"colour": "red"}])
def test_a_wrong_configuration_is_refused(fields: dict[str, Any]) -> None:
    """Values out of range and unknown fields are refused when the configuration is read."""
    with pytest.raises(ValidationError):
        model(OUTPUTS, "pwm").model_validate({"kind": "pwm", "name": "out", "pin": 18, **fields})
