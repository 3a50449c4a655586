"""Learner and MetricsCollector with batches of any structure, several losses, weights and metrics."""

from functools import partial

import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import LabelError, to_device, xp


class Both(sn.Module):
    """Two inputs and two outputs."""

    def __init__(self):
        self.left, self.right = sn.Linear(3, 4, 0), sn.Linear(2, 4, 1)
        self.classes, self.value = sn.Linear(4, 3, 2), sn.Linear(4, 1, 3)

    def forward(self, a, b):
        hidden = sn.tanh(self.left(a) + self.right(b))
        return self.classes(hidden), self.value(hidden)


class Named(Both):
    def forward(self, a, b):
        return dict(zip(("classes", "value"), super().forward(a, b), strict=True))


def samples(count=50):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((count, 3)), rng.standard_normal((count, 2))
    return (
        a.astype("float32"),
        b.astype("float32"),
        rng.integers(0, 3, count),
        a[:, :1].astype("float32"),
    )


def fitted(data, net, loss, epochs=2, **options):
    capture = options.get("capture", "auto")
    metrics = sn.MetricsCollector(data, data, loss, capture, options.pop("metrics", None))
    learner = sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), loss, metrics, **options)
    learner.fit(epochs, None)
    return learner


def parameters(learner):
    return np.concatenate([host(each).ravel() for each in learner.net.parameters()])


def test_several_inputs_and_losses_by_place_and_by_name_are_the_sum(backend):
    a, b, labels, values = samples()
    by_place = fitted(
        sn.ArrayDataLoader((a, b), (labels, values), 16),
        Both(),
        [sn.softmax_loss, sn.mse_loss],
        capture=False,
    )
    by_name = fitted(
        sn.ArrayDataLoader({"b": b, "a": a}, {"value": values, "classes": labels}, 16),
        Named(),
        {"classes": sn.softmax_loss, "value": sn.mse_loss},
        capture=False,
    )
    summed = fitted(
        sn.ArrayDataLoader((a, b), (labels, values), 16),
        Both(),
        lambda out, target: sn.softmax_loss(out[0], target[0]) + sn.mse_loss(out[1], target[1]),
        capture=False,
    )
    np.testing.assert_array_equal(parameters(by_place), parameters(by_name))
    np.testing.assert_array_equal(parameters(by_place), parameters(summed))
    assert by_place.history["train_loss"] == by_name.history["train_loss"]
    assert list(by_place.history) == ["train_loss", "valid_loss", "duration"]


@pytest.mark.parametrize("weights", [None, "weights"])
def test_accumulated_batches_update_as_one_batch_does(backend, weights):
    a, _, labels, _ = samples(50)
    if weights:
        weights = np.random.default_rng(1).random(50).astype("float32")
    make = partial(sn.ArrayDataLoader, a, labels, shuffle=False, weights=weights)
    few = fitted(make(batch_size=8), sn.Linear(3, 3, 0), sn.softmax_loss, accumulate=3)
    many = fitted(make(batch_size=24), sn.Linear(3, 3, 0), sn.softmax_loss)
    np.testing.assert_allclose(parameters(few), parameters(many), rtol=0, atol=2e-7)


def test_sample_weights_are_those_of_repeated_samples(backend):
    a, _, labels, _ = samples(20)
    counts = np.arange(20) % 3
    weighted = fitted(
        sn.ArrayDataLoader(a, labels, 20, weights=counts, shuffle=False),
        sn.Linear(3, 3, 0),
        sn.softmax_loss,
    )
    repeated = fitted(
        sn.ArrayDataLoader(a.repeat(counts, 0), labels.repeat(counts), 20, shuffle=False),
        sn.Linear(3, 3, 0),
        sn.softmax_loss,
        epochs=0,
    )
    one_batch = sn.ArrayDataLoader(a.repeat(counts, 0), labels.repeat(counts), 100, shuffle=False)
    repeated.train = one_batch
    repeated.fit(2, None)
    np.testing.assert_allclose(parameters(weighted), parameters(repeated), atol=1e-6)
    assert weighted.history["train_loss"] == pytest.approx(repeated.history["train_loss"], rel=1e-6)


