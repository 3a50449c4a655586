"""Gradients held against differences: the test that every Function must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends import to_device, to_host
from scratchnet.core.function import array_of
from scratchnet.errors import GradientError
from scratchnet.variable import Variable


def gradcheck(
    f: Callable[..., Variable],
    *inputs: Any,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Hold the gradients of `f(*inputs)` against central differences, in float64.

    One random direction v an input, and one random weighting u of the result: the gradient of
    u·f along v must equal (u·f(x + eps v) - u·f(x - eps v)) / 2 eps. A wrong gradient passes with
    probability 0, at the price of three evaluations, whatever the size (the projection is
    described in Baydin et al., Automatic Differentiation in Machine Learning, 2018).

    Args:
        f: Variables in, a Variable of any shape out; evaluated several times.
        inputs: Variables, arrays, numbers or lists; floating ones are checked, as float64 copies.
        eps: the length of the step.
        rtol: the difference allowed, relative to the larger of the two.
        atol: the difference allowed in any case.
        seed: of the random directions.

    Returns:
        True.

    Raises:
        GradientError: it names the input, and both values.
    """
    rng = np.random.default_rng(seed)
    hosts = [_float64(each) for each in inputs]
    variables = [Variable(to_device(host)) for host in hosts]
    result = f(*variables)
    weights = rng.standard_normal(result.shape)
    (result * to_device(weights)).sum().backward()

    def value(position: int, moved: np.ndarray) -> float:
        moved_inputs = [moved if i == position else host for i, host in enumerate(hosts)]
        y = f(*(Variable(to_device(each), requires_grad=False) for each in moved_inputs))
        return float((to_host(y.data) * weights).sum())

    for position, (host, variable) in enumerate(zip(hosts, variables, strict=True)):
        if not variable.requires_grad:
            continue
        v = rng.standard_normal(host.shape)
        numerical = (value(position, host + eps * v) - value(position, host - eps * v)) / (2 * eps)
        analytical = 0.0 if variable.grad is None else float((to_host(variable.grad) * v).sum())
        allowed = atol + rtol * max(abs(numerical), abs(analytical))
        if not abs(numerical - analytical) <= allowed:
            raise GradientError(
                f"gradcheck: input {position} of shape {host.shape}: backward gives {analytical:.9g}"
                f" along a random direction, differences give {numerical:.9g}"
            )
    return True


def _float64(value: Any) -> np.ndarray:
    data = array_of(value)
    host = to_host(data) if hasattr(data, "dtype") else np.asarray(data, np.float64)
    return host.astype(np.float64) if host.dtype.kind == "f" else host
