"""The VM's end of the channel to the bench, and virtual time.

Time belongs to the bench. It stands still while the program computes, except for what looking at the clock costs, and
goes on when the program waits: `wait` hands it over until an instant, or until something happens. A request is 24
bytes and a payload, an answer 20 bytes, the interrupts that came up meanwhile (12 bytes each) and a payload.

Memory may end at any allocation: a request is one write, and what is left of an answer is known without an allocation
after its reading, so that the next question finds the channel in step. Ctrl-C comes with an answer.
"""

import os
import struct
import sys
import utime

_REQUEST, _ANSWER, _INTERRUPT = "<BBHiiiq", "<BBHiiq", "<HHq"
_LOOK_US = 5  # what asking for the time costs on an ESP32, about
_SILENT_US = 2000  # whoever only looks at the clock lets the world go on after this
FOREVER = 1 << 60

(
    HELLO,
    WAIT,
    FLASH_WRITE,
    FLASH_ERASE,
    RESET,
    DEEPSLEEP,
    WDT,
    PIN_SET,
    PIN_GET,
    PIN_IRQ,
    PULSE,
    I2C,
    I2C_SCAN,
    UART_OPEN,
    UART_WRITE,
    UART_READ,
    UART_ANY,
    ADC,
    PWM,
    TIMER,
    RTC,
    RTC_MEMORY,
    WIFI,
    RESOLVE,
    ONEWIRE,
    COUNTER,
) = range(1, 27)

_out = _in = _flash = None
_HEAD = 24
_wire = bytearray(_HEAD + 4096)
_reply = bytearray(20)
_one = bytearray(12)
_seq = 0
_left = 0
_raised = []
_raising = False
_now = _told = 0
_ticks = 0
handlers = {}
cause = 1
identity = b""
rtc_us = 0


def open_channel():
    """Open what the bench has left open for us, and hear who we are."""
    global _in, _out, _flash, _ticks, cause, identity, rtc_us
    requests, answers = os.getenv("QYTET_CHANNEL").split(",")
    _out, _in = open("/dev/fd/" + requests, "wb"), open("/dev/fd/" + answers, "rb")
    _flash = open(os.getenv("QYTET_FLASH"), "rb")
    said = struct.unpack("<iiiiq6s", ask(HELLO, want=True))
    cause, rtc_us, identity = said[0], said[4], said[5]
    # The scheduler's own clock is the machine's; virtual time begins well beyond it and so stays beyond it: what is
    # "now" for the scheduler is never in our future.
    _ticks = utime.ticks_ms() + 864000000 - _now // 1000
    return said[1], said[2], said[3]


def ask(op, a=0, b=0, c=0, data=b"", into=None, want=False):
    """Ask the bench; returns its number, or what it says if `want`, or fills `into`. Raises OSError of its error."""
    global _seq, _left, _now, _told
    _seq = (_seq + 1) & 255
    while _left:  # an interrupted question left its answer in the channel
        _left -= len(_in.read(min(_left, 256)))
    size = len(data)
    wire = _wire if _HEAD + size <= len(_wire) else bytearray(_HEAD + size)
    struct.pack_into(_REQUEST, wire, 0, op, _seq, a, b, c, size, _now)
    if data:
        wire[_HEAD : _HEAD + size] = data
    _out.write(wire, _HEAD + size)
    while True:
        got = _in.readinto(_reply)
        _left = (_reply[2] | _reply[3] << 8) * 12 + (_reply[8] | _reply[9] << 8 | _reply[10] << 16)
        if got != 20:
            raise SystemExit  # the bench is gone
        seq, flags, count, status, size, now = struct.unpack_from(_ANSWER, _reply)
        if seq == _seq:
            break
        while _left:
            _left -= len(_in.read(min(_left, 256)))
    if now > _now:
        _now = now
    _told = _now
    while count:
        _in.readinto(_one)
        _left -= 12
        count -= 1
        _raised.append(struct.unpack(_INTERRUPT, _one))
    said = None
    if size and into is not None:
        _left -= _in.readinto(into)
    elif size:
        said = _in.read(size)
        _left -= len(said)
    if _raised and not _raising:
        _serve()
    if flags & 1:
        raise KeyboardInterrupt
    if status < 0:
        raise OSError(-status)
    return (said or b"") if want else status


def channel():
    """A stream that can always be written to."""
    return _out


def read_flash(at, into):
    """Straight from the flash's file: reads are many, change nothing, and would each cost a change of process."""
    _flash.seek(at)
    _flash.readinto(into)


def _serve():
    """Run the handlers of the interrupts, each at its own time."""
    global _raising
    _raising = True
    try:
        while _raised:
            which, value, at = _raised.pop(0)
            handler = handlers.get(which)
            if handler is None:
                continue
            try:
                handler(value, at)
            except Exception as error:
                print("Unhandled exception in callback")
                sys.print_exception(error)
    finally:
        _raising = False


def wait(until_us, network=False):
    """Let time go on until then, or until something has happened; tells whether it is then."""
    global _now
    if until_us > _now:
        ask(WAIT, 1 if network else 0, data=struct.pack("<q", until_us))
    return _now >= until_us


def now_us():
    """Microseconds of the bench's time."""
    return _now


def ticks_us():
    """As time.ticks_us."""
    global _now
    _now += _LOOK_US
    if _now - _told > _SILENT_US:
        ask(WAIT, data=struct.pack("<q", _now))
    return _now + _ticks * 1000


def ticks_ms():
    """As time.ticks_ms."""
    global _now
    _now += _LOOK_US
    if _now - _told > _SILENT_US:
        ask(WAIT, data=struct.pack("<q", _now))
    return _now // 1000 + _ticks


def sleep_us(us):
    """Let so much time go by; interrupts are served meanwhile."""
    until = _now + us
    while not wait(until):
        pass
