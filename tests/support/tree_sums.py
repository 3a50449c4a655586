"""Sums of a group, on several ranks. Each checks them against a tree that it computes alone."""

import numpy as np

import scratchnet as sn
from scratchnet.training.parallel.turns import tree


def numbers(rank, size, dtype):
    rng = np.random.default_rng([rank, size])
    scale = 10.0 ** rng.integers(-6, 6, size)
    return (rng.standard_normal(size) * scale).astype(dtype)


with sn.data_parallel(timeout=20) as ranks:
    group = ranks.group
    for dtype in np.float32, np.float64:
        for size in 1, 3, 1000, 100_001:
            mine = numbers(ranks.rank, size, dtype)
            two_rows = np.ones((2, 3), dtype) * ranks.rank
            expected = tree([numbers(rank, size, dtype) for rank in range(ranks.size)])
            counted = np.array([ranks.rank, 1])
            group.sum([mine, counted, two_rows], "a test")
            assert mine.tobytes() == expected.tobytes(), (dtype, size)
            assert counted.tolist() == [sum(range(ranks.size)), ranks.size]
            assert (two_rows == counted[0]).all()
    texts = [f"rank {rank}".encode() * rank for rank in range(ranks.size)]
    assert group.gather(texts[ranks.rank], "a test") == texts
    assert group.any(ranks.rank == ranks.size - 1, "a test")
    assert not group.any(False, "a test")
    large = np.full(1000, ranks.rank, np.float32)
    group.begin(large, "a test", at_once=False)
    small = np.array([1.0])
    group.sum([small], "a test")
    group.finish()
    assert (large == sum(range(ranks.size))).all()
    assert small[0] == ranks.size
if ranks.rank == 0:
    print("all sums are right")
