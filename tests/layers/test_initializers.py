"""Initializers: their distributions, and the seed."""

import math

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import initializers as init

SHAPE = (40, 20, 5, 5)  # of a weight with a kernel: fan_in is 500, fan_out is 1000
NORMAL = {
    "glorot_normal": (init.glorot_normal, 0, np.sqrt(2 / 1500)),
    "he_normal": (init.he_normal, 0, np.sqrt(2 / 500)),
    "lecun_normal": (init.lecun_normal, 0, np.sqrt(1 / 500)),
    "normal": (init.normal(0.5, mean=3), 3, 0.5),
}
UNIFORM = {
    "glorot_uniform": (init.glorot_uniform, -np.sqrt(6 / 1500), np.sqrt(6 / 1500)),
    "he_uniform": (init.he_uniform, -np.sqrt(6 / 500), np.sqrt(6 / 500)),
    "uniform": (init.uniform(-1, 3), -1, 3),
}
EACH = [each for each, *_ in [*NORMAL.values(), *UNIFORM.values()]]
EACH += [init.orthogonal, init.truncated_normal()]


def drawn(initializer, shape=SHAPE, seed=0):
    return initializer(shape, np.random.default_rng(seed))


@pytest.mark.parametrize("name", NORMAL)
def test_mean_and_deviation_of_the_normal_ones(name):
    """Within five standard errors; the fourth moment tells a normal distribution from others."""
    initializer, mean, deviation = NORMAL[name]
    z = (drawn(initializer) - mean) / deviation
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs((z**2).mean() - 1) < 5 * np.sqrt(2 / z.size)
    assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / z.size)


@pytest.mark.parametrize(
    ("std", "mean", "low", "high"), [(1, 0, -2, 2), (0.5, 3, 2, 3.2), (2, -1, 0, 9), (1, 0, -30, 30)]
)
def test_the_truncated_normal_has_the_distribution_between_its_bounds(std, mean, low, high):
    """The largest distance to the exact distribution function, Kolmogorov's, is within 1.95 / √n."""
    x = np.sort(drawn(init.truncated_normal(std, mean, low, high)).reshape(-1))
    assert low <= x[0] < x[-1] <= high
    below = np.array([math.erf((each - mean) / std / math.sqrt(2)) for each in (low, *x, high)])
    exact = (below - below[0]) / (below[-1] - below[0])
    steps = np.arange(len(x) + 1) / len(x)
    assert np.abs(exact[1:-1] - steps[:-1]).max() < 1.95 / np.sqrt(len(x))


@pytest.mark.parametrize("name", UNIFORM)
def test_the_range_of_the_uniform_ones(name):
    initializer, low, high = UNIFORM[name]
    u = (drawn(initializer) - low) / (high - low)
    assert 0 <= u.min() < 0.001
    assert 0.999 < u.max() <= 1
    assert abs(u.mean() - 1 / 2) < 5 / np.sqrt(12 * u.size)
    assert abs((u**2).mean() - 1 / 3) < 5 / np.sqrt(11 * u.size)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3)], ids=str)
def test_orthogonal_rows_or_columns(shape):
    matrix = drawn(init.orthogonal, shape).reshape(shape[0], -1)
    small = matrix @ matrix.T if len(matrix) < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


def test_orthogonal_matrices_are_evenly_distributed():
    """Without the signs of the diagonal, the first element is never positive."""
    first = [drawn(init.orthogonal, (3, 3), seed)[0, 0] for seed in range(50)]
    assert 15 < np.sum(np.array(first) > 0) < 35


def test_the_ones_that_do_not_draw():
    for initializer, value in ((init.zeros, 0), (init.ones, 1), (init.constant(0.25), 0.25)):
        np.testing.assert_array_equal(drawn(initializer, (3, 2)), np.full((3, 2), value))


@pytest.mark.parametrize("initializer", EACH)
def test_a_seed_gives_the_same_values(initializer):
    first = drawn(initializer)
    np.testing.assert_array_equal(first, drawn(initializer))
    assert (first != drawn(initializer, seed=1)).any()


@pytest.mark.parametrize("name", ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
                                  "lecun_normal", "orthogonal"])  # fmt: skip
def test_a_shape_without_fans_is_an_error(name):
    with pytest.raises(sn.SettingError, match=rf"^{name}: shape \(3,\) has no fan_in"):
        drawn(getattr(init, name), (3,))


def test_pytorch_s_names_are_the_same_functions():
    assert init.xavier_normal is init.glorot_normal
    assert init.xavier_uniform is init.glorot_uniform


def test_the_defaults_of_the_truncated_normal_are_pytorch_s():
    np.testing.assert_array_equal(
        drawn(init.truncated_normal()), drawn(init.truncated_normal(std=1, mean=0, low=-2, high=2))
    )


def test_an_empty_range_is_an_error():
    for low, high in ((1, 0), (50, 60), (np.nan, 1)):
        with pytest.raises(sn.SettingError, match=f"truncated_normal: low {low} and high {high}"):
            init.truncated_normal(low=low, high=high)
    with pytest.raises(sn.SettingError, match="truncated_normal: std is 0; it must be a positive"):
        init.truncated_normal(0)
    for low, high in ((1, 0), (0, np.nan), (0, np.inf)):
        with pytest.raises(sn.SettingError, match=f"uniform: low is {low} and high is {high}"):
            init.uniform(low, high)
