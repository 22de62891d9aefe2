"""The clock: when a record gets a time, how it says that it is known, and what a step of the clock does."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from qytet_edge.clock import Clock, ClockConfig, Step
from qytet_edge.clock.facts import parse_tracking, tracking
from qytet_edge.clock.judge import BUILT_MS

SECOND = 1_000_000_000
NOON = 1_790_000_000_000_000_000  # ns, in September 2026
SYNCHRONISED = "C0A80101,router.lan,3,1790000000.1,0.000250000,0,0,1.2,0,0.1,0.020,0.004,64.2,Normal"
UNSYNCHRONISED = "00000000,,0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised"


class Machine:
    """A machine whose clocks stand where the test puts them; chronyc says what the test writes."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.real = NOON
        self.boot = 100 * SECOND
        self.kernel = False
        self.chronyc = folder / "chronyc"
        self.steps: list[Step] = []

    def clock(self, **config: object) -> Clock:
        return Clock(
            ClockConfig.model_validate(config),
            root=self.root,
            chronyc=str(self.chronyc),
            now=lambda: self.real,
            boottime=lambda: self.boot,
            kernel=lambda: self.kernel,
            on_step=self.steps.append,
        )

    def pass_s(self, seconds: float) -> None:
        self.real += int(seconds * SECOND)
        self.boot += int(seconds * SECOND)

    def chrony_says(self, line: str, status: int = 0) -> None:
        self.chronyc.write_text(f"#!/bin/sh\necho '{line}'\nexit {status}\n")
        self.chronyc.chmod(0o755)

    def timesync_said(self, at_s: float) -> None:
        path = self.root / "run/systemd/timesync/synchronized"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at_s, at_s))

    def rtc_says(self, time_s: int, *, set_system: bool = True) -> None:
        folder = self.root / "sys/class/rtc/rtc0"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "since_epoch").write_text(f"{time_s}\n")
        (folder / "hctosys").write_text("1\n" if set_system else "0\n")

    @property
    def real_ms(self) -> int:
        return self.real // 1_000_000


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose chronyc may be slow, as this one is now and then."""
    monkeypatch.setattr("qytet_edge.clock.facts._TIME_LIMIT", 60.0)
    return Machine(tmp_path)


def look(clock: Clock) -> None:
    asyncio.run(clock.look())


def test_before_anybody_vouches_a_record_carries_no_time(machine: Machine) -> None:
    """A plausible clock that nobody vouches for dates nothing: neither before nor after the first look."""
    clock = machine.clock()
    assert clock.stamp() == (None, "none")
    look(clock)
    assert clock.stamp() == (None, "none")
    assert clock.state().source == ""


def test_a_clock_that_chrony_keeps_is_known(machine: Machine) -> None:
    """Once chrony is synchronised, records carry the system's time, `ntp`, and the offset is reported."""
    machine.chrony_says(SYNCHRONISED)
    clock = machine.clock()
    look(clock)
    machine.pass_s(5)
    assert clock.stamp() == (machine.real_ms, "ntp")
    state = clock.state()
    assert state.source == "chrony (router.lan)"
    assert state.offset_s == pytest.approx(-0.00025), "chrony's correction is positive: our clock is slow"
    assert state.confirmed_s == pytest.approx(5)


@pytest.mark.parametrize(
    ("line", "synchronised", "gnss"),
    [
        (SYNCHRONISED, True, False),
        (UNSYNCHRONISED, False, False),
        (UNSYNCHRONISED.replace("synchronised", "synchronized"), False, False),
        (SYNCHRONISED.replace("C0A80101,router.lan", "7F7F0101,"), False, False),
        (SYNCHRONISED.replace("C0A80101,router.lan", "47505300,GPS"), True, True),
        (SYNCHRONISED.replace("C0A80101,router.lan", "50505300,PPS0"), True, True),
    ],
)
def test_chronys_line_is_taken_apart(line: str, synchronised: bool, gnss: bool) -> None:
    """Synchronised is a real reference and no "not"; chrony's own `local` time is no reference."""
    found = parse_tracking(line)
    assert found is not None
    assert (found.synchronised, found.gnss) == (synchronised, gnss)


@pytest.mark.parametrize(
    "line", ["", "506 Cannot talk to daemon", "a,b,c", SYNCHRONISED.replace("0.020", "x")]
)
def test_what_is_no_tracking_line_says_nothing(line: str) -> None:
    """A message or a line of another form is not taken for a state."""
    assert parse_tracking(line) is None


def test_chronyc_that_fails_or_is_absent_says_nothing(machine: Machine) -> None:
    """A program that is not there, or ends with an error, is no answer, and no exception."""
    assert asyncio.run(tracking(str(machine.chronyc))) is None
    machine.chrony_says(SYNCHRONISED, status=1)
    assert asyncio.run(tracking(str(machine.chronyc))) is None


def test_chronyc_that_hangs_is_ended(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chronyc that never answers is killed after its time limit, and leaves no process behind."""
    note = machine.chronyc.with_name("pid")
    machine.chronyc.write_text(f"#!/bin/sh\necho $$ > {note}.new\nmv {note}.new {note}\nexec sleep 600\n")
    machine.chronyc.chmod(0o755)
    for limit_s in (0.2, 2, 20):  # so long that it has begun to hang when it is ended
        monkeypatch.setattr("qytet_edge.clock.facts._TIME_LIMIT", limit_s)
        assert asyncio.run(tracking(str(machine.chronyc))) is None
        if note.exists():
            break
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_chrony_that_is_unsure_does_not_vouch(machine: Machine) -> None:
    """An error larger than `error_s` makes the time unknown, even if the kernel thinks otherwise."""
    machine.chrony_says(SYNCHRONISED.replace(",0.004,", ",7.5,"))
    machine.kernel = True
    clock = machine.clock()
    look(clock)
    assert clock.stamp() == (None, "none")


def test_timesyncd_vouches_while_its_word_is_fresh(machine: Machine) -> None:
    """Without chrony, systemd-timesyncd's last success counts; after `hold_s` only the crystal keeps the time."""
    machine.timesync_said(machine.real / SECOND - 30)
    clock = machine.clock(hold_s=3600)
    look(clock)
    assert clock.stamp() == (machine.real_ms, "ntp")
    for _ in range(3):
        machine.pass_s(1800)
        look(clock)
    assert clock.stamp() == (machine.real_ms, "ntp"), "held: it was confirmed less than an hour ago"
    for _ in range(2):
        machine.pass_s(1800)
        look(clock)
    assert clock.stamp() == (machine.real_ms, "rtc")


def test_a_step_makes_the_time_unknown_until_somebody_vouches_again(machine: Machine) -> None:
    """Whoever sets the clock is noticed at the very next record; what vouched before it vouches no longer."""
    machine.timesync_said(machine.real / SECOND)
    clock = machine.clock()
    look(clock)
    machine.real += 3600 * SECOND
    assert clock.stamp() == (None, "none")
    look(clock)
    assert clock.stamp() == (None, "none"), "timesyncd spoke before the step"
    assert machine.steps == [Step(3600.0, machine.boot // 1_000_000)]
    machine.timesync_said(machine.real / SECOND)
    look(clock)
    assert clock.stamp() == (machine.real_ms, "ntp")
    assert clock.state().steps == 1


def test_a_step_during_a_look_is_not_overlooked(machine: Machine) -> None:
    """If the clock is set while chrony is being asked, its answer is about another clock and does not count."""
    machine.chrony_says(SYNCHRONISED)
    clock = machine.clock()

    def set_the_clock() -> bool:
        machine.real -= 500 * SECOND
        return False

    async def stepped() -> None:
        looking = asyncio.create_task(clock.look())
        await asyncio.sleep(0)  # chronyc is being started
        set_the_clock()
        await looking

    asyncio.run(stepped())
    assert clock.stamp() == (None, "none")
    look(clock)
    assert clock.stamp() == (machine.real_ms, "ntp")


def test_a_machine_that_stands_still_for_a_moment_has_set_no_clock(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds that pass between the reads of the two clocks, at a record or at a look, are no step of either."""
    machine.chrony_says(SYNCHRONISED)
    clock = machine.clock()
    look(clock)

    def held_up() -> int:
        monkeypatch.setattr(clock, "_boottime", lambda: machine.boot)
        read = machine.boot
        machine.pass_s(3)
        return read

    for ask in (lambda: clock.stamp(), lambda: look(clock)):
        monkeypatch.setattr(clock, "_boottime", held_up)
        ask()
        assert clock.stamp() == (machine.real_ms, "ntp")
    assert clock.state().steps == 0


def test_a_thread_that_read_the_clock_before_a_step_does_not_set_it_back(machine: Machine) -> None:
    """One step is one step, also if a thread stands still between its read and its judgement meanwhile."""
    machine.chrony_says(SYNCHRONISED)
    clock = machine.clock()
    look(clock)
    other = threading.Thread(target=clock.stamp)

    def overtaken() -> int:
        clock._now = lambda: machine.real
        read = machine.real
        machine.real += 60 * SECOND
        other.start()
        other.join(0.2)  # it must not get by; if it may, it does
        return read

    clock._now = overtaken
    clock.stamp()
    other.join()
    look(clock)
    assert clock.stamp() == (machine.real_ms, "ntp")
    assert [step.by_s for step in machine.steps] == [60]


def test_slewing_is_no_step(machine: Machine) -> None:
    """A clock that is moved gently keeps its quality."""
    machine.chrony_says(SYNCHRONISED)
    clock = machine.clock()
    look(clock)
    for _ in range(20):
        machine.pass_s(10)
        machine.real += SECOND // 3
        assert clock.stamp() == (machine.real_ms, "ntp")
        look(clock)
    assert clock.state().steps == 0


def test_a_clock_before_the_floor_dates_nothing(machine: Machine) -> None:
    """No record of 1970 or 2000, whoever vouches."""
    machine.chrony_says(SYNCHRONISED)
    machine.kernel = True
    for real in (0, 946_684_800 * SECOND, (BUILT_MS - 1) * 1_000_000):
        machine.real = real
        clock = machine.clock(trust="host")
        look(clock)
        assert clock.stamp() == (None, "none")


def test_a_host_that_is_trusted_is_known_from_the_first_look(machine: Machine) -> None:
    """`trust = "host"` dates by the system's clock as `host`, also after a step."""
    clock = machine.clock(trust="host")
    look(clock)
    assert clock.stamp() == (machine.real_ms, "host")
    machine.real += 100 * SECOND
    look(clock)
    assert clock.stamp() == (machine.real_ms, "host")


def test_a_satellite_dates_records_even_if_the_systems_clock_is_wrong(machine: Machine) -> None:
    """A GNSS time counts from its own moment, whatever the system's clock says or becomes."""
    machine.real = 1_000 * SECOND  # 1970
    clock = machine.clock()
    true_ms = NOON // 1_000_000
    clock.fix(true_ms)
    look(clock)
    machine.pass_s(7)
    assert clock.stamp() == (true_ms + 7000, "gnss")
    machine.real = NOON - 40 * SECOND
    assert clock.stamp() == (true_ms + 7000, "gnss"), "a step of the system's clock does not touch it"
    look(clock)
    assert clock.state().offset_s == pytest.approx(-47)


def test_a_receiver_that_counts_from_its_own_epoch_is_not_believed(machine: Machine) -> None:
    """A receiver without a fix says 1980: that is no time."""
    clock = machine.clock()
    clock.fix(315_964_800_000)
    look(clock)
    assert clock.stamp() == (None, "none")


def test_a_silent_satellite_receiver_is_held_and_then_only_a_crystal(machine: Machine) -> None:
    """After `hold_s` without a fix the time goes on, and says that nobody confirmed it."""
    clock = machine.clock(hold_s=60)
    true_ms = NOON // 1_000_000 + 5000
    clock.fix(true_ms)
    look(clock)
    machine.pass_s(61)
    look(clock)
    assert clock.stamp() == (true_ms + 61_000, "rtc")


def test_a_battery_backed_clock_counts_if_it_set_the_system_and_still_agrees(machine: Machine) -> None:
    """`rtc` is said only of a clock that runs, set the system at boot, and did not fall behind what was known."""
    now_s = machine.real // SECOND
    machine.rtc_says(now_s)
    clock = machine.clock()
    look(clock)
    assert clock.stamp() == (machine.real_ms, "rtc")
    for time_s, set_system in ((now_s, False), (now_s - 3600, True), (0, True)):
        machine.rtc_says(time_s, set_system=set_system)
        clock = machine.clock()
        look(clock)
        assert clock.stamp() == (None, "none")
    machine.rtc_says(now_s)
    clock = machine.clock()
    clock.remember(machine.real_ms + 1000)
    look(clock)
    assert clock.stamp() == (None, "none"), "it is behind a time that was known before: its battery was empty"


def test_the_clock_looks_again_at_once_when_it_was_set(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a step a new look follows without waiting for the interval, whichever thread noticed it."""
    machine.chrony_says(SYNCHRONISED)
    clock = machine.clock(look_s=300)

    async def scene() -> None:
        looked, look_once = asyncio.Event(), clock.look

        async def counted() -> None:
            await look_once()
            looked.set()

        monkeypatch.setattr(clock, "look", counted)
        looks = asyncio.create_task(clock.run())
        async with asyncio.timeout(60):
            await looked.wait()
            looked.clear()
            machine.real += 60 * SECOND
            asker = threading.Thread(target=clock.stamp)
            asker.start()
            asker.join()
            await looked.wait()
        looks.cancel()
        await asyncio.gather(looks, return_exceptions=True)

    asyncio.run(scene())
    assert clock.state().steps == 1
    assert clock.stamp() == (machine.real_ms, "ntp")


def test_this_machine_can_be_looked_at() -> None:
    """On the real machine a look works, whatever it finds, and the kernel names this boot."""
    clock = Clock()
    look(clock)
    t_ms, tq = clock.stamp()
    assert (t_ms is None) == (tq == "none")
    assert clock.linux_boot
    assert clock.uptime_ms() > 0
