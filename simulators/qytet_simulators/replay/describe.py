"""Where a recording's devices are registered: the description that `qytet device register` reads."""

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from qytet.errors import InputError
from qytet_simulators.replay.mapping import DeviceRule
from qytet_simulators.replay.recording import Recording

__all__ = ["description"]

_DAY_MS = 86_400_000


def description(recording: Recording) -> dict[str, Any]:
    """Cities, sites and devices as plain data; service begins at the UTC midnight before the first record.

    Raises InputError for a device that no [[device]] rule of the mapping places.
    """
    mapping = recording.mapping
    first, _ = recording.staging.span()
    since = datetime.fromtimestamp(first // _DAY_MS * _DAY_MS / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    city = mapping.city.city
    return {
        "cities": [msgspec.to_builtins(mapping.city)],
        "sites": [{"city": city, **msgspec.to_builtins(site)} for site in mapping.site],
        "devices": [
            {
                "device": device,
                "city": city,
                "site": rule.site,
                "profile": rule.profile,
                "valid_from": since,
                "datastreams": keys,
            }
            for device, keys in recording.staging.streams.items()
            for rule in [_rule(recording, device)]
        ],
    }


def _rule(recording: Recording, device: str) -> DeviceRule:
    for rule in recording.mapping.device:
        if fnmatchcase(device, rule.device):
            return rule
    raise InputError(
        f"The mapping {recording.mapping.name} does not say where {device} stands.",
        do="Add a [[device]] table whose pattern fits it.",
    )
