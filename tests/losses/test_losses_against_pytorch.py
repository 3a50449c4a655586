"""Every loss, with its options, against PyTorch: value, gradient and second derivative."""

import numpy as np
import pytest
from arrays import host, variable
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import to_device

ROOM = "losses"
X, THREE = (4, 3), (2, 4, 3)
LABELS, OF_THREE = ("labels", (4,), 3), ("labels", (2, 4), 3)
WEIGHT = [0.5, 0.0, 2.5]
EACH = [{}, {"reduction": "sum"}, {"reduction": "none"}]
TABLE = [
    *(("softmax_loss", [X, LABELS], options) for options in [*EACH, {"weight": WEIGHT}]),
    *(
        ("softmax_loss", [X, LABELS], {"weight": WEIGHT, "label_smoothing": 0.2, **each})
        for each in EACH
    ),
    *(("softmax_loss", [X, LABELS], {"ignore_index": 1, **each}) for each in EACH),
    ("softmax_loss", [X, LABELS], {"ignore_index": 0, "weight": WEIGHT, "label_smoothing": 1.0}),
    ("softmax_loss", [X, ("labels", (4,), 1)], {"ignore_index": 0}),
    *(("softmax_loss", [THREE, OF_THREE], options) for options in EACH),
    ("softmax_loss", [THREE, OF_THREE], {"ignore_index": 2, "weight": WEIGHT}),
    ("softmax_loss", [(3,), ("labels", (), 3)], {"weight": WEIGHT}),
    *(("softmax_loss", [X, ("distribution", X)], options) for options in EACH),
    ("softmax_loss", [X, ("distribution", X)], {"weight": WEIGHT, "label_smoothing": 0.3}),
    ("softmax_loss", [THREE, ("distribution", THREE)], {"weight": WEIGHT, "reduction": "none"}),
    *(("nll_loss", [X, LABELS], options) for options in EACH),
    ("nll_loss", [X, LABELS], {"weight": WEIGHT, "ignore_index": 0}),
    ("nll_loss", [THREE, OF_THREE], {"weight": WEIGHT, "reduction": "none"}),
    *((name, [X, X], options) for name in ("mse_loss", "l1_loss", "huber_loss") for options in EACH),
    ("huber_loss", [X, X], {"delta": 0.3}),
    *(
        ("binary_cross_entropy_with_logits", [X, target], options)
        for target in (("probabilities", X), ("labels", X, 2))
        for options in EACH
    ),
    (
        "binary_cross_entropy_with_logits",
        [X, ("probabilities", X)],
        {"weight": WEIGHT, "pos_weight": [3.0, 0.5, 1.0]},
    ),
    *(
        ("binary_cross_entropy", [("probabilities", X), ("probabilities", X)], options)
        for options in [*EACH, {"weight": WEIGHT}]
    ),
    ("binary_cross_entropy", [("ends", (4,)), ("labels", (4,), 2)], {"reduction": "none"}),
    *(
        ("kl_divergence", [X, ("distribution", X)], {"reduction": each})
        for each in ("batchmean", "mean", "sum", "none")
    ),
    *(("hinge_loss", [X, ("signs", X)], options) for options in EACH),
    ("cosine_similarity", [X, X], {}),
    ("cosine_similarity", [THREE, (4, 1)], {"axis": -1}),
    ("cosine_similarity", [THREE, (4, 3)], {"axis": 0, "eps": 0.1}),
    *(("triplet_margin_loss", [X, X, X], options) for options in EACH),
    ("triplet_margin_loss", [THREE, THREE, THREE], {"margin": 2.5, "p": 3, "swap": True}),
    ("triplet_margin_loss", [X, X, X], {"p": 1, "margin": 0.5, "swap": True}),
]
CASES = {f"{number} {row[0]}": row for number, row in enumerate(TABLE)}
every_case = pytest.mark.parametrize("case", CASES)


