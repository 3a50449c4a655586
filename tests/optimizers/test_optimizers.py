"""Each optimizer: the numbers of PyTorch, groups, state, every backend, and a captured epoch."""

from inspect import signature

import numpy as np
import pytest
from arrays import host
from oracle import assert_pytorch, assert_still_stored

import backends
import scratchnet as sn
from backends import to_device, xp
from scratchnet.errors import CheckpointError, OperandError, SettingError, ShapeError

ROOM = "optimizers"
CASES = {
    "SGD": {"learning_rate": 0.1},
    "SGD momentum": {"learning_rate": 0.1, "momentum": 0.9},
    "SGD nesterov": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "SGD decay": {"learning_rate": 0.1, "weight_decay": 0.1},
    "Adam": {},
    "Adam settings": {"learning_rate": 0.1, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.1},
    "AdamW": {"learning_rate": 0.1},
    "NAdam": {"learning_rate": 0.1, "weight_decay": 0.1},
    "NAdam defaults": {},
    "RMSprop": {},
    "RMSprop all": {
        "learning_rate": 0.1, "alpha": 0.8, "weight_decay": 0.1, "momentum": 0.9, "centered": True,
    },
    "RMSprop momentum": {"momentum": 0.5},
    "Adagrad": {"learning_rate": 0.5, "weight_decay": 0.1},
    "Adagrad defaults": {},
}  # fmt: skip
SHAPES = (5, 4), (4,), (), (3, 2)
STEPS = 10
ALL = [*CASES, "Lion", "Muon"]


def settings_of(case):
    return CASES.get(case, {"learning_rate": 0.1})


def kind_of(case):
    return getattr(sn, case.partition(" ")[0])


def start():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in SHAPES]


def gradients(step):
    """The gradients of one step; the second parameter has none in step 3, the last one before step 4."""
    rng = np.random.default_rng(100 + step)
    drawn = [rng.standard_normal(shape) * 3.0**place for place, shape in enumerate(SHAPES)]
    drawn[1] = None if step == 3 else drawn[1]
    drawn[3] = None if step < 4 else drawn[3]
    return drawn


def by_pytorch(torch, case):
    torch.set_default_dtype(torch.float64)
    parameters = [torch.nn.Parameter(torch.tensor(each)) for each in start()]
    settings = dict(settings_of(case))
    if "learning_rate" in settings:
        settings["lr"] = settings.pop("learning_rate")
    optimizer = getattr(torch.optim, case.partition(" ")[0])(parameters, **settings)
    for step in range(STEPS):
        for each, grad in zip(parameters, gradients(step), strict=True):
            each.grad = None if grad is None else torch.tensor(grad)
        optimizer.step()
    return {str(place): each.detach().numpy() for place, each in enumerate(parameters)}


def new(case, dtype="float64", order="C"):
    arrays = [to_device(np.asarray(each, dtype, order=order)) for each in start()]
    chosen = [each for each in arrays if case != "Muon" or each.ndim == 2]
    parameters = [sn.Variable(each) for each in chosen]
    return parameters, kind_of(case)(parameters, **settings_of(case))


def train(parameters, optimizer, steps=range(STEPS)):
    for step in steps:
        drawn = gradients(step)
        drawn = drawn if len(parameters) == len(SHAPES) else [drawn[0], drawn[3]]  # Muon's
        for each, grad in zip(parameters, drawn, strict=True):
            each.grad = None if grad is None else to_device(grad.astype(each.dtype))
        optimizer.step()
    return [host(each) for each in parameters]


@pytest.mark.parametrize("case", CASES)
def test_ten_steps_are_those_of_pytorch(backend, case):
    found = train(*new(case))
    assert_pytorch(ROOM, case, {str(i): each for i, each in enumerate(found)}, 1e-12, 1e-13)


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch)


OF_PYTORCH = {
    "SGD": {"momentum": 0, "nesterov": False, "weight_decay": 0},
    "Adam": {"learning_rate": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0},
    "AdamW": {"learning_rate": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01},
    "NAdam": {"learning_rate": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "momentum_decay": 4e-3},
    "RMSprop": {"learning_rate": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0, "centered": False},
    "Adagrad": {"learning_rate": 1e-2, "eps": 1e-10, "weight_decay": 0},
    "Muon": {"learning_rate": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True},
}


