"""A city as its sensors see it: a fleet at real places and the models of what each device measures."""

from qytet_simulators.city.fleet import Device, Fleet, Site, load_fleet
from qytet_simulators.city.model import CityModel, Reading, Series
from qytet_simulators.city.waterworks import Leak

__all__ = ["CityModel", "Device", "Fleet", "Leak", "Reading", "Series", "Site", "load_fleet"]