def test_figures_are_those_of_the_whole_set(backend):
    """The batches are of unequal lengths, weights and numbers of ignored labels."""
    a, _, labels, _ = samples(50)
    labels[labels == 2] = -100
    net, size = sn.Linear(3, 2, 0), 16
    logits = host(net(to_device(a))).astype(float)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    known = labels >= 0
    of_each = -log_p[np.arange(50), np.where(known, labels, 0)]
    classes = np.array([1.0, 3.0], "float32")
    loss = partial(sn.softmax_loss, ignore_index=-100, weight=to_device(classes))
    w = np.where(known, classes[np.where(known, labels, 0)], 0)
    found = fitted(sn.ArrayDataLoader(a, labels, size), net, loss, epochs=0)
    figures = found.evaluate(sn.ArrayDataLoader(a, labels, size))
    assert figures["loss"] == pytest.approx((w * of_each).sum() / w.sum(), rel=1e-6)
    assert figures["accuracy"] == pytest.approx((logits.argmax(1) == labels)[known].mean(), rel=1e-14)
    weights = np.linspace(0, 1, 50, dtype="float32")
    loss, positive = sn.mse_loss, sn.ArrayDataLoader(a, a[:, :2], size, weights=weights)
    figures = fitted(positive, net, loss, epochs=0).evaluate(positive)
    squares = ((logits - a[:, :2]) ** 2).mean(axis=1)
    assert figures == {"loss": pytest.approx((weights * squares).sum() / weights.sum(), rel=1e-6)}


@pytest.mark.parametrize("weights", [None, np.linspace(0.1, 1, 50, dtype="float32")])
def test_several_losses_divide_each_by_its_own_labels(backend, weights):
    """Batches have unequal numbers of known labels, and one has none."""
    a, b, labels, values = samples(50)
    labels[16:32] = -1
    net, loss = Both(), [partial(sn.softmax_loss, ignore_index=-1), sn.mse_loss]
    data = sn.ArrayDataLoader((a, b), (labels, values), 16, weights=weights)
    logits, numbers = map(host, net(variable(a), variable(b)))
    shifted = logits.astype(float) - np.log(np.exp(logits.astype(float)).sum(axis=1, keepdims=True))
    w, known = np.ones(50) if weights is None else weights, labels >= 0
    of_each = -shifted[np.arange(50), np.where(known, labels, 0)]
    expected = (w * known * of_each).sum() / (w * known).sum()
    expected += (w * (numbers - values)[:, 0] ** 2).sum() / w.sum()
    collector = sn.MetricsCollector(data, None, loss, capture=False)
    assert collector.evaluate(net) == {"train_loss": pytest.approx(expected, rel=1e-6)}
    with pytest.raises(sn.SettingError, match=r"of several losses \(softmax_loss, mse_loss\) one has"):
        fitted(data, net, loss, 0, accumulate=2)


def test_words_are_padded_for_each_batch_and_figures_are_those_of_all_words(backend):
    """Batches have sentences of unequal lengths; -1 is padding, and one batch has nothing else."""
    rng = np.random.default_rng(0)
    batches = [
        (rng.normal(size=(4, words, 3)).astype("float32"), rng.integers(-1, 3, (4, words)))
        for words in (5, 3, 8)
    ]
    batches[1][1][:] = -1
    net, loss = sn.Linear(3, 3, 0), partial(sn.softmax_loss, ignore_index=-1)
    collector = sn.MetricsCollector(batches, None, loss, False, [sn.metrics.top_k(k=2), "accuracy"])
    found = collector.evaluate(net)
    logits = np.concatenate([host(net(variable(x))).reshape(-1, 3) for x, _ in batches])
    labels = np.concatenate([each.reshape(-1) for _, each in batches])
    for name, metric in (("accuracy", sn.metrics.accuracy), ("top_k", sn.metrics.top_k(k=2))):
        assert found[f"train_{name}"] == pytest.approx(metric(logits, labels, ignore_index=-1), rel=1e-6)
    assert found.train_loss == pytest.approx(float(loss(variable(logits), to_device(labels))), rel=1e-6)


