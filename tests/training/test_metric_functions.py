"""The metrics of `sn.metrics`, compared with scikit-learn on random cases."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from arrays import host, variable
from needed import needs

import backends
import scratchnet as sn
from backends import to_device

AVERAGES = "macro", "micro", "weighted"


def classes_of(rng):
    """Return outputs and labels of a few classes; some classes may not occur."""
    n, classes = rng.integers(2, 40), rng.integers(2, 7)
    return rng.normal(size=(n, classes)).astype(np.float32), rng.integers(0, classes, n)


def two_of(rng):
    """Return one output for each sample and its target, with shapes and kinds that mean the same."""
    n = rng.integers(2, 40)
    outputs, targets = rng.normal(size=n), rng.integers(0, 2, n)
    kind = rng.choice(["int64", "bool", "float32"])
    shapes = [(n,), (n, 1)]
    return outputs.reshape(shapes[rng.integers(2)]), targets.astype(kind).reshape(
        shapes[rng.integers(2)]
    )


def several_of(rng):
    """Return outputs and targets of a few labels."""
    shape = rng.integers(2, 30), rng.integers(2, 6)
    return rng.normal(size=shape), rng.integers(0, 2, shape)


def numbers_of(rng):
    shape = (rng.integers(2, 40), *rng.integers(1, 4, rng.integers(0, 2)))
    targets = rng.normal(size=shape)
    if rng.integers(4) == 0:
        targets[...] = 1.5  # constant targets
    return (targets if rng.integers(8) == 0 else targets + rng.normal(size=shape)), targets


def every_form(metric, outputs, targets):
    """Return the figure of NumPy arrays, of device arrays and of Variables, which must be one."""
    alone = metric(outputs, targets)
    on_device = metric(to_device(outputs), to_device(targets))
    of_variables = metric(variable(outputs), variable(targets))
    assert host(on_device).shape == host(of_variables).shape == np.shape(alone) == ()
    np.testing.assert_allclose([host(on_device), host(of_variables)], alone, rtol=1e-6, equal_nan=True)
    return alone


def test_classes_as_in_scikit_learn(backend):
    sk = needs("sklearn.metrics", "dev")
    for rng in map(np.random.default_rng, range(100)):
        outputs, labels = classes_of(rng)
        predicted, classes = outputs.argmax(1), outputs.shape[1]
        metrics = sn.metrics
        assert every_form(metrics.accuracy, outputs, labels) == sk.accuracy_score(labels, predicted)
        for k in range(1, classes):
            # Of two classes, scikit-learn takes one probability.
            score = 1 / (1 + np.exp(outputs[:, 0] - outputs[:, 1])) if classes == 2 else outputs
            wanted = sk.top_k_accuracy_score(labels, score, k=k, labels=range(classes))
            assert every_form(metrics.top_k(k=k), outputs, labels) == pytest.approx(wanted)
        chances = np.exp(outputs.astype(float))
        chances /= chances.sum(1, keepdims=True)
        wanted = np.exp(sk.log_loss(labels, chances, labels=range(classes)))
        assert every_form(metrics.perplexity, outputs, labels) == pytest.approx(wanted, rel=1e-5)
        for name, score in (
            ("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score),
        ):  # fmt: skip
            metric = getattr(metrics, name)
            for average in AVERAGES:
                wanted = score(labels, predicted, average=average, zero_division=0)
                assert every_form(metric(average=average), outputs, labels) == pytest.approx(wanted)
            assert metric(outputs, labels) == metric(outputs, labels, average="macro")
            if classes == 2:
                wanted = score(labels, predicted, zero_division=0)
                assert metric(outputs, labels, average="binary") == pytest.approx(wanted)


def test_two_classes_as_in_scikit_learn(backend):
    sk = needs("sklearn.metrics", "dev")
    for rng in map(np.random.default_rng, range(100)):
        outputs, targets = two_of(rng)
        yes, true = outputs.reshape(-1) > 0.25, targets.reshape(-1).astype(int)
        metrics, threshold = sn.metrics, 0.25
        wanted = sk.accuracy_score(true, yes)
        assert every_form(metrics.binary_accuracy(threshold=threshold), outputs, targets) == wanted
        signed = (2 * targets.astype(int) - 1).astype(np.float32)
        assert metrics.binary_accuracy(outputs, signed, threshold=threshold) == wanted
        for name, score in (
            ("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score),
        ):  # fmt: skip
            metric = getattr(metrics, name)(threshold=threshold)
            wanted = score(true, yes, zero_division=0)
            assert every_form(metric, outputs, targets) == pytest.approx(wanted)
            assert metric(outputs, signed) == metric(outputs, targets, average="binary")
            for average in AVERAGES:
                wanted = score(true, yes, average=average, zero_division=0)
                assert metric(outputs, targets, average=average) == pytest.approx(wanted)


def test_several_labels_as_in_scikit_learn(backend):
    sk = needs("sklearn.metrics", "dev")
    for rng in map(np.random.default_rng, range(100)):
        outputs, targets = several_of(rng)
        metrics, yes = sn.metrics, (outputs > 0).astype(int)
        by_label = [sk.accuracy_score(*each) for each in zip(targets.T, yes.T, strict=True)]
        for metric in (metrics.multilabel_accuracy, metrics.binary_accuracy):
            assert every_form(metric, outputs, targets) == pytest.approx(np.mean(by_label))
        for name, score in (
            ("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score),
        ):  # fmt: skip
            metric = getattr(metrics, name)
            for average in AVERAGES:
                wanted = score(targets, yes, average=average, zero_division=0)
                assert every_form(metric(average=average), outputs, targets) == pytest.approx(wanted)
            assert metric(outputs, targets) == metric(outputs, targets, average="macro")


def test_numbers_as_in_scikit_learn(backend):
    sk = needs("sklearn.metrics", "dev")
    for rng in map(np.random.default_rng, range(100)):
        outputs, targets = numbers_of(rng)
        rows = [each.reshape(len(each), -1) for each in (targets, outputs)]
        for metric, score in (
            (sn.metrics.mean_absolute_error, sk.mean_absolute_error),
            (sn.metrics.mean_squared_error, sk.mean_squared_error),
            (sn.metrics.r2, sk.r2_score),
        ):
            assert every_form(metric, outputs, targets) == pytest.approx(score(*rows))
            assert metric(outputs.reshape(*outputs.shape, 1), targets) == pytest.approx(score(*rows))


def test_words_are_scored_as_rows_and_an_ignored_label_counts_nowhere(backend, rng):
    outputs = rng.normal(size=(3, 5, 4)).astype(np.float32)
    labels = rng.integers(0, 4, (3, 5))
    padded = np.where(rng.random((3, 5)) < 0.4, -100, labels)
    kept = padded != -100
    metrics = sn.metrics
    for metric in (
        metrics.accuracy, metrics.top_k(k=2), metrics.perplexity, metrics.precision, metrics.recall,
        metrics.f1, metrics.f1(average="micro"), metrics.f1(average="weighted"),
    ):  # fmt: skip
        alone = metric(outputs[kept], labels[kept])
        ignoring = metric(ignore_index=-100)
        assert every_form(ignoring, outputs, padded) == pytest.approx(alone)
        assert ignoring(outputs, padded[..., None]) == pytest.approx(alone)
    assert np.isnan(metrics.accuracy(outputs, np.full((3, 5), -100), ignore_index=-100))
    chances = rng.random(outputs.shape)
    assert metrics.accuracy(outputs, chances) == (outputs.argmax(-1) == chances.argmax(-1)).mean()
    two = np.array([[1.0], [-1.0], [1.0]]), np.array([1, 0, 9])
    assert every_form(metrics.precision(ignore_index=9), *two) == 1


def test_of_equal_outputs_the_first_counts_as_the_largest_and_nan_before_all(backend):
    outputs = np.array([[1, 1, 0, 1], [np.nan, 0, 0, 0], [0, 2, np.nan, np.nan]], np.float32)
    labels = np.arange(4)
    for row in outputs:
        rows = np.tile(row, (4, 1))
        top = [
            labels[[sn.metrics.top_k(rows[:1], [label], k=k) == 1 for label in labels]] for k in (1, 2)
        ]
        assert top[0].tolist() == [row.argmax()][: len(top[0])]
    assert sn.metrics.top_k(np.array([[1.0, 1, 0, 1]] * 4), labels, k=2) == 0.5


def test_means_over_samples_are_computed_on_the_device_without_a_host_read(backend, rng):
    outputs, labels = to_device(rng.normal(size=(8, 3)).astype(np.float32)), to_device(np.arange(8) % 3)
    targets = to_device((rng.random((8, 3)) > 0.5).astype(np.float32))
    metrics = sn.metrics
    with backends.forbid_transfers():
        before = backends.active().xp.__dict__.get("synchronizations")
        for metric, given in (
            (metrics.accuracy, labels),
            (metrics.accuracy(ignore_index=1), labels),
            (metrics.top_k(k=2), labels),
            (metrics.binary_accuracy, targets),
            (metrics.multilabel_accuracy(threshold=0.5), targets),
            (metrics.mean_absolute_error, targets),
            (metrics.mean_squared_error, targets),
        ):
            assert metric.mean_over_samples
            assert metric(outputs, given).shape == ()
        assert backends.active().xp.__dict__.get("synchronizations") == before


def test_a_metric_with_options_keeps_its_name_and_kind():
    metrics = sn.metrics
    top = metrics.top_k(k=2)
    assert (top.__name__, top.mean_over_samples, top.larger_is_better) == ("top_k", True, True)
    assert repr(top(ignore_index=0)) == "metrics.top_k(k=2, ignore_index=0)"
    assert not metrics.perplexity(ignore_index=0).larger_is_better
    assert not metrics.f1(average="macro").mean_over_samples
    outputs, labels = np.eye(4)[[0, 1, 1, 2]], np.array([0, 1, 2, 2])
    assert metrics.top_k(outputs, labels, k=2) == top(outputs, labels)
    for each in (metrics.f1, metrics.f1(average="micro")):
        again = pickle.loads(pickle.dumps(each))
        assert (again.function, again.options) == (each.function, each.options)
    assert pickle.loads(pickle.dumps(metrics.f1)) is copy.deepcopy(metrics.f1) is metrics.f1


def test_a_function_of_scikit_learn_gets_numpy_arrays_in_its_own_order(backend, rng):
    sk = needs("sklearn.metrics", "dev")
    outputs, targets = rng.normal(size=12), np.arange(12) % 2
    metric = sn.metrics.from_sklearn(sk.fbeta_score, beta=2, average="macro")
    assert (metric.__name__, metric.larger_is_better, metric.mean_over_samples) == (
        "fbeta_score", True, False,
    )  # fmt: skip
    yes = (outputs > 0).astype(int)
    wanted = sk.fbeta_score(targets, yes, beta=2, average="macro")
    assert every_form(metric, yes, targets) == pytest.approx(wanted)
    auc = sn.metrics.from_sklearn(sk.roc_auc_score)
    assert every_form(auc, outputs, targets) == pytest.approx(sk.roc_auc_score(targets, outputs))
    assert not sn.metrics.from_sklearn(sk.max_error).larger_is_better
    assert sn.metrics.from_sklearn(partial(sk.fbeta_score, beta=2)).__name__ == "fbeta_score"
    assert pickle.loads(pickle.dumps(auc))(outputs, targets) == auc(outputs, targets)
    with pytest.raises(
        sn.OperandError, match=r"fbeta_score: Classification .*\(targets, outputs > 0\)$"
    ):
        metric(outputs, targets)
    with pytest.raises(sn.OperandError, match=r"\(targets, outputs.argmax\(-1\)\)$"):
        metric(np.stack([outputs, -outputs], 1), targets)
    with pytest.raises(sn.OperandError, match="from_sklearn: function is a str; give a function"):
        sn.metrics.from_sklearn("f1_score")


def test_metrics_by_name_and_by_loss():
    metrics = sn.metrics
    for loss in (
        sn.softmax_loss,
        sn.plain_softmax_loss,
        sn.nll_loss,
        partial(sn.softmax_loss, weight=0),
    ):
        assert metrics.for_loss(loss) == {"accuracy": metrics.accuracy}
    padded = partial(partial(sn.softmax_loss, ignore_index=0), label_smoothing=0.1)
    assert metrics.for_loss(padded)["accuracy"].options == {"ignore_index": 0}
    for loss, threshold in (
        (sn.binary_cross_entropy_with_logits, 0),
        (sn.binary_cross_entropy, 0.5),
        (sn.hinge_loss, 0),
    ):
        for found in (metrics.for_loss(loss)["accuracy"], metrics.named("accuracy", loss)):
            assert found.function is metrics.binary_accuracy.function
            assert found.options == {"threshold": threshold}
    for loss in (sn.mse_loss, sn.l1_loss, sn.kl_divergence, lambda *_: 0, None, [sn.softmax_loss]):
        assert metrics.for_loss(loss) == {}
    assert metrics.named("f1", sn.binary_cross_entropy).options == {"threshold": 0.5}
    assert metrics.suited(metrics.f1(threshold=0.1), sn.binary_cross_entropy).options == {
        "threshold": 0.1
    }
    assert metrics.suited(metrics.perplexity, padded).options == {"ignore_index": 0}
    assert metrics.suited(len, padded) is len
    for name in metrics.__all__:
        if isinstance(getattr(metrics, name), metrics.Metric):
            assert metrics.named(name) is getattr(metrics, name)
    with pytest.raises(
        sn.SettingError, match="no metric 'acuracy'; did you mean accuracy or binary_acc"
    ):
        metrics.named("acuracy")
    with pytest.raises(sn.SettingError, match="no metric 'mae'; did you mean mean_absolute_error"):
        metrics.named("mae")
    with pytest.raises(
        sn.SettingError, match=r"no metric 'auc'; known .*from_sklearn\(roc_auc_score\)$"
    ):
        metrics.named("auc")


@pytest.mark.parametrize("name", ["accuracy", "f1", "top_k", "perplexity"])
def test_a_loss_of_numbers_has_no_metric_of_classes_by_name(name):
    for loss in (sn.mse_loss, sn.l1_loss, partial(sn.huber_loss, delta=2.0)):
        with pytest.raises(sn.SettingError, match=f"{name} is a metric for classes.*; give mean_abs"):
            sn.metrics.named(name, loss)
        assert sn.metrics.named("r2", loss) is sn.metrics.r2


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_one_hot_targets_are_classes_with_a_loss_of_classes(backend, rng, name):
    outputs, labels = classes_of(rng)
    one_hot = np.eye(outputs.shape[1], dtype=np.float32)[labels]
    found = sn.metrics.named(name, sn.softmax_loss)
    metric = getattr(sn.metrics, name)
    assert every_form(found, outputs, one_hot) == metric(outputs, labels)
    assert metric(outputs, one_hot) != metric(outputs, labels)


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "options", "error", "message"),
    [
        ("accuracy", (5, 3), (4,), {}, sn.ShapeError, r"give outputs \(..., classes\) and integer"),
        ("accuracy", (5,), (5,), {}, sn.ShapeError, "one output per sample; use binary_accuracy"),
        ("accuracy", (5, 1), (5,), {}, sn.ShapeError, "one output per sample; use binary_accuracy"),
        ("accuracy", (5, 3), (5, 3), {}, sn.ShapeError, "use multilabel_accuracy; of one-hot rows"),
        ("accuracy", (0, 3), (0,), {}, sn.ShapeError, r"\(0, 3\) are empty; give at least one sample"),
        ("accuracy", (5, 3), [0.0] * 5, {}, sn.OperandError, r"convert them with .astype\('int64'\)"),
        ("accuracy", (2, 3), [0, 3], {}, backends.LabelError, "target 3 is not one of the 3 classes"),
        ("accuracy", (2, 3), [0, -1], {}, backends.LabelError, "0 to 2; see ignore_index"),
        ("accuracy", (2, 3), None, {}, sn.OperandError, "give outputs and targets, or options"),
        ("accuracy", (2, 3), ["a", "b"], {}, sn.OperandError, "targets of <U1; they must be numbers"),
        ("accuracy", [[0], [1, 2]], (2,), {}, sn.OperandError, "outputs are not an array of numbers"),
        ("binary_accuracy", (5, 3), (5,), {}, sn.ShapeError, "one label per sample use accuracy"),
        ("binary_accuracy", (2,), [0, 2], {}, backends.LabelError, "target 2 is not one of two classes"),
        ("multilabel_accuracy", (2,), (2,), {}, sn.ShapeError, "no axis of labels; use binary_accuracy"),
        ("r2", (5, 2), (5,), {}, sn.ShapeError, "differ; give one target for each output, by reshape"),
        ("top_k", (5, 4), (5,), {}, sn.SettingError, "k is 5, and there are 4 classes"),
        ("top_k", (5, 4), (5,), {"k": 0}, sn.SettingError, "k is 0; it must be a positive integer"),
        ("f1", (5, 3), (5,), {"average": "x"}, sn.SettingError, "average is 'x'; it must be \"binary\""),
        ("f1", (5, 3), (5,), {"average": "binary"}, sn.SettingError, "and there are 3 classes; give"),
        ("f1", (5, 2), (5, 2), {"average": "binary"}, sn.SettingError, "there are 2 labels; give"),
        ("f1", (5, 2), (5,), {"threshold": "0"}, sn.SettingError, "threshold is '0'; it must be a"),
        ("f1", (5, 2), (5,), {"avrage": None}, sn.SettingError, "no option 'avrage'; its options are"),
        ("r2", (5,), (5,), {"k": 1}, sn.SettingError, "there is no option 'k'; it has none"),
        ("accuracy", (5, 2), (5,), {"ignore_index": 0.5}, sn.SettingError, "must be an integer or None"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured(name, outputs, targets, options, error, message):
    outputs, targets = (
        np.zeros(each, kind) if isinstance(each, tuple) else each
        for each, kind in ((outputs, np.float32), (targets, np.int64))
    )
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(sn.metrics, name)(outputs, targets, **options)


def test_host_and_device_arrays_are_not_mixed():
    with backends.use("strict"), pytest.raises(backends.WrongArrayError, match="accuracy: targets is a"):
        sn.metrics.accuracy(to_device(np.zeros((2, 3), np.float32)), np.zeros(2, int))
