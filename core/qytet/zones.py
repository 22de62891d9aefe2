"""Zones as configurations name them: an IANA name, a fixed offset, or "stamp" where each stamp carries its own."""

import re
from datetime import timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["zone_of"]


def zone_of(name: str) -> tzinfo | None:
    """The zone that `name` means; None for "stamp". Raises ValueError."""
    if name == "stamp":
        return None
    offset = re.fullmatch(r"([+-])(\d\d):(\d\d)", name)
    if offset:
        size = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-size if offset[1] == "-" else size)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"zone {name!r} is not an IANA name, an offset such as +01:00, or stamp") from error
