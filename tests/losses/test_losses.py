"""The losses: what they accept and refuse, their types, and that a step with them can be captured."""

import re

import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import active, to_device
from scratchnet.core.share import share

NAN, NONE = np.nan, "none"
X = np.random.default_rng(0).standard_normal((4, 3))
LABELS = np.array([0, 2, 1, 2])
SHARES = np.abs(X) / np.abs(X).sum(1, keepdims=True)
ALL = {
    "softmax_loss of labels": ("softmax_loss", [X, LABELS], {}),
    "softmax_loss with options": (
        "softmax_loss", [X, LABELS],
        {"weight": np.array([1.0, 2, 3]), "ignore_index": 1, "label_smoothing": 0.1},
    ),
    "softmax_loss of steps": ("softmax_loss", [X.reshape(2, 2, 3), LABELS.reshape(2, 2)], {}),
    "softmax_loss of probabilities": ("softmax_loss", [X, SHARES], {}),
    "nll_loss": ("nll_loss", [X, LABELS], {}),
    "mse_loss": ("mse_loss", [X, -X], {}),
    "l1_loss": ("l1_loss", [X, -X], {}),
    "huber_loss": ("huber_loss", [X, -X], {}),
    "binary_cross_entropy_with_logits": (
        "binary_cross_entropy_with_logits", [X, SHARES],
        {"weight": np.array([1.0, 2, 3]), "pos_weight": np.array(2.0)},
    ),
    "binary_cross_entropy": ("binary_cross_entropy", [SHARES, SHARES[::-1].copy()], {}),
    "kl_divergence": ("kl_divergence", [X, SHARES], {}),
    "hinge_loss": ("hinge_loss", [X, np.sign(X).astype(int)], {}),
    "cosine_similarity": ("cosine_similarity", [X, X[::-1].copy()], {}),
    "triplet_margin_loss": ("triplet_margin_loss", [X, X[::-1].copy(), 2 * X], {"swap": True}),
}  # fmt: skip
every_loss = pytest.mark.parametrize("case", ALL)


