"""What serial sensors say, byte for byte, and how they answer commands; written from the makers' manuals."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Mhz19", "Model", "Nmea", "Pms5003", "Sds011"]


class Model(Protocol):
    """One type of sensor."""

    awake: bool
    """Whether it speaks by itself."""
    checksum_at: int
    """Index of a byte of the checksum in a frame."""

    def frame(self, values: Mapping[str, float]) -> bytes:
        """The frame that says `values`."""

    def heard(self, data: bytes) -> int:
        """Obey what came in; returns how many frames it says in answer."""


class Pms5003:
    """Plantower PMS5003; `values`: pm1, pm2_5, pm10 in ug/m3, whole."""

    checksum_at = 31

    def __init__(self) -> None:
        self.awake = True

    def frame(self, values: Mapping[str, float]) -> bytes:
        """32 bytes; the factory dust words are another value on purpose."""
        air = [int(values[name]) for name in ("pm1", "pm2_5", "pm10")]
        words = [7777, 7777, 7777, *air, 1200, 400, 90, 12, 3, 1, 0x9700]
        body = b"BM\x00\x1c" + b"".join(word.to_bytes(2, "big") for word in words)
        return body + sum(body).to_bytes(2, "big")

    def heard(self, data: bytes) -> int:
        """Sleep and wake."""
        self.awake = _last(
            data, {b"BM\xe4\x00\x00\x01\x73": False, b"BM\xe4\x00\x01\x01\x74": True}, self.awake
        )
        return 0


class Sds011:
    """Nova SDS011; `values`: pm2_5 and pm10 in ug/m3, a tenth at best. It answers no command while asleep."""

    checksum_at = 8
    _SLEEP = b"\xaa\xb4\x06\x01\x00" + b"\0" * 10 + b"\xff\xff\x05\xab"
    _WAKE = b"\xaa\xb4\x06\x01\x01" + b"\0" * 10 + b"\xff\xff\x06\xab"

    def __init__(self) -> None:
        self.awake = True

    def frame(self, values: Mapping[str, float]) -> bytes:
        """10 bytes."""
        tenths = [round(values[name] * 10) for name in ("pm2_5", "pm10")]
        data = b"".join(tenth.to_bytes(2, "little") for tenth in tenths) + b"\xa1\x60"
        return b"\xaa\xc0" + data + bytes([sum(data) & 0xFF, 0xAB])

    def heard(self, data: bytes) -> int:
        """Sleep and wake."""
        self.awake = _last(data, {self._SLEEP: False, self._WAKE: True}, self.awake)
        return 0


class Mhz19:
    """Winsen MH-Z19; `values`: co2 in ppm, whole. It speaks only when asked."""

    awake = False
    checksum_at = 8
    _QUESTION = b"\xff\x01\x86\0\0\0\0\0\x79"

    def frame(self, values: Mapping[str, float]) -> bytes:
        """9 bytes."""
        body = b"\x86" + int(values["co2"]).to_bytes(2, "big") + b"\x47\x00\x00\x00"
        return b"\xff" + body + bytes([(0x100 - sum(body)) & 0xFF])

    def heard(self, data: bytes) -> int:
        """One answer a question."""
        return data.count(self._QUESTION)


class Nmea:
    """A satellite receiver; `values`: t_ms (Unix), latitude, longitude, altitude, and valid (0 or 1)."""

    awake = True
    checksum_at = -3

    def frame(self, values: Mapping[str, float]) -> bytes:
        """GGA and RMC of one second."""
        when = datetime.fromtimestamp(values["t_ms"] / 1000, UTC)
        clock = when.strftime("%H%M%S.") + f"{when.microsecond // 10000:02d}"
        place = f"{_minutes(values['latitude'], 2, 'NS')},{_minutes(values['longitude'], 3, 'EW')}"
        valid = bool(values.get("valid", 1))
        gga = f"GNGGA,{clock},{place},{int(valid)},09,0.9,{values['altitude']:.1f},M,39.0,M,,"
        rmc = f"GNRMC,{clock},{'A' if valid else 'V'},{place},0.0,,{when:%d%m%y},,,{'A' if valid else 'N'}"
        return _sentence(gga) + _sentence(rmc)

    def heard(self, data: bytes) -> int:
        """It takes no commands."""
        return 0 * len(data)


def _minutes(degrees: float, digits: int, sides: str) -> str:
    whole, part = divmod(abs(degrees), 1)
    return f"{int(whole):0{digits}d}{part * 60:08.5f},{sides[degrees < 0]}"


def _sentence(body: str) -> bytes:
    check = 0
    for letter in body.encode():
        check ^= letter
    return f"${body}*{check:02X}\r\n".encode()


def _last(data: bytes, meanings: Mapping[bytes, bool], now: bool) -> bool:
    """What the last of these commands in `data` means, or `now` if there is none."""
    found = [(data.rfind(command), meaning) for command, meaning in meanings.items() if command in data]
    return max(found)[1] if found else now