@pytest.mark.parametrize("options", [{"ignore_index": 2}, {"weight": [1.0, 1.0, 0.0]}])
def test_a_batch_without_a_label_that_counts_is_named(options):
    a, b, labels, values = samples(48)
    labels[:] = 0
    labels[16:32] = 2
    data = sn.ArrayDataLoader((a, b), (labels, values), 16, shuffle=False)
    loss = [partial(sn.softmax_loss, **options), sn.mse_loss]
    with pytest.raises(
        LabelError, match="epoch 0, batch 1: softmax_loss: no label of this batch counts"
    ):
        fitted(data, Both(), loss)
    labels[:] = 2
    data = sn.ArrayDataLoader((a, b), (labels, values), 16)
    with pytest.raises(sn.DataError, match="the train loader has no label or sample that counts"):
        sn.MetricsCollector(data, None, loss).evaluate(Both())


def test_a_loss_that_is_nan_may_come_of_its_labels():
    with backends.use("strict"):
        data = sn.ArrayDataLoader(to_device(np.ones((4, 3), "float32")), [2] * 4, 4)
        with pytest.raises(sn.NonFiniteLossError, match="it may have no label that counts"):
            fitted(data, sn.Linear(3, 3, 0), partial(sn.softmax_loss, ignore_index=2))


@pytest.mark.filterwarnings("ignore:metrics.span. calls has changed:scratchnet.LostStateWarning")
def test_metrics_of_any_kind_are_measured_and_kept(backend, tmp_path):
    a, _, labels, _ = samples()
    calls = []

    def span(outputs, targets):
        """A metric of the user's, of all samples at once."""
        calls.append((type(outputs), outputs.shape, targets.shape))
        return np.ptp(outputs)

    def mean_logit(outputs, targets):
        assert isinstance(outputs, type(xp.zeros(1)))
        return outputs.mean()

    mean_logit.mean_over_samples = True
    metrics = {
        "span": span,
        "mean": mean_logit,
        "f1": sn.metrics.f1(average="macro"),
        "accuracy": "accuracy",
    }
    data = sn.ArrayDataLoader(a, labels, 16)
    learner = fitted(data, sn.Linear(3, 3, 0), sn.softmax_loss, metrics=metrics, capture=False)
    names = [f"{which}_{name}" for name in ("loss", *metrics) for which in ("train", "valid")]
    assert list(learner.history) == [*names, "duration"]
    assert calls[-1] == (np.ndarray, (50, 3), (50,))
    logits = host(learner.net(to_device(a)))
    assert learner.history["valid_span"][-1] == pytest.approx(np.ptp(logits), rel=1e-6)
    assert learner.history["valid_mean"][-1] == pytest.approx(logits.mean(), abs=1e-6)
    assert len(learner.evaluator.series["train_mean"]) == 8
    assert "train_span" not in learner.evaluator.series
    learner.save(tmp_path / "c")
    other = fitted(data, sn.Linear(3, 3, 9), sn.softmax_loss, 0, metrics=metrics, capture=False)
    other.resume(tmp_path / "c")
    assert dict(other.history) == dict(learner.history)
    assert other.evaluator.epochs == learner.evaluator.epochs
    fewer = fitted(data, sn.Linear(3, 3, 9), sn.softmax_loss, 0, metrics=["f1"], capture=False)
    with pytest.raises(
        sn.CheckpointError, match=r"its run measured .*train_span.*, and this one measures"
    ):
        fewer.resume(tmp_path / "c")


