"""Checksums of the frames of several makers' sensors."""


def crc8_maxim(data):
    """CRC-8 of 1-Wire devices: polynomial 0x31 reflected, from 0 (Maxim application note 27)."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8C if crc & 1 else crc >> 1
    return crc


def crc16_modbus(data):
    """CRC-16 of Modbus RTU: polynomial 0xA001 from 0xFFFF, sent low byte first (Modbus over serial line 2.5.1.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc
