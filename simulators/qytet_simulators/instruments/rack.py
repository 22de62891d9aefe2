"""A rack of simulated instruments with the configuration of a gateway that reads them: a bench without hardware.

An energy meter on a Modbus line, a dust sensor and a CO2 sensor on serial lines; what they show follows the hour of
the day, so that a reading can be compared with the truth at its instant.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from struct import pack, unpack

from qytet.broker import BrokerUrl
from qytet.errors import InputError
from qytet_simulators.city.fleet import load_fleet
from qytet_simulators.device.describe import city_row, device_row, site_row
from qytet_simulators.instruments.modbus_rtu import RtuLine
from qytet_simulators.instruments.modbus_unit import Fault, ModbusUnit, Register
from qytet_simulators.instruments.uart import Faults, SerialLine
from qytet_simulators.instruments.uart_models import Mhz19, Pms5003

__all__ = ["CONFIG", "DEVICES", "GATEWAY", "METER", "Rack", "meter_truth"]

CONFIG, DEVICES = "qytet-edge.toml", "devices.json"
"""Names of the files that `Rack.prepare` writes."""
GATEWAY, METER = "tirana-bench-gw", "tirana-bench-meter"
_PASSWORD = "broker_password"  # noqa: S105 - a file's name
_SHAKY = Faults(bad_checksum=0.05, truncated=0.05, garbage=0.05)
_KWH = 8123.75

_GATEWAY_TOML = """\
# A gateway that reads the simulated instruments beside this file; `qytet edge run --config` takes it.
[gateway]
city = "tirana"
name = "{gateway}"
data_dir = {data_dir}

[uplink]
url = "{url}"
{user}version = "3.1.1"                  # the embedded broker speaks no other

[spool]
commit_ms = 100

[clock]
trust = "host"                     # on a bench the computer's clock is believed

[health]
interval_s = 10

[[source]]
kind = "modbus-rtu"
name = "meters"
port = {meter_port}
baud = 9600
[[source.unit]]
address = 1
map = "eastron-sdm120"
device = "{meter}"
every_s = 1

[[source]]
kind = "uart"
name = "dust"
sensor = "pms5003"
port = {dust_port}
report_s = 5
warm_up_s = 2                      # a real fan needs 30

[[source]]
kind = "uart"
name = "co2"
sensor = "mhz19"
port = {co2_port}
report_s = 5
poll_s = 1
warm_up_s = 2                      # a real lamp needs 180
"""
_METER_KEYS = (
    "grid_phase_voltage", "grid_current", "grid_active_power", "grid_apparent_power", "grid_reactive_power",
    "grid_power_factor", "grid_frequency", "grid_energy_import_total",
)  # fmt: skip
_OWN_KEYS = ("pm1", "pm2_5", "pm10", "co2")


def meter_truth(second: int) -> dict[int, float]:
    """What the meter shows in a second of Unix time: an SDM120's input register to V, A, W, V.A, var, 1, Hz, kW.h."""
    day = math.sin(second % 86_400 / 86_400 * 2 * math.pi - 2)
    volts, watts, factor = (
        231.0 + 2.5 * math.sin(second / 97),
        900 + 600 * day + 40 * math.sin(second / 7),
        0.95,
    )
    apparent = watts / factor
    reactive = math.sqrt(apparent**2 - watts**2)
    hertz = 50 + 0.02 * math.sin(second / 31)
    kwh = _KWH + (second - 1_700_000_000) / 3_600_000 * 900
    return {
        0: volts,
        6: apparent / volts,
        12: watts,
        18: apparent,
        24: reactive,
        30: factor,
        70: hertz,
        72: kwh,
    }


