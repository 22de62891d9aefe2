"""The ESP32's serial loader in ROM, and the port through which esptool and a console reach the simulated board."""

from qytet_simulators.hardware.rom.chips import CHIPS, RomChip
from qytet_simulators.hardware.rom.faults import Act, Fault, Faults
from qytet_simulators.hardware.rom.port import RomPort

__all__ = ["CHIPS", "Act", "Fault", "Faults", "RomChip", "RomPort"]
