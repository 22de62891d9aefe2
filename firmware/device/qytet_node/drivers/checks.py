"""Checksums of Sensirion's words."""

import struct


def crc8_sensirion(data):
    """CRC-8 of Sensirion's words: polynomial 0x31, from 0xFF (SCD4x datasheet 3.12; 0xBEEF gives 0x92)."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x31) & 0xFF if crc & 0x80 else crc << 1
    return crc


def words(data, signed=False):
    """Sensirion's words, each checked: two bytes and their CRC. Raises ValueError at the first that is wrong."""
    found = []
    for start in range(0, len(data), 3):
        if start + 3 > len(data) or crc8_sensirion(data[start : start + 2]) != data[start + 2]:
            raise ValueError("word %d" % (start // 3))
        found.append(struct.unpack_from(">h" if signed else ">H", data, start)[0])
    return found
