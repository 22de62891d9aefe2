"""What hangs on the board's pins is seen by the program as on real wires: levels, edges, buses, bytes in their time."""

from collections.abc import Callable

import pytest

from qytet_simulators.hardware.adapters import FrameSensor
from qytet_simulators.hardware.ports import Clock, PinLine
from qytet_simulators.hardware.wiring import Wiring
from qytet_simulators.instruments.i2c import I2cBus
from qytet_simulators.instruments.i2c_chips import Ads1115Model
from qytet_simulators.instruments.uart import Faults
from qytet_simulators.instruments.uart_models import Mhz19, Pms5003
from tests.hardware.conftest import MakeBoard


class Pulses:
    """A contact that closes so many times, evenly."""

    def __init__(self, count: int, every_us: int) -> None:
        self.count, self.every_us = count, every_us

    def plugged(self, line: PinLine) -> None:
        line.drive(1)
        for n in range(1, self.count + 1):
            at = line.clock.now_us() + 1_000_000 + n * self.every_us
            line.clock.call_at(at, lambda: line.drive(0))
            line.clock.call_at(at + self.every_us // 2, lambda: line.drive(1))

    def driven(self, level: int | None) -> None:
        raise AssertionError(f"the board drove an input to {level}")


class Echo:
    """The echo pin of an ultrasonic sensor, and what its trigger pin does."""

    def __init__(self, echo_us: int) -> None:
        self.echo_us = echo_us
        self.line: PinLine | None = None

    def plugged(self, line: PinLine) -> None:
        self.line = line
        line.drive(0)

    def driven(self, level: int | None) -> None:
        pass

    def triggered(self) -> None:
        assert self.line is not None
        line, now = self.line, self.line.clock.now_us()
        line.clock.call_at(now + 500, lambda: line.drive(1))
        line.clock.call_at(now + 500 + self.echo_us, lambda: line.drive(0))


class Trigger:
    """The trigger pin: the echo begins when it falls."""

    def __init__(self, on_fall: Callable[[], None]) -> None:
        self.levels: list[int | None] = []
        self.on_fall = on_fall

    def plugged(self, line: PinLine) -> None:
        line.drive(None)

    def driven(self, level: int | None) -> None:
        if self.levels and self.levels[-1] == 1 and level == 0:
            self.on_fall()
        self.levels.append(level)


class Lamp:
    """A dimmer's input."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def modulated(self, frequency_hz: int, duty: float) -> None:
        self.seen.append((frequency_hz, round(duty, 3)))


class Thermometer:
    """A 1-Wire chip that says its scratchpad."""

    def __init__(self, rom: bytes) -> None:
        self.rom, self.said, self.woken = rom, bytearray(), 0

    def plugged(self, clock: Clock) -> None:
        self.woken += 1

    def reset(self) -> bool:
        self.said.clear()
        return True

    def write(self, byte: int) -> None:
        if byte == 0xBE:
            self.said += self.rom[1:3]

    def read(self) -> int:
        return self.said.pop(0) if self.said else 0xFF


def test_every_edge_raises_an_interrupt_at_its_own_time(make_board: MakeBoard) -> None:
    """Two hundred pulses at 50 Hz are counted, none twice, while the program sleeps and while it works."""
    board = make_board(
        """
import machine, time
pin, seen = machine.Pin(27, machine.Pin.IN, machine.Pin.PULL_UP), []
pin.irq(lambda pin: seen.append(time.ticks_us()), machine.Pin.IRQ_FALLING)
time.sleep(3)
end = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), end) < 3000:
    pass
gaps = [time.ticks_diff(b, a) for a, b in zip(seen, seen[1:])]
print(len(seen), max(gaps) < 23000, min(gaps) > 17000, "end")
""",
        Wiring(pins={27: Pulses(200, 20_000)}),
    )
    board.power_on()
    board.console.wait_for("200 True True end")


def test_asyncio_wakes_for_an_interrupt(make_board: MakeBoard) -> None:
    """A task that waits for a flag runs when the flag is set by a pin, without polling."""
    board = make_board(
        """
import asyncio, machine, time
flag = asyncio.ThreadSafeFlag()
machine.Pin(27, machine.Pin.IN).irq(lambda pin: flag.set(), machine.Pin.IRQ_RISING)
async def main():
    for _ in range(2):
        await flag.wait()
        print("at", round(time.ticks_diff(time.ticks_ms(), start) / 1000), "s")
start = time.ticks_ms()
asyncio.run(main())
""",
        Wiring(pins={27: Pulses(2, 3_600_000_000)}),
    )
    board.power_on()
    said = board.console.wait_for("at 9001 s")
    assert "at 5401 s" in said


def test_an_echo_is_measured_in_virtual_time(make_board: MakeBoard) -> None:
    """`time_pulse_us` gives the length of the pulse exactly, and -2 or -1 when there is none or no end."""
    echo = Echo(5831)
    trigger = Trigger(echo.triggered)
    board = make_board(
        """
