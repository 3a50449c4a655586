"""Learning rates that follow the step, and gradients that are made smaller."""

import math

import numpy as np
import pytest
from arrays import host

import scratchnet as sn
from backends import to_device
from scratchnet.errors import GraphError, OperandError, SettingError

S = sn.schedules


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (S.constant(0.3), {0: 0.3, 9: 0.3}),
        (S.step(0.8, 3, 0.5), {0: 0.8, 2: 0.8, 3: 0.4, 5: 0.4, 6: 0.2}),
        (S.exponential(2, 0.5), {0: 2, 1: 1, 3: 0.25}),
        (S.cosine(1, 4, 0.2), {0: 1, 2: 0.6, 4: 0.2, 99: 0.2}),
        (S.linear_warmup(0.8, 4), {0: 0.2, 1: 0.4, 3: 0.8, 4: 0.8}),
        (S.piecewise({0: 1, 3: 0.1, 2: 0.5}), {0: 1, 1: 1, 2: 0.5, 3: 0.1, 7: 0.1}),
        (
            S.join([(S.linear_warmup(1, 2), 2), (S.exponential(1, 0.5), 2)]),
            {0: 0.5, 1: 1, 2: 1, 3: 0.5, 4: 0.25},
        ),
        (S.step(1, 1, 0.5), {0: 1, 1: 0.5, 3: 0.125}),
        # torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10)
        (S.one_cycle(1, 10), {0: 0.04, 1: 0.52, 2: 1, 9: 4e-6, 50: 4e-6}),
        (S.one_cycle(1, 3, 1), {0: 0.04, 1: 0.52, 2: 1, 3: 4e-6}),
    ],
)
def test_the_rates_of_steps(schedule, rates):
    assert {step: schedule(step) for step in rates} == pytest.approx(rates, rel=1e-12)


def test_one_cycle_is_pytorch_s():
    torch = pytest.importorskip("torch", reason='pip install "scratchnet[bench]"')
    for steps, warmup in ((10, 0.3), (7, 0.5), (100, 0.1)):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 1)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2.0, steps, pct_start=warmup)
        for step in range(steps):
            assert S.one_cycle(2.0, steps, warmup)(step) == pytest.approx(
                optimizer.param_groups[0]["lr"]
            )
            optimizer.step()
            if step < steps - 1:
                cycle.step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: S.constant(-1), "constant: rate is -1"),
        (lambda: S.step(0.1, 0, 0.5), "step: every is 0"),
        (lambda: S.cosine(0.1, 2.5), "cosine: steps is 2.5"),
        (lambda: S.one_cycle(0.1, 10, 2), "one_cycle: warmup is 2"),
        (lambda: S.piecewise({1: 0.1}), "no rate for step 0"),
        (lambda: S.join([]), "no schedule"),
        (lambda: S.exponential(math.nan, 0.5), "rate is nan"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_clipping_a_gradient_that_a_graph_uses_is_a_change_of_it(backend):
    w = sn.Variable(to_device(np.ones(2)))
    (w**3).sum().backward(create_graph=True)
    penalty = (w.grad * w.grad).sum()
    sn.clip_grad_norm([w], 0.1)
    with pytest.raises(sn.StaleGraphError):
        penalty.backward()


def test_pairs_are_wanted():
    with pytest.raises(OperandError, match="pair"):
        S.join([S.constant(1)])


def test_an_optimizer_follows_its_schedule_and_resumes_it(backend):
    p = sn.Variable(to_device(np.zeros(2)))
    seen = []

    def rate(step):
        seen.append(step)
        return 1.0 / (1 + step)

    optimizer = sn.SGD([p], rate)
    for _ in range(3):
        p.grad = to_device(np.ones(2))
        optimizer.step()
    np.testing.assert_allclose(host(p), -(1 + 1 / 2 + 1 / 3))
    assert optimizer.learning_rate is rate
    other = sn.SGD([p], rate)
    other.load_state_dict(optimizer.state_dict())
    other.step()
    np.testing.assert_allclose(host(p), -(1 + 1 / 2 + 1 / 3 + 1 / 4))
    other.learning_rate = 1.0
    other.step()
    np.testing.assert_allclose(host(p), -(2 + 1 / 2 + 1 / 3 + 1 / 4))


def test_a_loaded_state_moves_the_schedule_far(backend):
    p = sn.Variable(to_device(np.zeros(2)))
    optimizer = sn.SGD([p], lambda step: 1.0 + step)
    p.grad = to_device(np.ones(2))
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict() | {"steps": 5000})
    optimizer.step()
    np.testing.assert_allclose(host(p), -(1 + 5001))


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1.0, True, None])
def test_a_schedule_that_gives_no_rate_is_named(rate):
    p = sn.Variable(np.zeros(2))
    optimizer = sn.SGD([p], lambda step: 1.0 if step < 1 else rate)
    p.grad = np.ones(2)
    optimizer.step()
    with pytest.raises(SettingError, match=f"the schedule gave {rate} at step 1"):
        optimizer.step()


def parameters_with(*gradients):
    parameters = [sn.Variable(to_device(np.zeros_like(each))) for each in gradients]
    for each, grad in zip(parameters, gradients, strict=True):
        each.grad = to_device(grad.copy())
    return [*parameters, sn.Variable(to_device(np.ones(3)))]  # one without gradient


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [2, 1, 3.0, math.inf])
def test_gradients_are_scaled_to_the_norm(backend, order, dtype):
    gradients = np.array([[3.0, -4], [0, 1]], dtype), np.array([12.0], dtype)
    whole = np.concatenate([each.ravel() for each in gradients])
    norm = np.linalg.norm(whole, order)
    for limit, factor in ((1.0, 1 / (norm + 1e-6)), (100.0, 1.0)):
        parameters = parameters_with(*gradients)
        found = sn.clip_grad_norm(parameters, limit, order)
        assert found.shape == ()
        assert found.dtype == dtype
        np.testing.assert_allclose(host(found), norm, rtol=1e-6)
        for each, grad in zip(parameters, gradients, strict=False):
            np.testing.assert_allclose(host(each.grad), grad * factor, rtol=1e-6)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_squares_of_gradients_do_not_leave_the_range(backend, size):
    parameters = parameters_with(np.full(4, size, "f4"))
    np.testing.assert_allclose(host(sn.clip_grad_norm(parameters, 1.0)), 2 * size, rtol=1e-6)


def test_elements_are_limited(backend):
    parameters = parameters_with(np.array([-3.0, 0.5, 9]))
    sn.clip_grad_value(parameters, 2)
    np.testing.assert_array_equal(host(parameters[0].grad), [-2, 0.5, 2])


def test_a_limit_beyond_the_dtype_limits_nothing(backend):
    parameters = parameters_with(np.array([-6e4, 0.5], "f2"))
    sn.clip_grad_value(parameters, 1e6)
    np.testing.assert_array_equal(host(parameters[0].grad), np.array([-6e4, 0.5], "f2"))


def test_what_cannot_be_clipped_is_named():
    with pytest.raises(SettingError, match="max_norm is 0"):
        sn.clip_grad_norm(parameters_with(np.ones(2)), 0)
    with pytest.raises(GraphError, match="call loss"):
        sn.clip_grad_value([sn.Variable(1.0)], 1)
    with pytest.raises(OperandError, match="is not a parameter"):
        sn.clip_grad_norm([1.0], 1)