@pytest.mark.parametrize(
    ("metrics", "error", "line"),
    [
        (["acuracy"], sn.SettingError, "no metric 'acuracy'; did you mean accuracy"),
        ({"a": 3}, sn.OperandError, "metrics: a is a int"),
        ([lambda o, t: 0], sn.SettingError, "a function without a name"),
        (3, sn.OperandError, "a int given; give names and functions, as a list or a dict"),
        (["f1", "f1"], sn.SettingError, "f1 is there twice"),
        ({"loss": "f1"}, sn.SettingError, "the name 'loss' cannot be used"),
    ],
)
def test_a_fault_in_the_metrics_is_one_clear_line(metrics, error, line):
    data = sn.ArrayDataLoader(np.ones((4, 3), "float32"), [0, 1, 2, 0], 2)
    with pytest.raises(error, match=line):
        sn.MetricsCollector(data, data, sn.softmax_loss, metrics=metrics)


class Listed(Both):
    def forward(self, a, b):
        return list(super().forward(a, b))


def test_the_metric_of_several_outputs_takes_one_of_them(backend):
    a, b, labels, values = samples()
    data, losses = sn.ArrayDataLoader((a, b), (labels, values), 16), [sn.softmax_loss, sn.mse_loss]

    def r2(outputs, targets):
        return sn.metrics.r2(outputs[1], targets[1])

    for net in (Both(), Listed()):
        found = sn.MetricsCollector(data, None, losses, False, [r2]).evaluate(net)
        expected = sn.metrics.r2(host(net(variable(a), variable(b))[1]), values)
        assert found.train_r2 == pytest.approx(expected, rel=1e-5)
    for metric in ("r2", "mean_absolute_error", sn.metrics.from_sklearn(max, key=len)):
        collector = sn.MetricsCollector(data, None, losses, False, [metric])
        with pytest.raises(sn.OperandError, match=r"are a tuple of 2 arrays; .*\(outputs\[0\], targets"):
            collector.evaluate(Both())


def test_a_metric_that_is_infinite_is_not_the_learning_rate():
    data = sn.ArrayDataLoader(np.ones((4, 3), "float32"), [0, 1, 2, 0], 2)
    with pytest.raises(
        sn.NonFiniteLossError, match=r"train_own is inf.*; look at the metric that is not"
    ):
        fitted(data, sn.Linear(3, 3, 0), sn.softmax_loss, metrics={"own": lambda o, t: np.inf})


@pytest.mark.parametrize("returned", [np.ones(3), "text", None, np.ones((2, 2))])
@pytest.mark.parametrize("mean", [True, False])
def test_a_metric_that_is_no_number_is_named(returned, mean):
    def own(outputs, targets):
        return returned

    own.mean_over_samples = mean
    data = sn.ArrayDataLoader(np.ones((4, 3), "float32"), [0, 1, 2, 0], 2)
    collector = sn.MetricsCollector(data, data, sn.softmax_loss, metrics=[own])
    with pytest.raises(sn.OperandError, match=r"metric 'own' returned .* one number"):
        collector.evaluate(sn.Linear(3, 3))


