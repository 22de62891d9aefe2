"""Dust, gases, weather and light at their buses."""

from qytet_simulators.hardware.fitting.bench import Bench, Row, keyed
from qytet_simulators.hardware.ports import OneWireDevice, UartDevice
from qytet_simulators.hardware.sensors.bh1750 import Bh1750
from qytet_simulators.hardware.sensors.bme280 import Bme280
from qytet_simulators.hardware.sensors.bme688 import Bme688
from qytet_simulators.hardware.sensors.ds18b20 import Ds18b20
from qytet_simulators.hardware.sensors.pms5003 import Pms5003
from qytet_simulators.hardware.sensors.scd41 import Scd41
from qytet_simulators.hardware.sensors.sds011 import Sds011
from qytet_simulators.hardware.sensors.sps30 import Sps30
from qytet_simulators.instruments.i2c import ChipModel

__all__ = ["bh1750", "bme280", "bme688", "ds18b20", "pms5003", "scd41", "sds011", "sps30"]

_WEATHER = ("air_temperature", "relative_humidity", "air_pressure")


def sps30(bench: Bench, row: Row, _: Row) -> UartDevice:
    """An SPS30."""
    keys = ("pm1", "pm2_5", "pm4", "pm10", "particle_number_concentration_pm0_5")
    return bench.on_uart(row, Sps30(bench.truth(row, *keys), seed=bench.seed(row)))


def pms5003(bench: Bench, row: Row, _: Row) -> UartDevice:
    """A PMS5003."""
    return bench.on_uart(row, Pms5003(bench.truth(row, "pm1", "pm2_5", "pm10"), seed=bench.seed(row)))


def sds011(bench: Bench, row: Row, _: Row) -> UartDevice:
    """An SDS011."""
    return bench.on_uart(row, Sds011(bench.truth(row, "pm2_5", "pm10"), seed=bench.seed(row)))


def scd41(bench: Bench, row: Row, options: Row) -> ChipModel:
    """An SCD41."""
    return bench.on_i2c(row, options, Scd41(bench.truth(row, "co2", *_WEATHER[:2])), 0x62)


def bme280(bench: Bench, row: Row, options: Row) -> ChipModel:
    """A BME280."""
    return bench.on_i2c(row, options, Bme280(bench.truth(row, *_WEATHER)), 0x76)


def bme688(bench: Bench, row: Row, options: Row) -> ChipModel:
    """A BME688."""
    return bench.on_i2c(row, options, Bme688(bench.truth(row, *_WEATHER, "gas_resistance")), 0x76)


def bh1750(bench: Bench, row: Row, options: Row) -> ChipModel:
    """A BH1750 in daylight."""
    key = options.get("key", "photocell_illuminance")
    return bench.on_i2c(row, options, Bh1750(bench.world.now(illuminance=key)), 0x23)


def ds18b20(bench: Bench, row: Row, options: Row) -> OneWireDevice:
    """A DS18B20, one of perhaps several on its wire."""
    key = keyed(options.get("name", "water_temperature"), row)
    line = bench.wiring.onewire.setdefault(bench.pin(row["bus"]), [])
    chip = Ds18b20(bench.world.now(temperature=key), serial=len(line) + bench.world.seed * 8)
    if "rom" in options:
        chip.rom = bytes.fromhex(options["rom"])
    line.append(chip)
    return chip
