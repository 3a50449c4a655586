"""Random numbers that are the same on every backend."""

from __future__ import annotations

from backends.plain.library import Array, Library

MULTIPLIERS = 0xD2E7470EE14C6C93, 0xCA5A826395121157
WEYL = 0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B
ROUNDS = 10
_LOW, _ALL = (1 << 32) - 1, (1 << 64) - 1


class Random(Library):
    """Random numbers that are the same on every backend: the plain twins."""

    def random_bits(self, key: tuple[int, int], draws: Array, count: int, first: int = 0) -> Array:
        """Return random 32-bit integers from the counter-based generator Philox4x64-10.

        They are those of `np.random.Philox(key=key, counter=[0, draws, 0, 0])`: each 64-bit number gives
        two, the lower half first. The numbers depend only on key and draw, so every backend and every
        replay of a captured step computes the same ones. With `first`, each share of a batch draws the
        numbers of its own elements, and does not compute those before them.

        Source: Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, 2011.

        Args:
            key: two 64-bit integers.
            draws: a 0-d uint64 array: how often the generator has drawn before.
            count: how many integers to return.
            first: how many integers of this draw come before them, at least 0.

        Returns:
            (count,), uint32.
        """
        xp = self.xp
        before, skipped = divmod(first, 8)  # a block of the counter gives eight integers
        begin, blocks = before + 1, -(-(skipped + count) // 8)  # NumPy's counter begins at 1
        block = xp.arange(begin, begin + blocks, dtype=xp.uint64)
        zero = xp.zeros_like(block)
        a, b, c, d = block, zero + draws, zero, zero
        for number in range(ROUNDS):
            key_a, key_c = (key[i] + number * WEYL[i] & _ALL for i in range(2))
            high_a, low_a = _product(a, MULTIPLIERS[0])
            high_c, low_c = _product(c, MULTIPLIERS[1])
            a, b, c, d = high_c ^ b ^ key_a, low_c, high_a ^ d ^ key_c, low_a
        words = xp.stack([a, b, c, d], axis=1).reshape(-1)
        halves = xp.stack([words & _LOW, words >> 32], axis=1).reshape(-1)
        return halves[skipped : skipped + count].astype(xp.uint32)


def _product(a: Array, factor: int) -> tuple[Array, Array]:
    """Return the upper and the lower 64 bits of a · factor, by products of 32-bit halves."""
    low, high = a & _LOW, a >> 32
    of_low, of_high = factor & _LOW, factor >> 32
    lowest = low * of_low
    middle = high * of_low + (lowest >> 32)
    other = low * of_high + (middle & _LOW)
    return high * of_high + (middle >> 32) + (other >> 32), (other << 32) | (lowest & _LOW)
