"""Randomness without a stream: the same key and instant give the same number, whoever asks, in any order.

Numbers come from the SplitMix64 finaliser (Steele, Lea, Flood 2014) over (key, counter), in integer arithmetic,
so that they agree to the bit between machines, chunk sizes and subsets of devices.
"""

from hashlib import blake2b

import numpy as np

from qytet_simulators.city.arrays import Floats, Keys, Millis

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_LOW16 = np.uint64(0xFFFF)
_IRWIN_HALL_SD = 65536 * (4 / 12) ** 0.5  # of the sum of four uniform 16-bit integers
_SMOOTH_SD = 0.8619  # of a smoothstep between two unit normals, averaged over the interval


def key_of(*parts: object) -> np.uint64:
    """The 64-bit key that these names stand for."""
    text = "\x1f".join(str(part) for part in parts)
    return np.uint64(int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little"))


def bits(key: Keys | np.uint64, counter: Millis) -> Keys:
    """64 random bits for each counter (an array: overflow wraps around in silence, as it must)."""
    x = counter.astype(np.uint64) * _GAMMA + key
    x = (x ^ (x >> np.uint64(30))) * _MIX1
    x = (x ^ (x >> np.uint64(27))) * _MIX2
    mixed: Keys = x ^ (x >> np.uint64(31))
    return mixed


def uniform(key: Keys | np.uint64, counter: Millis) -> Floats:
    """Uniform in [0, 1)."""
    return (bits(key, counter) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(key: Keys | np.uint64, counter: Millis) -> Floats:
    """Mean 0, deviation 1, nearly normal, never beyond 3.47: the sum of four uniform numbers (Irwin-Hall)."""
    x = bits(key, counter)
    total = (
        (x & _LOW16) + (x >> np.uint64(16) & _LOW16) + (x >> np.uint64(32) & _LOW16) + (x >> np.uint64(48))
    )
    unit: Floats = (total.astype(np.float64) - 131070.0) / _IRWIN_HALL_SD
    return unit


def smooth(key: Keys | np.uint64, t_ms: Millis, period_ms: int) -> Floats:
    """A continuous path of mean 0 and deviation about 1 whose values a period apart are independent."""
    index = t_ms // period_ms
    f = (t_ms - index * period_ms) / period_ms
    start = normal(key, index)
    path: Floats = (start + (normal(key, index + 1) - start) * (f * f * (3 - 2 * f))) / _SMOOTH_SD
    return path


def poisson(key: Keys | np.uint64, counter: Millis, mean: Floats) -> Floats:
    """Whole numbers with this mean: inverted exactly up to a mean of 40, a rounded normal above."""
    u = uniform(key, counter)
    small = np.minimum(mean, 40.0)
    term = np.exp(-small)
    cumulative = term.copy()
    count = np.zeros_like(u)
    for k in range(1, 100):
        above = u >= cumulative
        if not above.any():
            break
        count += above
        term = term * small / k
        cumulative += term
    if (mean <= 40.0).all():
        return count
    wide = np.rint(mean + np.sqrt(mean) * normal(key, counter))
    return np.where(mean > 40.0, np.maximum(wide, 0.0), count)