import machine, time
trigger, echo = machine.Pin(5, machine.Pin.OUT, value=0), machine.Pin(18, machine.Pin.IN)
def ping(limit):
    trigger.on()
    time.sleep_us(10)
    trigger.off()
    return machine.time_pulse_us(echo, 1, limit)
print(ping(30000), machine.time_pulse_us(echo, 1, 1000), ping(2000), "end")
""",
        Wiring(pins={5: trigger, 18: echo}),
    )
    board.power_on()
    board.console.wait_for("5831 -2 -1 end")
    assert trigger.levels == [0, 1, 0, 1, 0]


def test_analog_inputs_and_pwm_outputs(make_board: MakeBoard) -> None:
    """Volts are read as the attenuation allows; a lamp sees frequency and duty as they are set."""
    lamp = Lamp()
    board = make_board(
        """
import machine
low, high = machine.ADC(machine.Pin(34)), machine.ADC(machine.Pin(34), atten=machine.ADC.ATTN_11DB)
print(low.read(), low.read_uv(), high.read_uv(), high.read_u16(), machine.ADC(35).read())
pwm = machine.PWM(machine.Pin(25), freq=1000, duty_u16=0)
pwm.duty_u16(32768)
pwm.duty(1023)
print(pwm.freq(), pwm.duty_u16())
pwm.deinit()
print("end")
""",
        Wiring(adc={34: lambda: 1.65}, pwm={25: lamp}),
    )
    board.power_on()
    said = board.console.wait_for("end")
    assert "4095 1100000 1650000 27718 0\r\n1000 65535\r\n" in said
    assert lamp.seen == [(1000, 0.0), (1000, 0.5), (1000, 1.0), (0, 0.0)]


def test_chips_answer_on_their_bus_and_faults_raise(make_board: MakeBoard) -> None:
    """A chip is found at its pins; NACK raises ENODEV, a bus held down ETIMEDOUT, other pins find nothing."""
    bus = I2cBus({0x48: Ads1115Model(lambda: {"volts0": 1.024, "volts1": 0.5})})
    bus.nacks[0x48] = 1
    board = make_board(
        """
import errno, machine
i2c = machine.I2C(0, scl=machine.Pin(22), sda=machine.Pin(21), freq=100000)
def attempt(bus, address=0x48):
    try:
        bus.writeto_mem(address, 1, b"\\xc3\\x83")
        return int.from_bytes(bus.readfrom_mem(address, 0, 2), "big")
    except OSError as error:
        return {errno.ENODEV: "ENODEV", errno.ETIMEDOUT: "ETIMEDOUT"}[error.errno]
print(i2c.scan(), attempt(i2c), attempt(i2c), attempt(i2c, 0x49))
print(attempt(machine.SoftI2C(scl=machine.Pin(4), sda=machine.Pin(5))))
input()
print(attempt(i2c), "end")
""",
        Wiring(i2c={(22, 21): bus}),
    )
    board.power_on()
    board.console.wait_for("[72] ENODEV 8192 ENODEV\r\nENODEV")
    bus.held_down = True
    board.console.feed(b"\r")
    board.console.wait_for("ETIMEDOUT end")


def test_a_sensors_frames_arrive_in_their_time_and_asyncio_waits_for_them(make_board: MakeBoard) -> None:
    """A frame of 32 bytes at 9600 baud is there 35 ms after it began; good and spoilt ones are as the sensor says."""
    sensor = FrameSensor(
        Pms5003, lambda: {"pm1": 5, "pm2_5": 12, "pm10": 20}, faults=Faults(bad_checksum=0.3), seed=4
    )
    board = make_board(
        """
import asyncio, machine
async def main():
    uart = machine.UART(2, 9600, tx=17, rx=16, rxbuf=256)
    reader, good, bad = asyncio.StreamReader(uart), 0, 0
    for _ in range(100):
        frame = await asyncio.wait_for(reader.readexactly(32), 5)
        if sum(frame[:30]) == frame[30] << 8 | frame[31]:
            good += 1
        else:
            bad += 1
    print(good, bad, frame[12:14], "end")
asyncio.run(main())
""",
        Wiring(uart={(17, 16): sensor}),
        stepped=True,
    )
    board.power_on()
    board.run_for(100.9)
    said = board.console.wait_for("end")
    assert f"{len(sensor.told.good)} {sensor.told.spoilt} b'\\x00\\x0c' end" in said
    assert 10 < sensor.told.spoilt < 60


def test_a_question_is_answered_a_broken_wire_is_silent_and_a_wrong_speed_is_noise(
    make_board: MakeBoard,
) -> None:
    """A sensor that speaks when asked answers, or does not; at another speed it does not understand."""
    sensor = FrameSensor(Mhz19, lambda: {"co2": 812}, period_s=None)
    board = make_board(
        """
