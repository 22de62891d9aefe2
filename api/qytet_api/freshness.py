"""How old a reading may grow before people should no longer take it for the present."""

__all__ = ["stale_after_s"]

# Three reporting intervals. Lamp controllers report every 15 minutes, most others every minute;
# five minutes leave room for a gateway that batches.
_MINUTE_REPORTERS = 300
_QUARTER_REPORTERS = 2700
_QUARTER_PROFILES = frozenset({"lamp_controller"})


def stale_after_s(profile: str) -> int:
    """Seconds after which a reading of that kind of device is stale."""
    return _QUARTER_REPORTERS if profile in _QUARTER_PROFILES else _MINUTE_REPORTERS
