"""What is wrong with which device: what panels must show, by name."""

DEAD_LAMP = ("tirana-lamp-01", "lamp2")
DARK_GROUP = "durres-lamp-02"
"""All lamps of a controller."""
DAY_BURNER = ("durres-lamp-01", "lamp1")
CYCLING_LAMP = ("korce-lamp-02", "lamp1")
LEAKING = "tirana-dma-02"
LOW_CHLORINE = "tirana-quality-01"
POOR_AIR = "korce-air-01"
STUCK_LANE = ("durres-traffic-02", "lane1")
FLAGGED = "tirana-air-02"
SILENT = "durres-air-02"
GATEWAY = "korce-gw-01"
RELAYED = ("korce-dma-01", "korce-quality-01")
"""Silent, too, as their gateway is."""
ASLEEP = "tirana-dma-01"
LOSSY, DOUBLED, DROPPING, LATE, REJECTED, REBOOTING = (
    "tirana-lamp-02",
    "tirana-traffic-01",
    "korce-lamp-01",
    "durres-quality-01",
    "tirana-air-01",
    "korce-air-02",
)
UNKNOWN = "tirana-air-99"
HEALTHY = ("tirana-weather-01", "durres-dma-01", "korce-tank-01")
"""Nothing was done to these."""

SILENT_H, GATEWAY_SILENT_H = 5, 3
