"""What each kind of device measures: its properties, channels, reporting interval and the grain of its readings."""

from dataclasses import dataclass

_HEALTH = ("rssi", "board_temperature")


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of device; ``channels`` numbers the channels of ``per_channel`` (``lane`` gives lane1, lane2, ...)."""

    name: str
    kind: str
    interval_s: float
    single: tuple[str, ...] = ()
    per_channel: tuple[str, ...] = ()
    channel: str = ""
    channels: int = 0

    def datastreams(self, channels: int) -> tuple[str, ...]:
        """Keys ``property`` or ``property:channel`` of a device with so many channels."""
        numbered = tuple(
            f"{name}:{self.channel}{number}" for number in range(1, channels + 1) for name in self.per_channel
        )
        return numbered + self.single


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "air_station",
            "air",
            60,
            (
                "pm1",
                "pm2_5",
                "pm10",
                "no2",
                "o3",
                "co",
                "air_temperature",
                "relative_humidity",
                "air_pressure",
                *_HEALTH,
            ),
        ),
        Profile(
            "weather_station",
            "air",
            60,
            (
                "air_temperature",
                "relative_humidity",
                "dew_point_temperature",
                "air_pressure",
                "wind_speed",
                "wind_speed_of_gust",
                "wind_from_direction",
                "solar_irradiance",
                "precipitation_amount",
                *_HEALTH,
            ),
        ),
        Profile(
            "lamp_controller",
            "lighting",
            900,
            ("lamp_supply_voltage", *_HEALTH),
            (
                "lamp_active_power",
                "lamp_dimming_level",
                "lamp_supply_current",
                "lamp_power_factor",
                "lamp_energy_total",
            ),
            "lamp",
            4,
        ),
        Profile(
            "lighting_cabinet",
            "lighting",
            60,
            ("cabinet_active_power", "photocell_illuminance", "grid_frequency", *_HEALTH),
            ("grid_phase_voltage", "grid_current"),
            "l",
            3,
        ),
        Profile(
            "water_dma", "water", 60, ("water_flow_rate", "water_volume_total", "water_pressure", *_HEALTH)
        ),
        Profile(
            "water_tank",
            "water",
            60,
            (
                "water_tank_level",
                "water_flow_rate:inlet",
                "water_flow_rate:outlet",
                "pump_running",
                "pump_active_power",
                *_HEALTH,
            ),
        ),
        Profile(
            "water_quality",
            "water",
            60,
            (
                "water_ph",
                "water_free_chlorine",
                "water_turbidity",
                "water_conductivity",
                "water_temperature",
                *_HEALTH,
            ),
        ),
        Profile(
            "traffic_counter",
            "traffic",
            60,
            _HEALTH,
            ("vehicle_count", "vehicle_speed_mean", "lane_occupancy"),
            "lane",
            2,
        ),
    )
}

# Grain of the reading that a device of the trade sends, in the property's unit.
GRAIN: dict[str, float] = {
    "pm1": 0.1,
    "pm2_5": 0.1,
    "pm10": 0.1,
    "no2": 0.1,
    "o3": 0.1,
    "co": 0.01,
    "air_temperature": 0.1,
    "relative_humidity": 0.1,
    "dew_point_temperature": 0.1,
    "air_pressure": 0.1,
    "wind_speed": 0.1,
    "wind_speed_of_gust": 0.1,
    "wind_from_direction": 1,
    "solar_irradiance": 1,
    "precipitation_amount": 0.01,
    "lamp_active_power": 0.1,
    "lamp_dimming_level": 1,
    "lamp_supply_voltage": 0.1,
    "lamp_supply_current": 0.001,
    "lamp_power_factor": 0.001,
    "lamp_energy_total": 0.001,
    "cabinet_active_power": 0.001,
    "photocell_illuminance": 0.1,
    "grid_phase_voltage": 0.01,
    "grid_current": 0.01,
    "grid_frequency": 0.001,
    "water_flow_rate": 0.01,
    "water_volume_total": 0.01,
    "water_pressure": 0.001,
    "water_tank_level": 0.001,
    "pump_running": 1,
    "pump_active_power": 0.1,
    "water_ph": 0.01,
    "water_free_chlorine": 0.01,
    "water_turbidity": 0.01,
    "water_conductivity": 1,
    "water_temperature": 0.1,
    "vehicle_count": 1,
    "vehicle_speed_mean": 0.1,
    "lane_occupancy": 0.1,
    "rssi": 1,
    "board_temperature": 0.1,
}
