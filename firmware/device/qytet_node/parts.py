"""Makes the drivers of a profile: which module, which class, and what each wants to be given.

`hardware` is `hardware.Hardware`, or what behaves like it: buses and pins by the names of the board.
"""

import asyncio

from qytet_node.drivers.serial import SerialPort
from qytet_node.profile import ProfileError

DRIVERS = """
adxl355 ADXL355 i2c 0
bh1750 BH1750 i2c 0
bme280 BME280 i2c 0
bme688 BME688 i2c 0
contact Contact edges 0
current_loop CurrentLoop volts 0
ds18b20 DS18B20 wire 0
electrochemical Electrochemical volts 0
jsn_sr04t JSNSR04T finder 9600
loop Loop edges 0
mmc5603 MMC5603 i2c 0
pir Pir edges 0
pms5003 PMS5003 uart 9600
pulse Pulse edges 0
pzem004t PZEM004T uart 9600
radar Radar uart 115200
scd41 SCD41 i2c 0
sds011 SDS011 uart 9600
sps30 SPS30 uart 115200
tf_luna TFLuna finder 115200
"""
"""Driver, class, what it hangs on, and for a UART its baud rate; one text, as names would stay in memory for ever."""
_EDGES = ("active", "debounce_ms")
_TOTAL = ("start", "every", "every_ms")
_FINDER = ("asked", "blind_mm", "most_mm")


class Parts:
    """`make` gives the driver of a profile's row; what is shared (ports, converters) is made once.

    `rows` are all rows of the profile: by them it is known who shares a port. `folder` keeps totals. `reader(key)`
    gives a function that says what was measured last, for a driver that needs another's value. `motion` are the drivers
    that see something move, each with the flag that it sets.
    """

    def __init__(self, hardware, folder, reader, rows=()):
        self._hardware, self._folder, self._reader = hardware, folder, reader
        self._buses = [row["bus"] for row in rows]
        self._ports, self._locks, self._converters, self._made = {}, {}, {}, {}
        self._makers = {
            "i2c": self._i2c,
            "uart": self._uart,
            "wire": self._wire,
            "finder": self._finder,
            "volts": self._volts,
            "edges": self._edges,
        }
        self.motion = []

    def make(self, row):
        """The driver. Raises ProfileError for what cannot be made."""
        name = row["driver"]
        found = [line.split() for line in DRIVERS.split("\n") if line.startswith(name + " ")]
        if not found:
            raise ProfileError("sensor " + row["name"] + ": there is no driver " + name)
        _, kind, hangs_on, baud = found[0]
        options = dict(row.get("options", {}))
        if "temperature" in options:
            options["temperature"] = self._reader(options["temperature"])
        try:
            driver = self._makers[hangs_on](_class(name, kind), row, options, int(baud))
        except (TypeError, ValueError, KeyError, IndexError, ImportError) as error:
            raise ProfileError("sensor " + row["name"] + ": " + type(error).__name__ + " " + str(error))
        self._made[row["name"]] = driver
        return driver

    def _i2c(self, kind, row, options, _):
        if row["driver"] == "mmc5603":  # what an empty place looks like must outlive a reset
            options["store"] = _class("occupancy", "Kept")(self._folder + "/" + row["name"] + ".base")
        return kind(self._hardware.i2c(row["bus"]), **options)

    def _uart(self, kind, row, options, baud):
        driver = kind(self._port(row["bus"], baud), **options)
        if self._buses.count(row["bus"]) == 1:
            return driver
        from qytet_node.sharing import Shared

        return Shared(driver, self._locks.setdefault(row["bus"], asyncio.Lock()))

    def _wire(self, kind, row, options, _):
        if "rom" in options:
            options["rom"] = bytes.fromhex(options["rom"])
        return kind(self._hardware.wire(_pin(row["bus"], "wire")), **options)

    def _finder(self, kind, row, options, baud):
        own = {key: options.pop(key) for key in _FINDER if key in options}
        finder = kind(self._port(row["bus"], baud), **own)
        return _class("distance", "Distance")(finder, **options)

    def _volts(self, kind, row, options, _):
        _, bus, address, inputs = row["bus"].split(":")
        converter = self._converter(bus, int(address, 16))
        if "no2" in options:
            options["no2"] = self._made[options["no2"]]
        volts = converter.volts
        sources = [(volts, int(one)) for one in inputs.split("+")]
        return kind(*sources, **options)

    def _edges(self, kind, row, options, _):
        settings = {key: options.pop(key) for key in _EDGES if key in options}
        flag = asyncio.ThreadSafeFlag() if row["driver"] == "pir" else None
        pin = self._hardware.input(_pin(row["bus"], "pin"), options.pop("pull", None))
        edges = _class("edges", "Edges")(pin, flag=flag, **settings)
        if options.get("total"):
            kept = {key: options.pop(key) for key in _TOTAL if key in options}
            path = self._folder + "/" + row["name"] + ".total"
            options["store"] = _class("total", "Total")(path, **kept)
        driver = kind(edges, **options)
        if flag is not None:
            self.motion.append((flag, driver))
        return driver

    def _port(self, name, baud):
        if name not in self._ports:
            self._ports[name] = SerialPort(self._hardware.uart(name, baud))
        return self._ports[name]

    def _converter(self, bus, address):
        if (bus, address) not in self._converters:
            self._converters[bus, address] = _class("ads1115", "ADS1115")(self._hardware.i2c(bus), address)
        return self._converters[bus, address]


def _class(module, name):
    """A class of a driver's module; only what a profile names is ever loaded."""
    path = "qytet_node.drivers." + module
    return getattr(__import__(path, None, None, (name,)), name)


def _pin(bus, kind):
    found, _, name = bus.partition(":")
    if found != kind or not name:
        raise ValueError("a bus of " + kind + ":NAME, not " + bus)
    return name
