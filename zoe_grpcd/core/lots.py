"""Luck without a generator: a number in 0..1 for a name, the same whenever the same lots are drawn."""

from zlib import crc32

from zoe_grpcd.core.key import Key

_BITS = 2**64 - 1


class Lots:
    """All lots of one drawing; `number` says which drawing it is, and near numbers have nothing to do with each other."""

    __slots__ = ("_seed",)

    def __init__(self, number: int) -> None:
        self._seed = mixed(number)

    def of(self, key: Key) -> float:
        """The lot of somebody: above 0, at most 1, uniform over the drawings."""
        name = crc32(f"{key[0]}\0{key[1]}".encode())
        return (mixed(self._seed ^ name) + 1) / 2.0**64


def mixed(number: int) -> int:
    """64 bits in which each bit of the number counts: splitmix64 (Steele, Lea and Flood 2014)."""
    z = (number + 0x9E3779B97F4A7C15) & _BITS
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _BITS
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _BITS
    return z ^ (z >> 31)