def arranged(case, dtype="float64"):
    """Return the loss as a function of its operands, and the operands on the device."""
    name, operands, options = ALL[case]
    options = {k: to_device(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    arrays = [to_device(each.astype(dtype) if each.dtype.kind == "f" else each) for each in operands]
    return lambda *given: getattr(sn, name)(*given, **options), arrays


def test_every_loss_is_in_the_table():
    losses = {name for name in dir(sn) if name.endswith("loss") or "cross_entropy" in name}
    losses |= {"kl_divergence", "cosine_similarity"}
    assert losses - {"plain_softmax_loss"} == {name for name, _, _ in ALL.values()}


@every_loss
def test_gradients_of_both_orders(backend, case):
    loss, arrays = arranged(case)
    assert sn.gradcheck(loss, *arrays)
    assert sn.gradgradcheck(loss, *arrays)


@every_loss
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_dtype_is_that_of_the_outputs(backend, case, dtype):
    loss, arrays = arranged(case, dtype)
    first = sn.Variable(arrays[0])
    result = loss(first, *arrays[1:])
    result.sum().backward()
    assert result.dtype == first.grad.dtype == dtype
    exact, wide = arranged(case)
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(host(result), host(exact(*wide)), rtol=tolerance, atol=tolerance)


@every_loss
def test_arrays_give_an_array(backend, case):
    loss, arrays = arranged(case)
    found = loss(*arrays)
    assert isinstance(found, active().array_type)
    np.testing.assert_array_equal(host(found), host(loss(sn.Variable(arrays[0]), *arrays[1:])))


@every_loss
def test_a_step_crosses_no_border_and_can_be_captured(case):
    with backends.use("strict"):
        loss, arrays = arranged(case, "float32")
        leaf = sn.Variable(arrays[0])
        out = to_device(np.zeros(arrays[0].shape, np.float32))

        def step():
            leaf.zero_grad()
            loss(leaf, *arrays[1:]).sum().backward()
            out[...] = leaf.grad

        step()
        expected = host(out)
        out[...] = np.nan
        before = active().xp.synchronizations
        with backends.forbid_transfers():
            step()
            assert active().xp.synchronizations == before
            launch = active().capture(step)
            out[...] = np.nan
            launch()
        np.testing.assert_array_equal(host(out), expected)


# The softmax loss.


def test_labels_only_take_the_kernel_of_one_function(backend):
    for shape in ((4, 3), (2, 2, 3)):
        loss = sn.softmax_loss(variable(X.reshape(shape)), to_device(LABELS.reshape(shape[:-1])))
        assert type(loss.creator) is sn.functions.SoftmaxCrossEntropy


def test_a_share_of_a_batch_divides_by_what_the_whole_batch_counts(backend):
    class Half:
        counts, fraction, weight, listens = True, 0.5, 1, False

        def sum(self, count):
            assert host(count) == [2]  # without the ignored rows
            return count + 4

    logits, labels = to_device(X), to_device(LABELS)
    token = share.set(Half())
    try:
        found = sn.softmax_loss(logits, labels, ignore_index=2)
    finally:
        share.reset(token)
    whole = sn.softmax_loss(logits, labels, ignore_index=2, reduction="sum")
    np.testing.assert_allclose(host(found), host(whole) / (6 * 0.5), rtol=1e-12)


def test_a_second_pass_through_a_loss_has_the_same_gradient(backend):
    x = variable(X)
    loss = sn.softmax_loss(x, to_device(LABELS))
    loss.retain_grad()
    loss.backward(3.0, retain_graph=True)
    first = host(x.grad).copy()
    x.zero_grad()
    loss.backward(3.0)
    np.testing.assert_array_equal(host(x.grad), first)
    assert host(loss.grad) == 6


@pytest.mark.parametrize("loss", [sn.softmax_loss, sn.plain_softmax_loss, sn.nll_loss])
def test_rows_that_are_ignored_do_not_count(backend, loss):
    x, labels = variable(X), to_device(np.where(LABELS == 2, -100, LABELS))
    found = loss(x, labels, ignore_index=-100)
    found.backward()
    kept = to_device(np.flatnonzero(LABELS != 2))
    np.testing.assert_allclose(host(found), host(loss(x[kept], labels[kept])), rtol=1e-14)
    assert not host(x.grad)[LABELS == 2].any()
    spoilt = variable(np.where(LABELS[:, None] == 2, NAN, X))
    np.testing.assert_allclose(host(loss(spoilt, labels, ignore_index=-100)), host(found))
    assert np.isnan(host(loss(x, to_device(np.full(4, 7)), ignore_index=7)))
    assert host(loss(x, to_device(np.full(4, 7)), ignore_index=7, reduction="sum")) == 0


@pytest.mark.parametrize("name", ["softmax_loss", "nll_loss"])
@pytest.mark.parametrize("options", [{"reduction": "sum"}, {"ignore_index": 0}], ids=str)
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_with_options(backend, name, options, label):
    x, labels = variable(X.reshape(2, 2, 3)), to_device(np.array([[0, 1], [label, 2]]))
    if backend == "numpy":
        with pytest.raises(
            backends.LabelError, match=f"^{name}: label {label} in row 2 is not .* 3 classes"
        ):
            getattr(sn, name)(x, labels, **options)
    else:
        assert np.isnan(host(getattr(sn, name)(x, labels, **options)))
    assert np.isnan(host(sn.plain_softmax_loss(x, labels, **options)))


def test_an_excluded_class_counts_nothing_in_probabilities(backend):
    x = variable(np.array([[1.0, -np.inf, 2.0]]))
    loss = sn.softmax_loss(x, to_device(np.array([[0.5, 0, 0.5]])))
    loss.backward()
    expected = host(sn.softmax_loss(to_device(np.array([[1.0, 2.0]])), to_device(np.array([[0.5] * 2]))))
    np.testing.assert_allclose(host(loss), expected, rtol=1e-14)
    assert np.isfinite(host(x.grad)).all()


def test_probabilities_and_weights_are_differentiated_too(backend):
    w = np.array([0.5, 1.0, 2.0])
    assert sn.gradcheck(sn.softmax_loss, X, SHARES)
    assert sn.gradcheck(lambda x, w: sn.softmax_loss(x, to_device(LABELS), weight=w), X, w)
    assert sn.gradcheck(lambda x, p, w: sn.binary_cross_entropy(x, p, w), SHARES, SHARES, w)


# Numbers, booleans, lists, and the points where a rule changes.


def test_targets_may_be_integers_booleans_or_lists(backend):
    x = variable(X[:, 0])
    for name in ("mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"):
        loss = getattr(sn, name)
        expected = host(loss(x, to_device(np.array([1.0, 0, 0, 1]))))
        for target in (np.array([1, 0, 0, 1]), np.array([True, False, False, True])):
            assert host(loss(x, to_device(target))) == expected
        assert host(loss(x, [1, 0, 0, 1])) == expected
    assert host(sn.hinge_loss(x, [1, -1, -1, 1])) == host(sn.hinge_loss(x, [1.0, -1, -1, 1]))


def test_the_second_derivative_of_the_huber_loss_is_1_at_0(backend):
    x = variable([0.0, 0.5, 3.0])
    (first,) = sn.grad(sn.huber_loss(x, [0, 0, 0], "sum"), [x], create_graph=True)
    (second,) = sn.grad(first.sum(), [x])
    np.testing.assert_array_equal(host(first), [0, 0.5, 1])
    np.testing.assert_array_equal(host(second), [1, 1, 0])


def test_probabilities_of_exactly_0_and_1_have_a_finite_loss_and_a_gradient(backend):
    p = variable(np.array([0.0, 1, 0, 1], np.float32))
    losses = sn.binary_cross_entropy(p, [0, 1, 1, 0], reduction=NONE)
    losses.sum().backward()
    np.testing.assert_array_equal(host(losses), [0, 0, 100, 100])
    np.testing.assert_allclose(host(p.grad), [0, 0, -1e12, 1e12])


def test_a_divergence_from_a_probability_of_0_is_0(backend):
    log_q, p = variable([[-np.inf, -1.0, 0.0]]), to_device(np.array([[0.0, 0.0, 1.0]]))
    loss = sn.kl_divergence(log_q, p)
    loss.backward()
    assert host(loss) == 0
    np.testing.assert_array_equal(host(log_q.grad), [[0, 0, -1]])


def test_the_cosine_with_a_vector_of_zeros_is_0(backend):
    a = variable(np.zeros((1, 3)))
    cosine = sn.cosine_similarity(a, to_device(np.ones((1, 3))))
    cosine.sum().backward()
    assert host(cosine) == 0
    assert np.isfinite(host(a.grad)).all()


# Errors.

FLOATS, COLUMN, NOTHING = X[:, 0], X[:, :1], np.zeros((0, 3))
REFUSED = [
    *(
        (
            name,
            [COLUMN, FLOATS],
            {},
            sn.ShapeError,
            f"{name}: outputs of shape (4, 1) and targets of shape (4,)",
        )
        for name in (
            "mse_loss",
            "l1_loss",
            "huber_loss",
            "binary_cross_entropy_with_logits",
            "kl_divergence",
            "hinge_loss",
        )
    ),
    ("mse_loss", [COLUMN, LABELS], {}, sn.ShapeError, "(4,) differ; give targets.reshape(-1, 1)"),
    ("mse_loss", [X, LABELS], {}, sn.OperandError, "differ; for class labels use softmax_loss"),
    (
        "binary_cross_entropy_with_logits",
        [X, LABELS],
        {},
        sn.OperandError,
        "for class labels use softmax_loss",
    ),
    ("mse_loss", [LABELS, LABELS], {}, sn.OperandError, "outputs must be floating, not int64; convert"),
    ("softmax_loss", [LABELS, LABELS], {}, sn.OperandError, "logits must be floating, not int64; wrap"),
    ("mse_loss", [X, "target"], {}, sn.OperandError, "targets must be numbers, not str"),
    ("mse_loss", [X, [[1], [1, 2]]], {}, sn.OperandError, "targets are not an array of numbers"),
    ("softmax_loss", [X, [[1], [1, 2]]], {}, sn.OperandError, "targets are not an array of numbers"),
    (
        "mse_loss",
        [X, X],
        {"reduction": "avg"},
        sn.SettingError,
        'reduction is \'avg\'; it must be "mean", "sum" or "none"',
    ),
    (
        "mse_loss",
        [NOTHING, NOTHING],
        {},
        sn.ShapeError,
        "mse_loss: outputs of shape (0, 3) are an empty batch",
    ),
    ("kl_divergence", [NOTHING, NOTHING], {}, sn.ShapeError, "empty batch"),
    ("kl_divergence", [X, SHARES], {"reduction": "avg"}, sn.SettingError, "reduction is 'avg'"),
    ("triplet_margin_loss", [NOTHING] * 3, {}, sn.ShapeError, "empty batch"),
    ("huber_loss", [X, X], {"delta": 0}, sn.SettingError, "delta is 0; it must be a number above 0"),
    ("huber_loss", [X, X], {"delta": True}, sn.SettingError, "delta is True; it must be a number"),
    ("huber_loss", [X, X], {"delta": "1"}, sn.SettingError, "delta is '1'; it must be a number"),
    ("softmax_loss", [X, FLOATS], {}, sn.OperandError, "or use mse_loss for other numbers"),
    ("softmax_loss", [X, X[:2]], {}, sn.OperandError, "give probabilities in the logits' shape (4, 3)"),
    ("softmax_loss", [COLUMN, COLUMN], {}, sn.OperandError, "one class, so its probability is always 1"),
    (
        "softmax_loss",
        [X.reshape(2, 3, 2), np.zeros((2, 2), int)],
        {},
        sn.ShapeError,
        "moveaxis(logits, 1, -1)",
    ),
    ("softmax_loss", [X, LABELS], {"weight": np.ones(2)}, sn.ShapeError, "weight has shape (2,)"),
    (
        "softmax_loss",
        [X, LABELS],
        {"weight": np.ones(1)},
        sn.ShapeError,
        "weight has shape (1,); it must be (3,)",
    ),
    (
        "softmax_loss",
        [X, LABELS],
        {"label_smoothing": 1.5},
        sn.SettingError,
        "label_smoothing is 1.5; it must be a number from 0 to 1",
    ),
    (
        "softmax_loss",
        [X, LABELS],
        {"reduction": None},
        sn.SettingError,
        "softmax_loss: reduction is None",
    ),
    ("softmax_loss", [X, LABELS], {"ignore_index": 0.5}, sn.SettingError, "ignore_index is 0.5"),
    ("softmax_loss", [X, SHARES], {"ignore_index": 0}, sn.SettingError, "ignore_index is for labels"),
    ("softmax_loss", [NOTHING, NOTHING], {}, sn.ShapeError, "empty batch"),
    ("softmax_loss", [NOTHING, LABELS[:0]], {}, sn.ShapeError, "empty batch"),
    (
        "nll_loss",
        [X, LABELS[:2]],
        {},
        sn.ShapeError,
        "nll_loss: logits of shape (4, 3) and targets of shape (2,)",
    ),
    ("nll_loss", [X, FLOATS], {}, sn.OperandError, "nll_loss: targets must be integers"),
    (
        "binary_cross_entropy",
        [SHARES, SHARES],
        {"weight": np.ones((2, 1))},
        sn.ShapeError,
        "weight has shape (2, 1), which does not broadcast to (4, 3)",
    ),
    ("cosine_similarity", [X, X[:2]], {}, sn.ShapeError, "shapes (4, 3) and (2, 3) do not broadcast"),
    ("cosine_similarity", [FLOATS, FLOATS], {}, sn.ShapeError, "cosine_similarity: there is no axis 1"),
    ("cosine_similarity", [X, X], {"eps": -1}, sn.SettingError, "eps is -1"),
    (
        "triplet_margin_loss",
        [X, X, X[:1]],
        {},
        sn.ShapeError,
        "anchor has shape (4, 3) and negative has shape (1, 3)",
    ),
    ("triplet_margin_loss", [X, X, X], {"margin": 0}, sn.SettingError, "margin is 0"),
]


@pytest.mark.parametrize(("name", "operands", "options", "error", "message"), REFUSED)
def test_what_a_loss_refuses(backend, name, operands, options, error, message):
    moved = [to_device(each) if isinstance(each, np.ndarray) else each for each in operands]
    options = {k: to_device(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with pytest.raises(error, match=re.escape(message)) as caught:
        getattr(sn, name)(*moved, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "output", "target", "error", "message"),
    [
        ("binary_cross_entropy_with_logits", 0.5, 2, backends.LabelError, "2.0 at (1,) is not a target"),
        (
            "binary_cross_entropy",
            0.5,
            -1,
            backends.LabelError,
            "-1.0 at (1,) is not a target from 0 to 1",
        ),
        (
            "binary_cross_entropy",
            1.5,
            1,
            sn.OperandError,
            "1.5 at (1,) is no probability; for logits use",
        ),
        (
            "hinge_loss",
            0.5,
            0,
            backends.LabelError,
            "0.0 at (1,) is not a target of -1 or 1; for 0 and 1",
        ),
        ("kl_divergence", -1.0, -0.5, sn.OperandError, "-0.5 at (1,) is no probability; p holds"),
    ],
)
def test_numbers_out_of_range_are_never_silent(backend, name, output, target, error, message):
    output, target = variable([0.5, output]), to_device(np.array([1.0, target]))
    if backend == "numpy":
        with pytest.raises(error, match=re.escape(f"{name}: {message}")):
            getattr(sn, name)(output, target)
    else:
        assert np.isnan(host(getattr(sn, name)(output, target)))


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy", "softmax_loss", "kl_divergence"])
def test_an_empty_batch_has_a_sum(backend, name):
    empty = to_device(NOTHING)
    assert host(getattr(sn, name)(empty, empty, reduction="sum")) == 0
    assert getattr(sn, name)(empty, empty, reduction=NONE).shape[0] == 0


def test_an_empty_batch_of_labels_has_a_sum(backend):
    empty, labels = to_device(NOTHING), to_device(LABELS[:0])
    assert host(sn.softmax_loss(empty, labels, reduction="sum")) == 0
    assert sn.softmax_loss(empty, labels, reduction=NONE).shape == (0,)


def test_a_host_array_on_a_device_is_refused():
    with backends.use("strict"):
        with pytest.raises(backends.WrongArrayError, match="mse_loss: targets is a"):
            sn.mse_loss(variable(X), X)
        with pytest.raises(backends.WrongArrayError, match="softmax_loss: targets is a"):
            sn.softmax_loss(variable(X), LABELS, reduction="sum")
