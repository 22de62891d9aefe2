"""A simulated instrument of every kind, a gateway's configuration for them, and what may happen to each."""

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from gpiozero.pins.mock import MockFactory

from qytet_contract import records, topics
from qytet_simulators.instruments.i2c import I2cBus
from qytet_simulators.instruments.i2c_chips import Scd41Model
from qytet_simulators.instruments.modbus_rtu import RtuLine
from qytet_simulators.instruments.modbus_tcp import TcpServer
from qytet_simulators.instruments.modbus_unit import Fault
from qytet_simulators.instruments.uart import Faults, SerialLine
from qytet_simulators.instruments.uart_models import Mhz19, Nmea, Pms5003
from tests.core.mqtt_client import Client
from tests.edge.modbus_support import BAUD, VOLTS, WATTS, meter, write_map
from tests.servers.mosquitto import MosquittoServer

__all__ = ["HARMS", "HTTP_S", "TRUTH", "Deed", "Street"]

NODE = "node-1"
HTTP_S = 0.3
"""What the page's server may take."""
CHIP = 0x62
DUST = {"pm1": 3, "pm2_5": 7, "pm10": 9}
AIR = {"co2": 612, "air_temperature": 21.5, "relative_humidity": 47.0}
PLACE = {"latitude": 40.6, "longitude": 20.8, "altitude": 850.0, "t_ms": 1_789_000_000_000}
METER = {"grid_phase_voltage": VOLTS, "grid_active_power": WATTS / 1000}
TRUTH: dict[str, dict[str, set[float]]] = {
    **{device: {key: {value} for key, value in METER.items()} for device in ("rtu", "tcp")},
    "dust": {key: {value} for key, value in DUST.items()},
    "co2": {"co2": {612}},
    "air": {key: {value} for key, value in AIR.items()},
    "door": {"cabinet_door_open": {0, 1}},
    "log": {"vehicle_count": {1}},
    "page": {"vehicle_count": {1}},
    NODE: {"pm2_5": {1}},
}
"""What each device may ever say."""
SAID = b'{"v":1}'

CONFIG = f"""
[gateway]
city = "korce"
name = "gw-1"
data_dir = "data"
[uplink]
url = "mqtt://127.0.0.1:9"
[spool]
commit_ms = 20
[clock]
trust = "host"
[health]
interval_s = 1

[[source]]
kind = "modbus-rtu"
name = "rtu"
port = "{{folder}}/rtu"
baud = {BAUD}
timeout_s = 0.2
rest_s = 0.3
unit = [{{{{ address = 1, map = "meter.toml", device = "rtu", every_s = 0.1 }}}}]
[[source]]
kind = "modbus-tcp"
name = "tcp"
host = "127.0.0.1"
port = {{tcp}}
timeout_s = 0.2
rest_s = 0.3
unit = [{{{{ address = 1, map = "meter.toml", device = "tcp", every_s = 0.1 }}}}]
[[source]]
kind = "uart"
name = "dust"
device = "dust"
sensor = "pms5003"
port = "{{folder}}/dust"
report_s = 0.1
warm_up_s = 0
silent_s = 0.5
[[source]]
kind = "uart"
name = "co2"
device = "co2"
sensor = "mhz19"
port = "{{folder}}/co2"
report_s = 0.1
poll_s = 0.05
warm_up_s = 0
silent_s = 0.5
[[source]]
kind = "uart"
name = "gnss"
sensor = "nmea"
port = "{{folder}}/gnss"
silent_s = 0.5
[[source]]
kind = "i2c"
name = "air"
device = "air"
chip = "scd41"
report_s = 0.1
sample_s = 0.02
[[source]]
kind = "contact"
name = "door"
device = "door"
pin = 17
key = "cabinet_door_open"
debounce_ms = 5
heartbeat_s = 0.1
[[source]]
kind = "file"
name = "log"
device = "log"
path = "log.csv"
poll_s = 0.05
column = [{{{{ column = "v", key = "vehicle_count" }}}}]
[[source]]
kind = "http"
name = "page"
device = "page"
url = "{{url}}"
interval_s = 0.1
timeout_s = {HTTP_S}
column = [{{{{ column = "v", key = "vehicle_count" }}}}]
[[source]]
kind = "nodes"
name = "nodes"
url = "mqtt://127.0.0.1:{{broker}}"
user = "ingest"
password_file = "secret"
devices = ["{NODE}"]
"""