@pytest.mark.parametrize(
    ("inputs", "targets", "loss", "options", "error", "line"),
    [
        (1, None, sn.mse_loss, {}, sn.OperandError,
         r"mse_loss: the loader gives no targets.*inputs again"),
        (1, (0, 1), [sn.mse_loss], {}, sn.ShapeError, "1 losses, and the outputs are one Variable"),
        (1, 0, {"a": sn.mse_loss}, {}, sn.ShapeError,
         "the losses are for a, and the outputs are Variable"),
        (1, 0, None, {}, sn.OperandError, "the loss is a NoneType; give a function of outputs"),
        (1, 0, ["mse"], {}, sn.OperandError, "the loss is a str; give a function of outputs"),
        (1, 0, lambda o, t: None, {}, sn.OperandError, "returned a NoneType; it must return one number"),
        (1, 0, partial(sn.mse_loss, reduction="none"), {}, sn.OperandError,
         r"mse_loss returned a Variable of shape \(2, 3\); it must return one number"),
        (1, 0, lambda o, t: sn.mse_loss(o, t), {"weights": True}, sn.OperandError, 'reduction="none"'),
        (1, "column", sn.mse_loss, {}, sn.ShapeError, r"\(2, 3\) and targets of shape \(2,\) differ"),
        (1, 1, sn.softmax_loss, {}, sn.LabelError if hasattr(sn, "LabelError") else Exception, "label"),
    ],
)  # fmt: skip
def test_a_loss_that_does_not_fit_is_one_clear_line(inputs, targets, loss, options, error, line):
    x = np.ones((4, 3), "float32")
    kinds = {None: None, 0: x, 1: np.full(4, 7), "column": np.ones(4, "float32"), (0, 1): (x, x)}
    weights = np.ones(4) if options else None
    data = sn.ArrayDataLoader(x, kinds[targets], 2, weights=weights, dtype="float32")
    net = sn.Linear(3, 3, 0)
    with pytest.raises(error, match=line) as told:
        sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), loss).fit(1, None)
    assert "\n" not in str(told.value)


def test_where_no_accuracy_makes_sense_none_is_measured(backend):
    """An autoencoder with a binary loss learns numbers between 0 and 1."""
    x = np.random.default_rng(0).random((32, 3)).astype("float32")
    loss, binary = sn.binary_cross_entropy_with_logits, np.round(x)

    class Pixels(sn.Dataset):
        def __len__(self):
            return 32

        def __getitem__(self, index):
            return x[index], x[index]

    soft = sn.ArrayDataLoader(x, x, 8), [(x, x)], sn.DataLoader(Pixels(), 8)
    for each in soft:
        assert sn.MetricsCollector(each, None, loss).measures == ("train_loss",)
    assert list(fitted(soft[0], sn.Linear(3, 3, 0), loss, 0).evaluate(soft[0])) == ["loss"]
    for each in (sn.ArrayDataLoader(x, binary, 8), [(x, binary)], [(x, binary.astype(int))]):
        assert sn.MetricsCollector(each, None, loss).measures == ("train_loss", "train_accuracy")


def test_a_list_of_batches_and_an_own_loader_train_as_the_arrays_do(backend):
    a, _, labels, _ = samples(48)
    rows = [slice(start, start + 16) for start in range(0, 48, 16)]

    class Own:
        def __iter__(self):
            return ((a[part], labels[part]) for part in rows)

        def __len__(self):
            return 3

    class OurOwn(sn.DataLoader):
        __iter__, __len__ = Own.__iter__, Own.__len__

    given = [(a[part], labels[part]) for part in rows], Own(), OurOwn()
    expected = fitted(
        sn.ArrayDataLoader(a, labels, 16, shuffle=False), sn.Linear(3, 3, 0), sn.softmax_loss
    )
    for each in given:
        found = fitted(each, sn.Linear(3, 3, 0), sn.softmax_loss, metrics=None, capture=False)
        np.testing.assert_array_equal(parameters(found), parameters(expected))
        assert found.history["valid_accuracy"] == expected.history["valid_accuracy"]
        assert found.train.num_samples == 48


@pytest.mark.parametrize("told", [2, 4])
def test_a_loader_whose_length_is_wrong_is_an_error(told):
    a, _, labels, _ = samples(48)

    class Own(list):
        def __len__(self):
            return told

    batches = Own((a[start : start + 16], labels[start : start + 16]) for start in range(0, 48, 16))
    with pytest.raises(sn.DataError, match=f"loader gave 3 batches, and its len is {told}"):
        fitted(batches, sn.Linear(3, 3, 0), sn.softmax_loss, capture=False)