@pytest.mark.parametrize("name", OF_PYTORCH)
def test_the_usual_settings_are_pytorch_s(name):
    usual = signature(getattr(sn, name)).parameters
    assert {key: usual[key].default for key in OF_PYTORCH[name]} == OF_PYTORCH[name]


def test_a_group_shows_its_settings():
    group = sn.SGD([sn.Variable([1.0]), sn.Variable([2.0])], 0.1).groups[0]
    others = "momentum=0.0, nesterov=False, weight_decay=0.0"
    assert str(group) == f"Group(parameters=2 Variables, learning_rate=0.1, {others})"


def test_the_state_of_version_0_1_was_the_rate_alone():
    optimizer = sn.SGD([sn.Variable([1.0])], 0.1, momentum=0.5)
    optimizer.load_state_dict({"learning_rate": 0.3})
    assert (optimizer.learning_rate, optimizer.groups[0]["momentum"]) == (0.3, 0.5)


def test_lion_is_the_formula_of_its_paper(backend):
    p, optimizer = sn.Variable(to_device(np.array([1.0, -2, 3]))), None
    optimizer = sn.Lion([p], 0.1, betas=(0.5, 0.75), weight_decay=0.2)
    w, m = np.array([1.0, -2, 3]), np.zeros(3)
    for g in ([1.0, -1, 0], [-3.0, 0.5, 0], [0.1, -4, 2]):
        g = np.array(g)
        p.grad = to_device(g)
        optimizer.step()
        w = w - 0.1 * (np.sign(0.5 * m + 0.5 * g) + 0.2 * w)
        m = 0.75 * m + 0.25 * g
        np.testing.assert_allclose(host(p), w, rtol=1e-13)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6), (4, 4)])
def test_muon_moves_along_an_almost_orthogonal_matrix(backend, shape):
    g = np.random.default_rng(0).standard_normal(shape)
    p = sn.Variable(to_device(np.zeros(shape)))
    optimizer = sn.Muon([p], 0.5, weight_decay=0.0)
    p.grad = to_device(g)
    optimizer.step()
    u, _, vt = np.linalg.svd(g, full_matrices=False)
    moved = -host(p) / (0.5 * max(1, shape[0] / shape[1]) ** 0.5)
    singular = np.diag(u.T @ moved @ vt.T)
    assert ((singular > 0.6) & (singular < 1.3)).all()
    np.testing.assert_allclose(u @ np.diag(singular) @ vt, moved, atol=1e-10)  # the same directions


@pytest.mark.parametrize("case", ALL)
def test_memory_order_and_block_size_change_nothing(case, monkeypatch):
    expected = train(*new(case))
    monkeypatch.setattr("backends.numpy.update.BLOCK", 3)
    for order in "CF":
        found = train(*new(case, order=order))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("case", ALL)
def test_parameters_and_state_keep_their_dtype(backend, case, dtype):
    parameters, optimizer = new(case, dtype)
    found, exact = train(parameters, optimizer, range(3)), train(*new(case), range(3))
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == dtype
        tolerance = {"float16": 0.05, "float32": 1e-4}[dtype]
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    arrays = {
        name: each for name, each in optimizer.state_dict().items() if isinstance(each, np.ndarray)
    }
    assert all(each.dtype == dtype for each in arrays.values() if each.ndim)


