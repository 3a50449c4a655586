"""Ten programs as users write them. scikit-learn computes their figures from the collected outputs."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas
import pytest
from arrays import host
from needed import needs

import scratchnet as sn
from backends import to_device

needs("sklearn", "dev")
from sklearn import metrics as by_sklearn  # noqa: E402
from sklearn.linear_model import LinearRegression  # noqa: E402
from sklearn.model_selection import KFold, StratifiedKFold  # noqa: E402

SIZE = 32
"""No number of samples below is a multiple of it, so the last batch is short."""


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def mlp(inputs, outputs, seed=0):
    return sn.Sequential(sn.Linear(inputs, 16, seed), sn.tanh, sn.Linear(16, outputs, seed + 1))


def fitted(train, valid, net, loss, metrics=None, epochs=15, rate=0.02, capture="auto"):
    """Train, and check that the training loss falls."""
    evaluator = sn.MetricsCollector(train, valid, loss, capture, metrics)
    adam = sn.Adam(net.parameters(), rate)
    learner = sn.Learner(train, net, adam, loss, evaluator, capture)
    history = learner.fit(epochs, None)
    assert history["train_loss"][-1] < 0.8 * history["train_loss"][0]
    return learner


def outputs_of(net, *inputs):
    net.eval()
    with sn.no_grad():
        return host(net(*map(to_device, inputs))).astype("float64")


def close(value, rel=1e-5):
    return pytest.approx(value, rel=rel, abs=1e-7)


def last(learner, which="valid"):
    return {n: values[-1] for n, values in learner.history.items() if n.startswith(which)}


def test_a_table_of_pandas_to_a_number(backend):
    table = pandas.DataFrame(drawn(420, 3), columns=["area", "rooms", "age"])
    table["rooms"] = (table["rooms"] * 2).round().astype("int32")
    table["price"] = 2 * table["area"] - table["rooms"] + 0.1 * table["age"] ** 2
    rows, other = table[:300], table[300:]
    columns = ["area", "rooms", "age"]
    with pytest.warns(sn.PrecisionWarning, match="inputs and targets of float64 became float32"):
        train = sn.ArrayDataLoader(rows[columns], rows[["price"]], SIZE)
    valid = sn.ArrayDataLoader(other[columns], other[["price"]], SIZE, mode="valid", dtype="float32")
    names = ["r2", "mean_absolute_error"]
    learner = fitted(train, valid, mlp(3, 1), sn.mse_loss, names)
    y, t = outputs_of(learner.net, other[columns].to_numpy("float32")), other["price"].to_numpy("f8")
    assert last(learner) == {
        "valid_loss": close(by_sklearn.mean_squared_error(t, y[:, 0])),
        "valid_r2": close(by_sklearn.r2_score(t, y[:, 0])),
        "valid_mean_absolute_error": close(by_sklearn.mean_absolute_error(t, y[:, 0])),
    }
    assert last(learner)["valid_r2"] > 0.9
    assert list(fitted(train, valid, mlp(3, 1), sn.mse_loss).history) == [
        "train_loss", "valid_loss", "duration",
    ]  # fmt: skip
    net = mlp(3, 1)
    flat = sn.ArrayDataLoader(rows[columns], rows["price"], SIZE, dtype="float32")
    with pytest.raises(sn.ShapeError, match=r"\(32,\) differ; give targets.reshape\(-1, 1\)"):
        sn.Learner(flat, net, sn.SGD(net.parameters(), 0.1), sn.mse_loss).fit(1)


def test_several_labels(backend):
    x = drawn(210, 6)
    labels = np.stack([x[:, 0] > 0, x[:, 1] + x[:, 2] > 0.5, x[:, 3] > 1], axis=1)
    train, valid = (
        sn.ArrayDataLoader(x[part], labels[part], SIZE) for part in (slice(0, 140), slice(140, None))
    )
    loss = sn.binary_cross_entropy_with_logits
    metrics = {"accuracy": "accuracy", "macro": "f1", "micro": sn.metrics.f1(average="micro")}
    learner = fitted(train, valid, mlp(6, 3), loss, metrics)
    y, t = outputs_of(learner.net, x[140:]), labels[140:]
    p = 1 / (1 + np.exp(-y))
    assert last(learner) == {
        "valid_loss": close(np.mean([by_sklearn.log_loss(t[:, i], p[:, i]) for i in range(3)])),
        "valid_accuracy": close(by_sklearn.accuracy_score(t.ravel(), y.ravel() > 0)),
        "valid_macro": close(by_sklearn.f1_score(t, y > 0, average="macro")),
        "valid_micro": close(by_sklearn.f1_score(t, y > 0, average="micro")),
    }


def test_yes_or_no_with_few_of_one_kind(backend):
    x = drawn(500, 4)
    t = (x[:, :1] + 0.3 * drawn(500, 1, seed=1) > 1.4).astype("int64")
    train, valid = (
        sn.ArrayDataLoader(x[part], t[part], SIZE) for part in (slice(0, 350), slice(350, None))
    )
    loss = partial(sn.binary_cross_entropy_with_logits, pos_weight=12.0)
    metrics = {
        "accuracy": "accuracy", "f1": "f1", "precision": "precision", "recall": "recall",
        "strict": sn.metrics.precision(threshold=2.0),
        "auc": sn.metrics.from_sklearn(by_sklearn.roc_auc_score),
    }  # fmt: skip
    learner = fitted(train, valid, sn.Linear(4, 1, 0), loss, metrics, rate=0.05)
    y, t = outputs_of(learner.net, x[350:])[:, 0], t[350:, 0]
    softplus = np.logaddexp(0, np.where(t, -y, y))
    assert last(learner) == {
        "valid_loss": close((np.where(t, 12, 1) * softplus).mean()),
        "valid_accuracy": close(by_sklearn.accuracy_score(t, y > 0)),
        "valid_f1": close(by_sklearn.f1_score(t, y > 0)),
        "valid_precision": close(by_sklearn.precision_score(t, y > 0)),
        "valid_recall": close(by_sklearn.recall_score(t, y > 0)),
        "valid_strict": close(by_sklearn.precision_score(t, y > 2)),
        "valid_auc": close(by_sklearn.roc_auc_score(t, y)),
    }
    assert last(learner)["valid_recall"] > 0.9


def test_an_autoencoder_has_its_inputs_as_targets(backend):
    x = drawn(150, 3) @ drawn(3, 10, seed=1)
    train = sn.ArrayDataLoader(x, x, SIZE)
    assert backend != "numpy" or np.shares_memory(train.inputs, train.targets)
    learner = fitted(train, None, mlp(10, 10), sn.mse_loss)
    y = outputs_of(learner.net, x)
    assert last(learner, "train") == {"train_loss": close(by_sklearn.mean_squared_error(x, y))}


class Tagger(sn.Module):
    def __init__(self):
        self.embedding, self.gru = sn.Embedding(9, 4, rng=0), sn.GRU(4, 8, rng=1)
        self.out = sn.Linear(8, 3, 2)

    def forward(self, words):
        y, _ = self.gru(self.embedding(words), mask=words > 0)
        return self.out(y)


def test_labels_of_the_steps_of_padded_sequences(backend):
    rng = np.random.default_rng(0)
    counted = np.arange(7) < rng.integers(2, 8, 70)[:, None]
    words = np.where(counted, rng.integers(1, 9, (70, 7)), 0)
    tags = np.where(counted, words % 3, -100)
    data = sn.ArrayDataLoader(words, tags, SIZE)
    loss = partial(sn.softmax_loss, ignore_index=-100)
    names = ["accuracy", "f1", "perplexity"]
    learner = fitted(data, None, Tagger(), loss, names, epochs=6, rate=0.05, capture=False)
    y, t = outputs_of(learner.net, words)[counted], tags[counted]
    p = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    loss = by_sklearn.log_loss(t, p)
    assert last(learner, "train") == {
        "train_loss": close(loss),
        "train_accuracy": close(by_sklearn.accuracy_score(t, y.argmax(1))),
        "train_f1": close(by_sklearn.f1_score(t, y.argmax(1), average="macro")),
        "train_perplexity": close(np.exp(loss)),
    }


def test_a_batch_without_known_labels_does_not_count(backend):
    """Its loss has no value, but the mean over the labels of all batches has one."""
    x, t = drawn(50, 3), np.full(50, -100)
    t[35:] = np.arange(15) % 2
    net, loss = mlp(3, 2), partial(sn.softmax_loss, ignore_index=-100)
    learner = sn.Learner([], net, sn.SGD(net.parameters(), 0.1), loss)
    y = outputs_of(net, x)[35:]
    expected = by_sklearn.log_loss(t[35:], np.exp(y) / np.exp(y).sum(1, keepdims=True))
    assert learner.evaluate(sn.ArrayDataLoader(x, t, SIZE))["loss"] == close(expected)


@pytest.mark.parametrize("given", [by_sklearn.r2_score, partial(by_sklearn.r2_score, multioutput="x")])
def test_a_function_of_scikit_learn_that_would_get_its_arguments_in_the_wrong_order(given):
    data = sn.ArrayDataLoader(drawn(9, 1), drawn(9, 1), SIZE)
    line = r"targets first; give sn\.metrics\.from_sklearn\(r2_score\)"
    with pytest.raises(sn.OperandError, match=line):
        sn.MetricsCollector(data, None, sn.mse_loss, metrics={"r2": given})
    own = sn.metrics.from_sklearn(by_sklearn.r2_score)
    sn.MetricsCollector(data, None, sn.mse_loss, metrics=[own])


class Pictures(sn.Dataset):
    """Opens image files, in a folder for each class."""

    class_names = "dark", "light"

    def __init__(self, root):
        self.paths = sorted(Path(root).glob("*/*.png"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        from PIL import Image

        path = self.paths[index]
        with Image.open(path) as image:
            pixels = np.asarray(image, "float32") / 255
        return pixels.transpose(2, 0, 1), self.class_names.index(path.parent.name)


@pytest.mark.parametrize("kind", [Pictures, sn.ImageFolder])
def test_a_cnn_on_a_folder_of_images(backend, tmp_path, kind):
    image = needs("PIL.Image")
    rng = np.random.default_rng(0)
    for number in range(70):
        folder = tmp_path / Pictures.class_names[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = rng.integers(0, 200, (8, 8, 3)) + 55 * (number % 2)
        image.fromarray(pixels.astype("uint8")).save(folder / f"{number:02}.png")
    pictures = kind(tmp_path)
    train = sn.DataLoader(pictures, SIZE, workers=2)
    net = sn.Sequential(
        sn.Conv2d(3, 4, 3, rng=0), sn.BatchNorm2d(4, momentum=0.5), sn.relu, sn.MaxPool2d(2),
        sn.Flatten(), sn.Linear(36, 2, 1),
    )  # fmt: skip
    learner = fitted(train, None, net, sn.softmax_loss, epochs=5, capture=False)
    x, t = (np.stack(part) for part in zip(*map(pictures.__getitem__, range(70)), strict=True))
    y = outputs_of(net, x)
    assert last(learner, "train") == {
        "train_loss": close(by_sklearn.log_loss(t, np.exp(y) / np.exp(y).sum(1, keepdims=True)), 1e-4),
        "train_accuracy": close(by_sklearn.accuracy_score(t, y.argmax(1))),
    }
    assert train.class_names == ("dark", "light")


def test_a_loop_of_ones_own_is_what_learner_does(backend):
    x = drawn(75, 4)
    t = (x[:, 0] > x[:, 1]).astype("int64")

    def parts():
        net = mlp(4, 2)
        return sn.ArrayDataLoader(x, t, SIZE), net, sn.SGD(net.parameters(), 0.3)

    train, net, sgd = parts()
    sizes = []
    for _ in range(3):
        for inputs, targets in train:
            sizes.append(len(inputs))
            sgd.zero_grad()
            loss = sn.softmax_loss(net(inputs), targets)
            loss.backward()
            sgd.step()
    assert sizes == 3 * [32, 32, 11]
    train, theirs, sgd = parts()
    sn.Learner(train, theirs, sgd, sn.softmax_loss, capture=False).fit(3, None)
    for one, two in zip(net.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(host(one), host(two))
    y = outputs_of(net, x)
    evaluated = sn.MetricsCollector(None, train, sn.softmax_loss, False).evaluate(net)
    assert evaluated.valid_accuracy == close(by_sklearn.accuracy_score(t, y.argmax(1)))


class TwoInputs(sn.Module):
    def __init__(self):
        self.image, self.table = sn.Linear(16, 8, 0), sn.Linear(2, 8, 1)
        self.out = sn.Linear(8, 1, 2)

    def forward(self, image, table):
        return self.out(sn.tanh(self.image(image.reshape(-1, 16)) + self.table(table)))


def test_two_inputs_by_place_and_by_name(backend):
    image, table = drawn(80, 4, 4), pandas.DataFrame(drawn(80, 2, seed=1), columns=["a", "b"])
    t = image.mean(axis=(1, 2))[:, None] + table[["a"]].to_numpy()
    trained = [
        fitted(
            sn.ArrayDataLoader(inputs, t, SIZE), None, TwoInputs(), sn.mse_loss, ["r2"], capture=False
        )
        for inputs in ((image, table), {"table": table, "image": image})
    ]
    y = outputs_of(trained[0].net, image, table.to_numpy())
    assert last(trained[0], "train") == {
        "train_loss": close(by_sklearn.mean_squared_error(t, y)),
        "train_r2": close(by_sklearn.r2_score(t, y)),
    }
    assert last(trained[0], "train") == last(trained[1], "train")


def test_sample_weights_lead_to_the_weighted_least_squares(backend):
    x = drawn(90, 2)
    t = x @ [[1.0], [-2.0]] + drawn(90, 1, seed=1)
    w = np.random.default_rng(2).random(90)
    w[:20] = 0
    train = sn.ArrayDataLoader(x, t, 90, weights=w, dtype="float32")
    learner = fitted(train, None, sn.Linear(2, 1, 0), sn.mse_loss, epochs=250, rate=0.05)
    found = LinearRegression().fit(x, t, w)
    np.testing.assert_allclose(host(learner.net.weight).reshape(-1), found.coef_[0], atol=1e-3)
    small = sn.ArrayDataLoader(x, t, SIZE, weights=w, dtype="float32")
    y = outputs_of(learner.net, x)
    assert learner.evaluate(small) == {
        "loss": close(by_sklearn.mean_squared_error(t, y, sample_weight=w))
    }


@pytest.mark.parametrize("folds", [KFold, StratifiedKFold])
def test_k_folds_of_scikit_learn(backend, folds):
    x = drawn(130, 3)
    t = (x[:, 0] > 0).astype("int64") + (x[:, 1] > 1)
    metrics = {
        "accuracy": "accuracy",
        "balanced": lambda y, t: by_sklearn.balanced_accuracy_score(t, y.argmax(1)),
    }
    seen = []
    for inside, outside in folds(3, shuffle=True, random_state=0).split(x, t):
        train = sn.ArrayDataLoader(x[inside], t[inside], SIZE)
        valid = sn.ArrayDataLoader(x[outside], t[outside], SIZE, mode="valid")
        learner = fitted(train, valid, mlp(3, 3), sn.softmax_loss, metrics, epochs=5)
        y = outputs_of(learner.net, x[outside]).argmax(1)
        found = learner.evaluate(valid)
        assert found["accuracy"] == close(by_sklearn.accuracy_score(t[outside], y))
        assert found["balanced"] == close(by_sklearn.balanced_accuracy_score(t[outside], y))
        seen += outside.tolist()
    assert sorted(seen) == list(range(130))