import machine
uart = machine.UART(1, 9600, tx=machine.Pin(17), rx=machine.Pin(16), timeout=200)
def ask():
    uart.write(b"\\xff\\x01\\x86\\0\\0\\0\\0\\0\\x79")
    answer = uart.read(9)
    return answer and answer[2] << 8 | answer[3]
print(ask())
uart.init(19200, tx=17, rx=16, timeout=200)
print(ask())
uart.init(9600, tx=17, rx=16, timeout=200)
input()
print(ask(), "end")
""",
        Wiring(uart={(17, 16): sensor}),
    )
    board.power_on()
    board.console.wait_for("812\r\nNone\r\n")
    sensor.silent = True
    board.console.feed(b"\r")
    board.console.wait_for("None end")


def test_what_the_receive_buffer_cannot_hold_is_lost(make_board: MakeBoard) -> None:
    """A program that does not read loses the newest bytes, as with a full ring buffer."""
    sensor = FrameSensor(Pms5003, lambda: {"pm1": 1, "pm2_5": 2, "pm10": 3})
    board = make_board(
        """
import machine, time
uart = machine.UART(2, 9600, tx=17, rx=16, rxbuf=64)
time.sleep(30)
print(uart.any(), uart.read()[:2], uart.any(), "end")
""",
        Wiring(uart={(17, 16): sensor}),
    )
    board.power_on()
    board.console.wait_for("64 b'BM' 0 end")


def test_a_speed_of_nothing_is_refused(make_board: MakeBoard) -> None:
    """A UART that is opened at 0 baud is an error of the program, which goes on."""
    board = make_board("""
import machine
try:
    machine.UART(1, 0).write(b"x")
except OSError as error:
    print("errno", error.errno, "end")
""")
    board.power_on()
    board.console.wait_for("errno 22 end")


def test_one_wire_chips_are_found_and_chosen_by_their_number(make_board: MakeBoard) -> None:
    """Each of two chips on a line answers only when its number is called."""
    chips = [Thermometer(bytes((0x28, n, n + 1, 0, 0, 0, 0, 9))) for n in (3, 5)]
    board = make_board(
        """
import machine, onewire
line = onewire.OneWire(machine.Pin(13))
for rom in line.scan():
    line.select_rom(rom)
    line.writebyte(0xBE)
    print(rom[1], line.readbyte(), line.readbyte(), line.readbyte())
print(onewire.OneWire(machine.Pin(14)).reset(), "end")
""",
        Wiring(onewire={13: chips}),
    )
    board.power_on()
    assert "3 3 4 255\r\n5 5 6 255\r\nFalse end" in board.console.wait_for("end")
    assert [chip.woken for chip in chips] == [1, 1]


def test_timers_call_back(make_board: MakeBoard) -> None:
    """A periodic timer fires at each period until it is ended, a one-shot timer once."""
    board = make_board("""
import machine, time
ticks, once = [], []
timer = machine.Timer(0)
timer.init(period=250, callback=lambda timer: ticks.append(1))
machine.Timer(1).init(mode=machine.Timer.ONE_SHOT, period=100, callback=lambda timer: once.append(1))
time.sleep_ms(1100)
timer.deinit()
time.sleep_ms(1100)
print(len(ticks), len(once), "end")
""")
    board.power_on()
    board.console.wait_for("4 1 end")


@pytest.mark.parametrize(
    ("what", "times", "wanted"),
    [("seen.append(pin.value())", 1, "[0, 0, 0] end"), ("raise ValueError('no')", 3, "ValueError: no")],
)
def test_a_handler_may_ask_and_may_fail(make_board: MakeBoard, what: str, times: int, wanted: str) -> None:
    """An interrupt's handler can read pins; its exception is shown and ends nothing else."""
    board = make_board(
        f"""
import machine, time
seen = []
def edge(pin):
    {what}
machine.Pin(27, machine.Pin.IN).irq(edge, machine.Pin.IRQ_FALLING)
time.sleep(5)
print(seen, "end")
""",
        Wiring(pins={27: Pulses(3, 100_000)}),
    )
    board.power_on()
    assert board.console.wait_for("] end").count(wanted) == times


def test_no_handler_runs_in_the_middle_of_a_change_of_the_flash(make_board: MakeBoard) -> None:
    """A timer that is due while flash is erased calls back after that: the file system is never left half changed."""
    board = make_board("""
import esp32, machine, time
flash, page, erasing, torn, seen = esp32.Partition("spare", 0x180000, 0x1000, 1, 0x81), bytearray(4096), False, 0, 0
def due(timer):
    global torn, seen
    torn, seen = torn + erasing, seen + 1
machine.Timer(0).init(period=20, callback=due)
for _ in range(50):
    erasing = True
    flash.writeblocks(0, page)
    erasing = False
    time.sleep_us(1)
print("torn", torn, "seen", seen > 50, "end")
""")
    board.power_on()
    board.console.wait_for("torn 0 seen True end")