def drawn(case):
    """The operands of a case, and two weights for its derivatives: all on the host."""
    number, rng = list(CASES).index(case), np.random.default_rng(list(CASES).index(case))
    operands = []
    for kind in CASES[case][1]:
        shape = kind if not kind or isinstance(kind[0], int) else kind[1]
        if shape is kind:
            operands.append(rng.standard_normal(shape))
        elif kind[0] == "labels":
            operands.append(rng.integers(0, kind[2], shape))
        elif kind[0] == "signs":
            operands.append(rng.choice([-1.0, 1.0], shape))
        elif kind[0] == "ends":
            operands.append(np.array([0.0, 1.0, 0.0, 1.0]))
        else:
            p = rng.uniform(0.1, 0.9, shape)
            operands.append(p / p.sum(-1, keepdims=True) if kind[0] == "distribution" else p)
    return operands, np.random.default_rng(1000 + number)


def derivatives(case, loss, leaf, grad, to_host, where):
    """Return value, gradients and second derivatives of a loss with a library's functions."""
    operands, rng = drawn(case)
    number = 3 if "triplet" in case else 2 if CASES[case][1][1:] == [X] or "cosine" in case else 1
    leaves = [leaf(each) for each in operands[:number]]
    value = loss(*leaves, *map(where, operands[number:]))
    gradients = grad((value * where(rng.standard_normal(tuple(value.shape)))).sum(), leaves)
    total = sum((each * where(rng.standard_normal(tuple(each.shape)))).sum() for each in gradients)
    second = grad(total, leaves) if "ends" not in str(CASES[case][1]) else []
    zeros = [np.zeros(each.shape) for each in operands]
    return {"value": to_host(value)} | {
        f"{order} {i}": zeros[i] if each is None else to_host(each)
        for order, found in (("gradient", gradients), ("second", second))
        for i, each in enumerate(found)
    }


def by_pytorch(torch, case):
    name, _, options = CASES[case]
    options = {key: torch.tensor(v) if isinstance(v, list) else v for key, v in options.items()}
    options = {key: v.double() if torch.is_tensor(v) else v for key, v in options.items()}
    if "axis" in options:
        options["dim"] = options.pop("axis")
    functions = torch.nn.functional

    def loss(*operands):
        first, second = operands[:2]
        if name in ("softmax_loss", "nll_loss"):
            function = functions.cross_entropy if name == "softmax_loss" else functions.nll_loss
            moved = [x.movedim(-1, 1) if x.is_floating_point() and x.ndim > 2 else x for x in operands]
            return function(*moved, **options)
        if name == "hinge_loss":
            losses = (1 - first * second).clamp(min=0)
            how = options.get("reduction", "mean")
            return losses if how == "none" else getattr(losses, how)()
        if name == "kl_divergence":
            return functions.kl_div(first, second, **options)
        if name.startswith("binary"):
            operands = first, second.double()
        return getattr(functions, name)(*operands, **options)

    def grad(total, leaves):
        if not total.requires_grad:
            return [None] * len(leaves)
        return torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)

    return derivatives(
        case, loss, lambda x: torch.tensor(x, requires_grad=True), grad,
        lambda x: x.numpy(force=True), lambda x: torch.tensor(x),
    )  # fmt: skip


def by_scratchnet(case, name=None):
    row = CASES[case]
    function = getattr(sn, name or row[0])

    def grad(total, leaves):
        if not getattr(total, "requires_grad", False):
            return [None] * len(leaves)
        return sn.grad(total, leaves, create_graph=True)

    return derivatives(
        case, lambda *operands: function(*operands, **row[2]), variable, grad, host, to_device
    )


@every_case
def test_a_loss_is_pytorch_s(backend, case):
    rtol = 1e-8 if "ends" in str(CASES[case][1]) else 1e-10  # PyTorch's 1e-12 is a float32 number
    assert_pytorch(ROOM, case, by_scratchnet(case), rtol, atol=1e-13)


@pytest.mark.parametrize("case", [case for case in CASES if "softmax" in case])
def test_the_specification_is_pytorch_s(backend, case):
    assert_pytorch(ROOM, case, by_scratchnet(case, "plain_softmax_loss"), rtol=1e-10, atol=1e-13)


@every_case
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch)
