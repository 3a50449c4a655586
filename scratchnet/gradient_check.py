"""Gradient checks: they compare gradients with differences. Every Function must pass them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends import to_device, to_host
from backends.errors import kind_of
from scratchnet.core.function import array_of
from scratchnet.errors import GradientError, OperandError
from scratchnet.variable import Variable, grad


def gradcheck(
    f: Callable[..., Variable],
    *inputs: Any,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Compare the gradients of `f(*inputs)` with central differences, in float64.

    The check draws one random direction v per input, and random weights u for the result. The gradient
    of u·f along v must equal (u·f(x + eps v) - u·f(x - eps v)) / 2 eps. A wrong gradient passes with
    probability 0. The cost is two evaluations per input, whatever the input's size. For the projection,
    see Baydin et al., Automatic Differentiation in Machine Learning, 2018.

        sn.gradcheck(sn.tanh, [[-1.0, 0.5]])  # True

    Args:
        f: a function that takes Variables and returns a Variable of any shape; called several times.
        inputs: Variables, arrays, numbers or lists of any shape. The check covers the floating ones, as
            float64 copies.
        eps: the length of the step.
        rtol: the allowed difference, relative to the larger of the two values.
        atol: the allowed difference in addition to that.
        seed: the seed of the random directions.

    Returns:
        True.

    Raises:
        GradientError: a gradient is wrong. The message names the input and both values.
    """
    hosts = [_float64(each) for each in inputs]
    _compare("gradcheck", f, hosts, eps, rtol, atol, np.random.default_rng(seed))
    return True


def gradgradcheck(
    f: Callable[..., Variable],
    *inputs: Any,
    eps: float = 1e-6,
    rtol: float = 1e-4,
    atol: float = 1e-6,
    seed: int = 0,
) -> bool:
    """Compare the second derivatives of `f(*inputs)` with differences of its gradients, in float64.

    The gradients of `f` with respect to its inputs depend on the inputs and on the gradient at the
    result. So they are a function of both, and `gradgradcheck` applies `gradcheck` to this function.

    Args:
        f: a function that takes Variables and returns a Variable of any shape; called several times.
        inputs: Variables, arrays, numbers or lists of any shape. The check covers the floating ones, as
            float64 copies.
        eps: the length of the step.
        rtol: the allowed difference, relative to the larger of the two values.
        atol: the allowed difference in addition to that.
        seed: the seed of the random directions.

    Returns:
        True.

    Raises:
        GradientError: a second derivative is wrong. The message names the input and both values. The
            last input is the gradient at the result.
        GraphError: a Function in `f` cannot be differentiated twice. The message names it.
    """
    rng = np.random.default_rng(seed)
    hosts = [_float64(each) for each in inputs]
    at_result = rng.standard_normal(f(*map(_variable, hosts)).shape)
    weights = [rng.standard_normal(host.shape) for host in hosts]

    def gradients(*given: Variable) -> Variable:
        *variables, arriving = given
        asked = [each for each in variables if each.requires_grad]
        result = f(*variables)
        total = (result * 0.0).sum() if result.requires_grad else Variable(0.0).astype(np.float64)
        found = iter(grad(result, asked, arriving, create_graph=True) if result.requires_grad else ())
        for variable, weight in zip(variables, weights, strict=True):
            each = next(found, None) if variable.requires_grad else None
            if each is not None:
                total = total + (each * to_device(weight)).sum()
        return total

    _compare("gradgradcheck", gradients, [*hosts, at_result], eps, rtol, atol, rng)
    return True


def _compare(
    name: str,
    f: Callable[..., Variable],
    hosts: list[np.ndarray],
    eps: float,
    rtol: float,
    atol: float,
    rng: np.random.Generator,
) -> None:
    variables = [_variable(host) for host in hosts]
    result = f(*variables)
    if not isinstance(result, Variable):
        raise OperandError(f"{name}: f returned {kind_of(result)}; it must return one Variable")
    weights = rng.standard_normal(result.shape)
    asked = [each for each in variables if each.requires_grad]
    if not asked:
        raise OperandError(f"{name}: no input is floating-point, so there is no gradient to compare")
    found = iter(grad((result * to_device(weights)).sum(), asked) if result.requires_grad else ())

    def value(position: int, moved: np.ndarray) -> float:
        y = f(*(_variable(moved if i == position else host) for i, host in enumerate(hosts)))
        return float((to_host(y.data) * weights).sum())

    for position, (host, variable) in enumerate(zip(hosts, variables, strict=True)):
        if not variable.requires_grad:
            continue
        v = rng.standard_normal(host.shape)
        numerical = (value(position, host + eps * v) - value(position, host - eps * v)) / (2 * eps)
        computed = next(found, None)
        analytical = 0.0 if computed is None else float((to_host(array_of(computed)) * v).sum())
        allowed = atol + rtol * max(abs(numerical), abs(analytical))
        if not abs(numerical - analytical) <= allowed:
            raise GradientError(
                f"{name}: input {position} of shape {host.shape}: backward gives {analytical:.9g}"
                f" along a random direction, differences give {numerical:.9g}; correct backward"
            )


def _variable(host: np.ndarray) -> Variable:
    return Variable(to_device(host))


def _float64(value: Any) -> np.ndarray:
    data = array_of(value)
    host = to_host(data) if hasattr(data, "dtype") else np.asarray(data, np.float64)
    return host.astype(np.float64) if host.dtype.kind == "f" else host