@pytest.mark.guarantee("A run that was stopped or killed at any moment ends with the same bits.")
@pytest.mark.parametrize("case", ALL)
def test_a_loaded_state_goes_on_bit_for_bit(backend, case):
    parameters, optimizer = new(case)
    train(parameters, optimizer, range(6))
    others, other = new(case)
    for a, b in zip(others, parameters, strict=True):
        a.data[...] = b.data
    other.load_state_dict(optimizer.state_dict())
    for a, b in zip(
        train(others, other, range(6, 9)), train(parameters, optimizer, range(6, 9)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert other.state_dict().keys() == optimizer.state_dict().keys()


@pytest.mark.parametrize("rate", [0.1, sn.schedules.cosine(0.1, 20)], ids=["number", "schedule"])
def test_a_state_goes_through_a_file(tmp_path, rate):
    w = sn.Variable(np.ones((3, 3)))
    optimizers = [sn.Adam([w], rate), sn.Muon([w], rate), sn.SGD([w], rate, momentum=0.9)]
    for optimizer in optimizers:
        w.grad = np.ones((3, 3))
        optimizer.step()
        sn.save(tmp_path / "state", optimizer.state_dict())
        other = type(optimizer)([w], rate)
        other.load_state_dict(sn.load(tmp_path / "state"))
        ours, theirs = optimizer.state_dict(), other.state_dict()
        assert ours.keys() == theirs.keys()
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_an_own_optimizer_has_settings_of_its_own():
    class Own(sn.Optimizer):
        def __init__(self, parameters, **settings):
            super().__init__(parameters, learning_rate=0.1, **settings)

    w = sn.Variable(np.ones(2))
    optimizer = Own([w], damping=0.3, every=2, signed=True)
    assert optimizer.groups[0].settings == {"damping": 0.3, "every": 2, "signed": True}
    with pytest.raises(SettingError, match="damping is 'much'; it must be a finite number, True or"):
        Own([w], damping="much")


def test_groups_have_their_own_settings(backend):
    a, b = (sn.Variable(to_device(np.ones(2))) for _ in range(2))
    groups = [{"parameters": [a]}, {"parameters": [b], "learning_rate": 0.5, "momentum": 0.0}]
    optimizer = sn.SGD(groups, learning_rate=0.1, momentum=0.9)
    assert optimizer.parameters == [a, b]
    for _ in range(2):
        a.grad, b.grad = to_device(np.ones(2)), to_device(np.ones(2))
        optimizer.step()
    np.testing.assert_allclose(host(a), 1 - 0.1 - 0.19)
    np.testing.assert_allclose(host(b), 1 - 0.5 - 0.5)
    optimizer.groups[1]["learning_rate"] *= 2
    assert dict(optimizer.groups[1])["learning_rate"] == 1.0
    with pytest.raises(SettingError, match="groups have different learning rates"):
        _ = optimizer.learning_rate
    optimizer.learning_rate = 0.25
    assert [group["learning_rate"] for group in optimizer.groups] == [0.25, 0.25]


def test_an_update_and_an_assignment_are_two_changes(backend):
    w = sn.Variable(to_device(np.ones(2)))
    loss = (w * w).sum()
    w.grad = to_device(np.ones(2))
    sn.SGD([w], 0.1).step()
    w.data = w.data
    with pytest.raises(sn.StaleGraphError):
        loss.backward()


def test_only_plain_descent_has_a_plain_rate():
    w = sn.Variable(np.ones(2))
    assert sn.SGD([w], 0.1).plain_rate.number == 0.1
    others = sn.SGD([w], 0.1, momentum=0.9), sn.SGD([w], lambda step: 0.1), sn.Adam([w])
    assert [each.plain_rate for each in others] == [None] * 3


W = sn.Variable(np.ones((2, 2)))
WRONG = [
    (lambda: sn.SGD([W], 0.1, momentum=-1), SettingError, "momentum is -1; it must be a finite number"),
    (lambda: sn.SGD([W], 0.1, nesterov=True), SettingError, "nesterov needs a momentum"),
    (lambda: sn.SGD([W], np.inf), SettingError, "learning_rate is inf"),
    (lambda: sn.SGD([W], True), SettingError, "learning_rate is True"),
    (lambda: sn.Adam([W], betas=(0.9, 1.0)), SettingError, "betas .* from 0 to below 1"),
    (lambda: sn.Adam([W], betas=0.9), SettingError, "betas is 0.9; it must be 2 numbers"),
    (lambda: sn.AdamW([W], eps=-1e-8), SettingError, "eps is"),
    (lambda: sn.RMSprop([W], centered=1), SettingError, "centered is 1; it must be True or False"),
    (lambda: sn.Muon([W], iterations=2.5), SettingError, "iterations is 2.5; .* positive integer"),
    (lambda: sn.Muon([sn.Variable(np.ones(3))]), SettingError, r"Variable\(3,\) is not a matrix"),
    (lambda: sn.Adam([{"params": [W]}]), OperandError, "parameter group.*parameters"),
    (lambda: sn.Adam([{"parameters": [W], "lr": 0.1}]), SettingError, "'lr' cannot be set; .*rate"),
    (lambda: sn.Adam([{"parameters": [W]}, {"parameters": [W]}]), SettingError, "given twice"),
    (lambda: sn.Adam([{"parameters": []}]), SettingError, "no parameters"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), WRONG)
def test_wrong_settings_are_named(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def changed(**changes):
    def change(state):
        return {k: v for k, v in state.items() if k not in changes or changes[k] is not None} | {
            k: v for k, v in changes.items() if v is not None
        }

    return change


STATES = {
    "its steps are nan": lambda state: {**state, "steps": np.nan},
    "its optimizer kept nothing, but Adam keeps": lambda state: {},
    "a group of 7 parameters": changed(**{"groups.0.parameters": 7}),
    "its optimizer kept exp_avg, step for parameter 0": changed(**{"state.0.exp_avg_sq": None}),
    r"must be finite and of shape \(5, 4\)": changed(**{"state.0.exp_avg": np.ones(3)}),
    "or not finite": changed(**{"state.1.exp_avg": np.full(4, np.nan)}),
    "no such parameter": changed(**{"state.9.exp_avg": np.ones(3)}),
    "betas is": changed(**{"groups.0.betas": [0.9, 2.0]}),
    "its learning rate is a schedule": changed(**{"groups.0.learning_rate": None}),
    "learning_rate is 'high'": changed(**{"groups.0.learning_rate": "high"}),
    "its optimizer kept momentum": changed(momentum=0.9),
}


@pytest.mark.parametrize("message", STATES)
def test_a_state_that_does_not_fit_changes_nothing(message):
    parameters, optimizer = new("Adam")
    train(parameters, optimizer, range(5))
    before = optimizer.state_dict()
    with pytest.raises(CheckpointError, match=message):
        optimizer.load_state_dict(STATES[message](before))
    after = optimizer.state_dict()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_momentum_that_was_switched_off_is_resumed(backend):
    runs = [new("SGD momentum") for _ in range(2)]
    train(*runs[0], range(2))
    runs[0][1].groups[0]["momentum"] = 0.0
    train(*runs[0], range(2, 4))
    runs[1][1].load_state_dict(runs[0][1].state_dict())
    states = [optimizer.state_dict() for _, optimizer in runs]
    assert states[0].keys() == states[1].keys() >= {"state.0.momentum_buffer"}
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("case", ["SGD", "Adam"])
def test_a_parameter_of_another_shape_is_named(backend, case):
    parameters, optimizer = new(case)
    train(parameters, optimizer, range(2))
    parameters[0].data = to_device(np.ones((50, 4)))
    with pytest.raises(ShapeError, match=r"\(50, 4\) has gradient of shape \(5, 4\).*backward again"):
        optimizer.step()
    parameters[0].grad = to_device(np.ones((50, 4)))
    if case == "Adam":
        with pytest.raises(ShapeError, match=r"has exp_avg of shape \(5, 4\).*a new optimizer"):
            optimizer.step()


def learner(case, schedule=False, **settings):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 6)).astype("f4"), rng.integers(0, 3, 40)
    loader = sn.ArrayDataLoader(to_device(x), to_device(y), 8, seed=0)
    net = sn.Sequential(sn.Linear(6, 5, 0, bias=False), sn.tanh, sn.Linear(5, 3, 1, bias=False))
    given = dict(settings_of(case))
    if schedule:
        given["learning_rate"] = sn.schedules.cosine(0.1, 90)
    optimizer = kind_of(case)(net.parameters(), **given)
    return sn.Learner(loader, net, optimizer, sn.softmax_loss, **settings)


@pytest.mark.guarantee("An epoch in one launch gives the same bits as single steps.")
@pytest.mark.parametrize("schedule", [False, True], ids=["number", "schedule"])
@pytest.mark.parametrize("case", ["SGD momentum", "Adam", "NAdam", "RMSprop all", "Lion", "Muon"])
def test_a_captured_run_has_the_bits_of_single_steps(case, schedule):
    with backends.use("strict"):
        runs = [
            learner(case, schedule, capture=capture, clip_grad_norm=0.5) for capture in (True, False)
        ]
        for each in runs:
            each.fit(5, None)
            for _ in range(20):  # steps of one's own go on from there
                for parameter in each.net.parameters():
                    parameter.grad = xp.ones_like(parameter.data)
                each.optimizer.step()
        assert runs[0].replay.how == "one launch"
        states = [{**each.net.state_dict(), **each.optimizer.state_dict()} for each in runs]
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)


@pytest.mark.parametrize("case", ["SGD momentum", "Adam"])
def test_a_step_reads_nothing_back_from_the_device(case):
    with backends.use("strict"):
        parameters, optimizer = new(case, "float32")
        train(parameters, optimizer, range(2))
        for each in parameters:
            each.grad = each.data
        with backends.forbid_transfers():
            optimizer.step()
            sn.clip_grad_norm(parameters, 1.0)
            sn.clip_grad_value(parameters, 1.0)
