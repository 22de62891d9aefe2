"""Time from a server by SNTP (RFC 4330): one question, one answer, checked before it is believed."""

import struct

PORT = 123
_UNIX_OF_NTP = 2208988800
"""Seconds from 1900, where NTP counts from, to 1970."""
_ERA = 1 << 32
"""NTP's seconds begin anew on 2036-02-07: a number below half of it belongs to the next era."""


def question(transmit):
    """The packet to send (48 bytes); `transmit` are 8 random bytes that the answer must repeat."""
    return bytes((0x23,)) + bytes(39) + transmit  # no warning, version 4, client


def answer(packet, transmit):
    """Unix milliseconds of an answer; None if it is not to be believed: forged, unsynchronised, a kiss of death."""
    if len(packet) < 48 or packet[24:32] != transmit:
        return None
    leap, mode, stratum = packet[0] >> 6, packet[0] & 7, packet[1]
    if leap == 3 or mode != 4 or not 1 <= stratum <= 15:
        return None
    seconds, fraction = struct.unpack_from(">II", packet, 40)
    if not seconds and not fraction:
        return None
    if seconds < _ERA >> 1:
        seconds += _ERA
    return (seconds - _UNIX_OF_NTP) * 1000 + ((fraction * 1000) >> 32)
