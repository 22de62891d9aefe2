"""What all sensors of a city share at an instant: civil time, sun, weather and how busy the streets are.

A ``Scene`` computes each part once, when a model first asks for it, for an array of instants of any shape.
"""

from functools import cached_property

from qytet_simulators.city import habits, sun
from qytet_simulators.city.arrays import Floats, Millis
from qytet_simulators.city.clock import LocalTime, local_time
from qytet_simulators.city.fleet import City
from qytet_simulators.city.weather import Weather, weather_at


class Scene:
    """The state of one city at many instants."""

    def __init__(self, city: City, seed: int, t_ms: Millis) -> None:
        self.city = city
        self.seed = seed
        self.t_ms = t_ms

    @cached_property
    def local(self) -> LocalTime:
        """Civil time."""
        return local_time(self.t_ms, self.city.time_zone)

    @cached_property
    def sun_deg(self) -> Floats:
        """Elevation of the sun in degrees."""
        return sun.elevation_deg(self.t_ms, self.city.lat, self.city.lon)

    @cached_property
    def weather(self) -> Weather:
        """The weather over the city."""
        return weather_at(self.city, self.seed, self.t_ms, self.local, self.sun_deg)

    @cached_property
    def street_activity(self) -> Floats:
        """Traffic demand as a share of a working day's peak."""
        return habits.traffic(self.local)