class _Meter(ModbusUnit):
    """An answer shows one second, however long it takes: else a number might have its halves from two."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(1, {4: self._registers()})
        self._now = now
        self._second = 0

    def answer(self, pdu: bytes, fault: Fault) -> bytes:
        """The answer of this second."""
        self._second = int(self._now())
        return super().answer(pdu, fault)

    def _registers(self) -> dict[int, Register]:
        table: dict[int, Register] = {}
        for address in meter_truth(0):
            table[address], table[address + 1] = self._word(address, 0), self._word(address, 1)
        for address in range(80):  # a meter answers for what lies between, too
            table.setdefault(address, 0)
        return table

    def _word(self, address: int, place: int) -> Callable[[], int]:
        def word() -> int:
            return int(unpack(">HH", pack(">f", meter_truth(self._second)[address]))[place])

        return word


class Rack:
    """The instruments in a folder. `shaky`: one frame in seven is spoilt, and the meter is silent now and then."""

    def __init__(self, folder: Path, *, shaky: bool = False, now: Callable[[], float] = time.time) -> None:
        self.folder = folder.resolve()
        self._shaky = shaky
        self._now = now
        self.meter = _Meter(now)
        self.dust = SerialLine(
            self.folder / "dust", Pms5003(), self._dust, period_s=1.0, faults=_SHAKY if shaky else None
        )
        self.co2 = SerialLine(self.folder / "co2", Mhz19(), self._co2, faults=_SHAKY if shaky else None)

    def prepare(self, broker_url: str) -> None:
        """Write the gateway's configuration and its description for the registry. Raises InputError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for port in ("meters", "dust", "co2"):
                if (self.folder / port).is_symlink():  # left by a process that was killed
                    (self.folder / port).unlink()
            self._write_config(broker_url)
        except OSError as error:
            raise InputError(f"The bench {self.folder} cannot be set up.", why=str(error)) from error

    async def run(self, stop: asyncio.Event, there: asyncio.Event | None = None) -> None:
        """Be there until `stop` is set; sets `there` once all ports are."""
        with ExitStack() as stack:
            stack.enter_context(self.dust)
            stack.enter_context(self.co2)
            async with RtuLine(self.folder / "meters", [self.meter]):
                if self._shaky:
                    self.meter.fault = Fault(pieces=3)
                    self.meter.faults.extend(Fault(silent=n % 7 == 0, pieces=3) for n in range(100_000))
                if there is not None:
                    there.set()
                await stop.wait()

    def _write_config(self, broker_url: str) -> None:
        broker = BrokerUrl.parse(broker_url)
        user = ""
        if broker.user:
            secret = self.folder / _PASSWORD
            secret.touch(mode=0o600)
            secret.write_text(broker.password + "\n", encoding="utf-8")
            user = f'user = "{broker.user}"\npassword_file = "{_PASSWORD}"\n'
        text = _GATEWAY_TOML.format(
            gateway=GATEWAY,
            meter=METER,
            url=f"{'mqtts' if broker.tls else 'mqtt'}://{broker}",
            user=user,
            data_dir=json.dumps(str(self.folder / "gateway")),
            meter_port=json.dumps(str(self.folder / "meters")),
            dust_port=json.dumps(str(self.folder / "dust")),
            co2_port=json.dumps(str(self.folder / "co2")),
        )
        (self.folder / CONFIG).write_text(text, encoding="utf-8")
        description = json.dumps(_description(), ensure_ascii=False, indent=1)
        (self.folder / DEVICES).write_text(description + "\n", encoding="utf-8")

    def _dust(self) -> Mapping[str, float]:
        fine = round(12 + 8 * math.sin(self._now() / 60))
        return {"pm1": fine - 3, "pm2_5": fine, "pm10": fine + 9}

    def _co2(self) -> Mapping[str, float]:
        return {"co2": round(520 + 90 * math.sin(self._now() / 120))}


def _description() -> dict[str, object]:
    """The gateway, and the meter behind it, at Tirana's first site."""
    fleet = load_fleet(["tirana"])
    site = fleet.sites[0]
    meter = device_row(METER, site, "power", _METER_KEYS) | {"gateway": GATEWAY}
    return {
        "cities": [city_row(city) for city in fleet.cities],
        "sites": [site_row(site)],
        "devices": [device_row(GATEWAY, site, "gateway", _OWN_KEYS), meter],
    }