@pytest.mark.filterwarnings("ignore:train. seen has changed:scratchnet.LostStateWarning")
def test_a_loader_without_rest_stops_and_goes_on(tmp_path):
    a, _, labels, _ = samples(48)

    def learner(stop_at=None):
        seen = []

        class Own:
            def __iter__(self):
                for number in range(6):
                    seen.append(number)
                    if number == stop_at:
                        training.stop()
                    part = slice(8 * number, 8 * number + 8)
                    yield a[part], labels[part]

            def __len__(self):
                return 6

        net = sn.Linear(3, 3, 0)
        training = sn.Learner(Own(), net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, capture=False)
        return training, seen

    stopped, seen = learner(stop_at=2)
    stopped.fit(2, None)
    assert (stopped.epochs, stopped.batches_done) == (0, 3)
    assert seen == [0, 1, 2]
    stopped.save(tmp_path / "c")
    resumed, _ = learner()
    resumed.resume(tmp_path / "c")
    resumed.fit(2, None)
    whole, _ = learner()
    whole.fit(2, None)
    np.testing.assert_array_equal(parameters(resumed), parameters(whole))


def test_stop_waits_for_the_update(tmp_path):
    a, _, labels, _ = samples(48)
    net = sn.Linear(3, 3, 0)
    data = sn.ArrayDataLoader(a, labels, 8, shuffle=False)
    learner = sn.Learner(
        data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, accumulate=2, capture=False
    )

    class Stop(sn.Callback):
        def on_batch_end(self, batch, logs):
            if batch == 2:
                learner.stop()

    learner.fit(1, None, callbacks=[Stop()])
    assert learner.batches_done == 4


@pytest.mark.parametrize("given", [3, None, iter([]), "text", {"a": 1}, (n for n in range(3))])
def test_what_is_no_loader_is_refused(given):
    net = sn.Linear(3, 3, 0)
    with pytest.raises(sn.OperandError, match=r"expected|needs __len__"):
        sn.Learner(given, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)


@pytest.mark.parametrize("batch", [3, (1,), (1, 2, 3, 4), np.ones(3), {"x": 1}])
def test_a_batch_that_is_none_is_named(batch):
    net = sn.Linear(3, 3, 0)
    learner = sn.Learner([batch], net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, capture=False)
    with pytest.raises(sn.OperandError, match=r"it must yield \(inputs, targets\)"):
        learner.fit(1, None)


def test_without_validation_or_training_one_set_is_measured(backend):
    a, _, labels, _ = samples()
    data = sn.ArrayDataLoader(a, labels, 16)
    for train, valid, names in ((data, None, "train"), (None, data, "valid")):
        collector = sn.MetricsCollector(train, valid, sn.softmax_loss)
        assert list(collector.evaluate(sn.Linear(3, 3, 0))) == [f"{names}_loss", f"{names}_accuracy"]
    with pytest.raises(sn.SettingError, match="there is no loader"):
        sn.MetricsCollector(None, None, sn.softmax_loss)


def test_a_captured_epoch_has_the_same_bits_for_structures_weights_and_accumulation(backend):
    a, b, labels, values = samples()
    weights = np.linspace(0.1, 1, 50, dtype="float32")

    def trained(capture):
        data = sn.ArrayDataLoader((a, b), (labels, values), 16, weights=weights)
        loss = [sn.softmax_loss, sn.mse_loss]
        net = Both()
        net.capturable = True
        metrics = sn.MetricsCollector(
            data, data, loss, capture, {"r2": lambda o, t: sn.metrics.r2(o[1], t[1])}
        )
        learner = sn.Learner(
            data, net, sn.SGD(net.parameters(), 0.1), loss, metrics, capture, accumulate=2
        )
        learner.fit(4, None)
        return learner

    captured, plain = trained(True), trained(False)
    np.testing.assert_array_equal(parameters(captured), parameters(plain))
    for name in ("train_loss", "valid_r2"):
        assert captured.history[name] == plain.history[name]
    captures = backends.active().captures
    assert captured.replay.how == ("one launch" if captures else "step by step")