class Street:
    """Every instrument; the bench of a test that pulls them out, spoils what they say, or makes them silent."""

    def __init__(self, folder: Path, broker: MosquittoServer) -> None:
        self.folder, self.broker = folder, broker
        self.url = ""
        """Of the page, which `answer` gives."""
        self.rtu, self.tcp = RtuLine(folder / "rtu", [meter(1)]), TcpServer([meter(1)])
        self.dust = SerialLine(folder / "dust", Pms5003(), lambda: DUST, period_s=0.02)
        self.co2 = SerialLine(folder / "co2", Mhz19(), lambda: {"co2": 612})
        self.gnss = SerialLine(folder / "gnss", Nmea(), lambda: PLACE, period_s=0.05)
        self.chip = Scd41Model(lambda: AIR)
        self.i2c = I2cBus({CHIP: self.chip})
        self.pins = MockFactory()
        self.log = folder / "log.csv"
        self.line, self.page, self.chatters = "1\n", "well", False
        self.payload: bytes | None = None
        self.over = threading.Event()

    def configure(self) -> Path:
        """Write the gateway's configuration; all instruments are there already."""
        write_map(self.folder)
        (self.folder / "secret").write_text(self.broker.password("ingest"))
        path = self.folder / "gateway.toml"
        path.write_text(
            CONFIG.format(folder=self.folder, tcp=self.tcp.port, url=self.url, broker=self.broker.port)
        )
        return path

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        """All are plugged in, the log grows, the node speaks."""
        self.log.write_text("v\n")
        with ExitStack() as wires:
            for wire in (self.dust, self.co2, self.gnss):
                wires.enter_context(wire)
            node = wires.enter_context(Client(self.broker, "simulator", "node"))
            node.mqtt.reconnect_delay_set(1, 1)
            async with self.rtu, self.tcp:
                living = asyncio.create_task(self._live(node))
                try:
                    yield
                finally:
                    self.over.set()
                    living.cancel()
                    await asyncio.gather(living, return_exceptions=True)

    def answer(self, asked: http.server.BaseHTTPRequestHandler) -> None:
        """What the page's server says."""
        if self.page == "gone":
            asked.close_connection = True
        elif self.page == "garbage":
            asked.wfile.write(b"\x00\x01 no http\r\n\r\n")
        elif self.page == "silent":
            self.over.wait(4 * HTTP_S)
        else:
            asked.send_response(200)
            asked.send_header("Content-Length", str(len(SAID)))
            asked.end_headers()
            asked.wfile.write(SAID)

    async def _live(self, node: Client) -> None:
        """Twenty rows, records and perhaps many edges a second."""
        seq, pin = 0, self.pins.pin(17)
        topic = topics.topic("korce", NODE, topics.OBS)
        while True:
            seq += 1
            if self.log.exists():
                with self.log.open("a") as file:
                    file.write(self.line)
            said = msgspec.json.encode(records.obs("0badcafe", seq, None, seq, "none", {"pm2_5": 1}))
            node.mqtt.publish(topic, self.payload or said, 1)
            for _ in range(25):
                if self.chatters and pin.when_changed:
                    pin.drive_low()
                    pin.drive_high()
                await asyncio.sleep(0.002)


Deed = Callable[[Street], Any]
"""What is done to a street; what it returns is awaited if it can be."""


def _put(path: str, value: Any) -> Deed:
    """Set an attribute of one of the street's parts."""
    name, _dot, attribute = path.rpartition(".")

    def deed(street: Street) -> None:
        setattr(getattr(street, name) if name else street, attribute, value)

    return deed


def _unit(line: str, fault: Fault) -> Deed:
    def deed(street: Street) -> None:
        getattr(street, line).units[1].fault = fault

    return deed


_SERIAL = ("dust", "co2", "gnss")
_GARBLED = Fault(before=b"\xde\xad\xbe\xef", cut=6)
HARMS: dict[str, dict[str, tuple[Deed, Deed]]] = {
    "unplugged": {
        "rtu": (lambda street: street.rtu.unplug(), lambda street: street.rtu.plug()),
        "tcp": (lambda street: street.tcp.stop(), lambda street: street.tcp.start()),
        "dust": (lambda street: street.dust.unplug(), lambda street: street.dust.plug()),
        "co2": (lambda street: street.co2.unplug(), lambda street: street.co2.plug()),
        "gnss": (lambda street: street.gnss.unplug(), lambda street: street.gnss.plug()),
        "air": (
            lambda street: street.i2c.chips.pop(CHIP),
            lambda street: street.i2c.chips.update({CHIP: street.chip}),
        ),
        "log": (lambda street: street.log.unlink(), lambda street: street.log.write_text("v\n")),
        "page": (_put("page", "gone"), _put("page", "well")),
        "nodes": (lambda street: street.broker.kill(), lambda street: asyncio.to_thread(street.broker.start)),
    },
    "garbage": {
        **{line: (_unit(line, _GARBLED), _unit(line, Fault())) for line in ("rtu", "tcp")},
        **{
            wire: (_put(f"{wire}.faults", Faults(bad_checksum=1.0)), _put(f"{wire}.faults", Faults()))
            for wire in _SERIAL
        },
        "air": (
            lambda street: street.i2c.spoilt.update({CHIP: 1 << 30}),
            lambda street: street.i2c.spoilt.clear(),
        ),
        "door": (_put("chatters", True), _put("chatters", False)),
        "log": (_put("line", "?\n"), _put("line", "1\n")),
        "page": (_put("page", "garbage"), _put("page", "well")),
        "nodes": (_put("payload", b"{broken"), _put("payload", None)),
    },
    "silence": {
        **{line: (_unit(line, Fault(silent=True)), _unit(line, Fault())) for line in ("rtu", "tcp")},
        **{wire: (_put(f"{wire}.silent", True), _put(f"{wire}.silent", False)) for wire in _SERIAL},
        "air": (_put("i2c.held_down", True), _put("i2c.held_down", False)),
        "page": (_put("page", "silent"), _put("page", "well")),
    },
}
"""By what happens and to which source: how it is done, and undone. A quiet log, node or door is no fault."""
