"""`scratchnet train --data` and `predict`: data sets of every known form."""

import re

import numpy as np
import pytest
from data_files import idx

import scratchnet as sn
from scratchnet.training.trained import load_model

QUICK = "--epochs", 12, "--hidden", 8
rng = np.random.default_rng(0)


def table(path, rows, header="length,width,kind"):
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "\n".join([*([header] if header else []), *(",".join(map(str, row)) for row in rows)])
    )
    return path


def flowers(count=80):
    """Two numbers, of very different sizes, that say the class."""
    kinds = rng.integers(0, 2, count)
    return [(1e3 * (k + 0.1 * rng.random()), rng.random(), ("oak", "pine")[k]) for k in kinds]


def in_mnist_s_form(folder, classes=3, prefix=""):
    folder.mkdir(exist_ok=True)
    labels = np.arange(60, dtype=np.uint8) % classes
    pixels = (labels[:, None, None] * 80 + rng.integers(0, 20, (60, 7, 9))).astype(np.uint8)
    for part in ("train", "t10k"):
        for kind, array in (("images", pixels), ("labels", labels)):
            (folder / f"{prefix}{part}-{kind}-idx{array.ndim}-ubyte").write_bytes(idx(array))
    return folder


def cifar(folder):
    labels = np.arange(50, dtype=np.uint8) % 10
    pixels = rng.integers(0, 10, (50, 3072), np.uint8)
    for each, label in zip(pixels, labels, strict=True):
        each[300 * int(label) : 300 * (int(label) + 1)] = 200
    folder.mkdir()
    for file in (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"):
        (folder / file).write_bytes(np.column_stack([labels, pixels]).tobytes())
    return folder


def in_groups(folder):
    """CIFAR-100, whose coarse labels can be learned, and the fine ones cannot."""
    labels = np.arange(50, dtype=np.uint8) % 10
    pixels = np.where(np.arange(3072) // 300 == labels[:, None], 200, 0).astype(np.uint8)
    folder.mkdir()
    for file in ("train.bin", "test.bin"):
        content = np.column_stack([labels, rng.permutation(100)[:50].astype(np.uint8), pixels])
        (folder / file).write_bytes(content.tobytes())
    return folder


def pictures(folder, parts=("",)):
    image = pytest.importorskip("PIL.Image")
    for part in parts:
        for n in range(20):
            path = folder / part / ("cat", "dog")[n % 2] / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.fromarray((rng.integers(0, 40, (8, 8, 3)) + 200 * (n % 2)).astype(np.uint8)).save(path)
    return folder


SETS = {
    "a table": (
        lambda tmp: table(tmp / "trees.csv", flowers()), ["--target", "kind"],
        r"trees, 64 training and 16 validation rows; 2-8-2, batch 32, learning rate 0.01",
        "16 rows",
    ),
    "two tables": (
        lambda tmp: [table(tmp / "t" / f"{n}.csv", flowers()) for n in ("train", "valid")].pop().parent,
        ["--target", "kind"], r"train, 80 training and 80 validation rows; 2-8-2", "80 rows",
    ),
    "no header": (
        lambda tmp: table(tmp / "trees.csv", flowers(), ""), ["--target", -1], "2-8-2", "16 rows",
    ),
    "images": (
        lambda tmp: in_mnist_s_form(tmp / "kmnist"), [],
        "kmnist, 60 training and 60 validation images; 63-8-3, batch 256, learning rate 0.1",
        "60 images",
    ),
    "images, convolved": (
        lambda tmp: in_mnist_s_form(tmp / "kmnist"), ["--model", "cnn"], "3x3x32-3x3x64-pool-8-3",
        "60 images",
    ),
    "a set of several": (
        lambda tmp: in_mnist_s_form(tmp / "emnist", prefix="emnist-digits-"), ["--split", "digits"],
        "emnist, emnist-digits, 60 training", "60 images",
    ),
    "cifar": (
        lambda tmp: cifar(tmp / "c"), ["--batch-size", 10],
        "c, 250 training and 50 validation images; 3072-8-10", "50 images",
    ),
    "groups of cifar-100": (
        lambda tmp: in_groups(tmp / "c"), ["--target", "coarse", "--batch-size", 5],
        "c, 50 training and 50 validation images; 3072-8-20", "50 images",
    ),
    "pictures": (lambda tmp: pictures(tmp / "pets"), [], "pets, 16 training and 4 valid", "4 images"),
    "pictures of two sets": (
        lambda tmp: pictures(tmp / "pets", ("train", "valid")), ["--model", "cnn", "--size", 9],
        "pets, 20 training and 20 validation images; 3x3x32-3x3x64-pool-8-2", "20 images",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_trained_on_and_predicted(command, tmp_path, name):
    make, options, said, predicted = SETS[name]
    data, model = make(tmp_path), tmp_path / "model"
    code, trained, err = command("train", "--data", data, *options, *QUICK, "--save", model)
    assert (code, err) == (0, "")
    assert re.search(said, trained), trained.splitlines()[0]
    assert "classification" in trained.splitlines()[1]
    measured = re.findall(r"accuracy: (\S+) / ", trained)[-1]
    split = options if "--split" in options else []
    code, out, err = command("predict", model, "--data", data, *split)
    assert (code, err) == (0, "")
    *_, last = out.splitlines()
    accuracy, count = re.fullmatch(r"accuracy (\S+) on (.*)", last).groups()
    assert (float(accuracy) > 0.6, count) == (True, predicted)
    assert accuracy == measured


@pytest.mark.parametrize("task", ["regression", "binary", "multilabel"])
def test_every_task_of_a_table_shows_its_own_figures(command, tmp_path, task):
    x = rng.standard_normal((90, 2))
    columns = {
        "regression": (
            5000 + 900 * x[:, 0],
            ["--target", "y"],
            r"mean absolute error (\d+)\S*, R² 0\.9",
        ),
        "binary": (np.where(x[:, 0] > 0, "yes", "no"), ["--target", "y"], r"accuracy (1\.|0\.9)"),
        "multilabel": (
            (x[:, 0] > 0) * 1,
            ["--target", "y", "--target", "z"],
            r"accuracy by label (1\.|0\.9)",
        ),
    }
    y, options, figures = columns[task]
    rows = zip(*x.T, y, (x[:, 1] > 0) * 1, strict=True)
    data, model = table(tmp_path / "t.csv", rows, "a,b,y,z"), tmp_path / "model"
    asked = [] if task == "multilabel" else ["--task", task]
    options = [*options, *asked, "--feature", "a", "--feature", "b"]
    code, out, err = command("train", "--data", data, *options, "--epochs", 40, "--save", model)
    assert (code, err) == (0, "")
    assert f": {task}" in out.splitlines()[1]
    assert ("guessed" in out.splitlines()[1]) == (task == "multilabel")
    assert ("accuracy" in out) == (task != "regression")
    code, out, err = command("predict", model, data)
    assert (code, err) == (0, "")
    assert re.search(figures, out)
    new = table(tmp_path / "new.csv", [(1, 2)], "b,a")  # other columns in another order, no target
    code, out, err = command("predict", model, new)
    assert (code, err, len(out.splitlines())) == (0, "", 2)


def test_a_regression_predicts_in_the_target_s_unit(command, tmp_path):
    x = rng.uniform(0, 1, 60)
    data = table(tmp_path / "prices.csv", zip(x, 1e6 + 1e5 * x, strict=True), "x,price")
    command("train", "--data", data, "--target", "price", "--epochs", 60, "--save", tmp_path / "model")
    code, out, _ = command("predict", tmp_path / "model", data, "--take", 60)
    told = np.array(re.findall(r"  (\S+)  true: (\S+)", out), float)
    assert (code, told.shape) == (0, (60, 2))
    np.testing.assert_allclose(told[:, 0], 1e6 + 1e5 * x, rtol=0.02)


def test_a_number_names_a_column_only_of_a_header(command, tmp_path):
    rows = [(rng.random(), rng.random(), label) for label in [-1, 2, 1] * 10]
    for header, target, shown in (
        ("", -1, "2"), ("", 2, "2"), ("a,b,2022", 2022, "2022"), ("a,2,b", 2, "2"), ("0,1,2", 2, "2"),
    ):  # fmt: skip
        data = table(tmp_path / "t.csv", rows[:: -1 if target == 2 else 1], header)
        code, out, _ = command("train", "--data", data, "--target", target, *QUICK)
        assert code == 0
        assert "24 training and 6 validation rows" in out, (header, target)
        assert f"target {shown}: " in out


def test_one_column_of_labels_is_a_multilabel_task(command, tmp_path):
    data = table(tmp_path / "t.csv", [(n, n % 2) for n in range(30)], "x,y")
    options = "--target", "y", "--task", "multilabel", *QUICK, "--save", tmp_path / "model"
    assert command("train", "--data", data, *options)[::2] == (0, "")
    code, out, _ = command("predict", tmp_path / "model", data)
    assert (code, "accuracy by label" in out) == (0, True)


def test_a_class_whose_name_has_two_lines_is_shown_in_one_and_found_again(command, tmp_path):
    data = table(tmp_path / "t.csv", [(n, '"x\ny"' if n % 2 else "\x1bz") for n in range(30)], "x,y")
    options = "--target", "y", *QUICK, "--save", tmp_path / "model"
    code, out, _ = command("train", "--data", data, *options)
    assert (code, "2 classes: ?z, x?y; guessed" in out) == (0, True)
    code, out, _ = command("predict", tmp_path / "model", data)
    assert (code, len(out.splitlines()), "on 30 rows" in out) == (0, 12, True)


def test_pictures_of_one_folder_and_one_picture_are_predicted(command, tmp_path):
    data, model = pictures(tmp_path / "pets", ("train", "valid")), tmp_path / "model"
    assert command("train", "--data", data, *QUICK, "--save", model)[0] == 0
    code, out, _ = command("predict", model, data / "valid" / "dog")
    assert (code, len(out.splitlines())) == (0, 11)
    code, out, _ = command("predict", model, data / "valid" / "dog" / "1.png")
    assert code == 0
    assert re.fullmatch(r"1\.png  dog .*%", out.splitlines()[1])
    (data / "valid" / "dog" / "1.png").write_bytes(b"no image")
    code, _, err = command("predict", model, data / "valid" / "dog" / "1.png")
    assert (code, err.count("\n")) == (2, 1)
    assert "1.png: cannot be read as an image" in err


def test_a_table_is_resumed_to_the_same_bytes(command, tmp_path):
    data = table(tmp_path / "trees.csv", flowers())
    train = ["train", "--data", data, "--target", "kind"]
    assert command(*train, "--epochs", 4, "--save", tmp_path / "never")[0] == 0
    assert command(*train, "--epochs", 2, "--checkpoint", tmp_path / "c")[0] == 0
    resumed = ["train", "--data", data, "--checkpoint", tmp_path / "c", "--resume", "--epochs", 4]
    code, _, err = command(*resumed, "--save", tmp_path / "resumed")
    assert (code, err) == (0, "")
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "never").read_bytes()
    code, _, err = command(*resumed, "--target", "width")
    assert code == 2
    assert "was made with ['kind']" in err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], r"which column is to be predicted\? Give --target COLUMN, .* 'length', 'width', 'kind'"),
        (["--target", "size"], "has no column 'size'. Its columns are"),
        (["--target", "width"], "text in column 'kind'; name the columns .*--feature"),
        (["--target", "kind", "--task", "regression"], "column 'kind': '(oak|pine)' is no number"),
        (["--target", "kind", "--task", "other"], "task is 'other'; it must be one of"),
        (["--target", "kind", "--model", "cnn"], r"needs images .* has the shape \(2,\)"),
        (["--target", "kind", "--size", 8], "--size: .* is a table; leave it out"),
        (["--target", "kind", "--split", "letters"], "--split: .* is a table; leave it out"),
    ],
)
def test_what_does_not_fit_a_table_is_one_line(command, tmp_path, options, line):
    code, out, err = command("train", "--data", table(tmp_path / "trees.csv", flowers()), *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(line, err)


def test_what_does_not_fit_images_is_one_line(command, tmp_path):
    data = in_mnist_s_form(tmp_path / "kmnist")
    for options, line in {
        ("--target", "x"): "--target: .* is images in MNIST's form; leave it out",
        ("--feature", "x"): "--feature: .* is images",
        ("--task", "regression"): "--task: .* is images in MNIST's form; its task is classification",
        ("--split", "letters"): "no set 'letters'",
    }.items():
        code, _, err = command("train", "--data", data, *options)
        assert (code, err.count("\n")) == (2, 1)
        assert re.search(line, err)


def test_samples_that_the_model_cannot_take_are_one_line(command, tmp_path):
    trees = table(tmp_path / "trees.csv", flowers())
    command("train", "--data", trees, "--target", "kind", *QUICK, "--save", tmp_path / "model")
    command(
        "train", "--data", in_mnist_s_form(tmp_path / "kmnist"), *QUICK, "--save", tmp_path / "images"
    )
    for line, arguments in {
        "name the samples, a file or a folder": ["model"],
        "no column 'length'": ["model", table(tmp_path / "other.csv", [(1, 2)], "a,b")],
        "where images .*7, 9.* were expected": ["images", "--data", "synthetic"],
        "kmnist: holds no tables": ["model", tmp_path / "kmnist"],
    }.items():
        code, out, err = command("predict", tmp_path / arguments[0], *arguments[1:])
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert re.search(line, err)


@pytest.mark.guarantee("A model that does not fit its network, or cannot compute, is refused.")
@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"shape": [2]', '"shape": [3]', "does not fit together"),
        ('"shape": [2]', '"shape": [-2]', "does not fit together"),
        ('"form": "table"', '"form": "images"', "does not fit together"),
        ('"model": "mlp"', '"model": "cnn"', "does not fit together"),
        (
            '"class_names": ["oak", "pine"]',
            '"class_names": ["oak"]',
            r"fc2\.\w+ is float32 .* not float32 of",
        ),
        ('"class_names": ["oak", "pine"]', '"class_names": 3', "is not understood"),
        ('"task"', '"tusk"', "is not understood"),
        ('"model": "mlp"', '"model": ["mlp"]', "is not understood"),
        ('"shape": [2]', '"shape": 2', "is not understood"),
        ('"features": ["length", "width"]', '"features": null', "is not understood"),
        ('"task": "classification"', '"task": "multilabel"', "does not fit together"),
        ('"classification", "class_names": ["oak"', '"binary", "class_names": ["a", "b"', "not fit tog"),
        ("{", "", "is not understood"),
    ],
)
def test_a_model_whose_description_lies_is_refused(command, tmp_path, old, new, line):
    model = tmp_path / "model"
    data = table(tmp_path / "trees.csv", flowers())
    command("train", "--data", data, "--target", "kind", *QUICK, "--save", model)
    assert load_model(model).reading.features == ("length", "width")
    told = sn.load_metadata(model)
    assert old in told["reading"]
    changed = told | {"reading": told["reading"].replace(old, new, 1)}
    sn.save(model, sn.load(model), changed)
    with pytest.raises(sn.CheckpointError, match=line):
        load_model(model)


@pytest.mark.guarantee("A model that does not fit its network, or cannot compute, is refused.")
def test_a_model_whose_arrays_fit_a_lie_is_refused(command, tmp_path):
    data, model = in_mnist_s_form(tmp_path / "kmnist"), tmp_path / "model"
    command("train", "--data", data, *QUICK, "--save", model)
    told, state = sn.load_metadata(model), sn.load(model)
    lie = {"reading": told["reading"].replace('"shape": [1, ', '"shape": [3, ')}
    wide = {name: np.tile(state[name], 3) for name in ("fc1.weight", "input_mean", "input_std")}
    for changes, text, line in [
        (wide, lie, "does not fit together"),
        ({"input_std": 0 * state["input_std"]}, {}, "input_std is not positive"),
        ({"input_std": 0 * state["input_std"] + np.float32(1e-45)}, {}, "input_std is not positive"),
    ]:
        sn.save(model, state | changes, told | text)
        code, out, err = command("predict", model, "--data", data)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert line in err


def test_one_row_for_validation_has_no_r2_and_ends_no_training(command, tmp_path):
    data = table(tmp_path / "t.csv", [(n, n + 0.5) for n in range(5)], "x,y")
    code, out, err = command(
        "train", "--data", data, "--target", "y", "--epochs", 3,
        *("--report", tmp_path / "r", "--plot", tmp_path / "p.png", "--checkpoint", tmp_path / "c"),
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "r2: nan / " in out


def refused(command, *arguments):
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    return err


def test_one_class_is_refused_in_all_forms(command, tmp_path):
    trees = table(tmp_path / "t.csv", [(n, n, "oak") for n in range(9)])
    pictures(tmp_path / "pets", ("train",))
    (tmp_path / "pets" / "train" / "dog").rename(tmp_path / "dog")
    for data in (trees, tmp_path / "pets", in_mnist_s_form(tmp_path / "kmnist", 1)):
        target = ["--target", "kind"] if data == trees else []
        assert "all samples are of one class" in refused(command, "train", "--data", data, *target)


def test_training_and_validation_images_of_two_shapes_are_refused(command, tmp_path):
    data = in_mnist_s_form(tmp_path / "kmnist")
    pixels = rng.integers(0, 255, (60, 9, 7), np.uint8)
    (data / "t10k-images-idx3-ubyte").write_bytes(idx(pixels))
    assert "have (7, 9) pixels, and those for validation (9, 7)" in refused(
        command, "train", "--data", data
    )


def test_a_table_for_validation_comes_before_one_for_tests(command, tmp_path):
    for name, count in (("train", 30), ("valid", 20), ("test", 10)):
        data = table(tmp_path / "t" / f"{name}.csv", flowers(count)).parent
    _, out, _ = command("train", "--data", data, "--target", "kind", *QUICK)
    assert "30 training and 20 validation rows" in out
    for name in ("wine_train", "wine_valid"):
        table(data / f"{name}.csv", flowers())
    assert "holds several tables" in refused(command, "train", "--data", data, "--target", "kind")


def test_a_number_in_a_first_row_without_names_is_a_place(command, tmp_path):
    data = table(tmp_path / "t.csv", [(-3, width, kind) for _, width, kind in flowers()], "")
    for first in -3, 0:
        code, out, err = command("train", "--data", data, "--target", -1, "--feature", first, *QUICK)
        assert (code, err, "64 training and 16 validation rows; 1-8-2" in out) == (0, "", True)


def test_csv_of_emnist_s_letters_is_predicted_as_it_was_trained(command, tmp_path):
    rng = np.random.default_rng(0)  # whether it learns them all depends on the numbers
    pixels = rng.integers(0, 255, (60, 16))
    rows = [(1 + n % 3, *pixels[n % 3]) for n in range(60)]
    header = ",".join(["label", *(f"pixel{n}" for n in range(16))])
    for part in ("train", "test"):
        data = table(tmp_path / "e" / f"emnist-letters-{part}.csv", rows, header).parent
    (data / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n3 67 99\n")
    command("train", "--data", data, *QUICK, "--epochs", 40, "--save", tmp_path / "model")
    _, whole, _ = command("predict", tmp_path / "model", "--data", data)
    code, out, err = command("predict", tmp_path / "model", data / "emnist-letters-test.csv")
    assert (code, err, out.splitlines()[1:]) == (0, "", whole.splitlines()[1:])
    assert [line.split()[1] for line in out.splitlines()[1:4]] == ["Aa", "Bb", "Cc"]
    assert "accuracy 1.0" in out


def test_pictures_that_are_not_read_are_named(command, tmp_path):
    data, model = pictures(tmp_path / "pets", ("train",)), tmp_path / "model"
    (data / "train" / "cat" / "1.tiff").write_bytes(b"")
    (data / "train" / "cat" / "0.png").rename(data / "train" / "0.png")
    code, out, err = command("train", "--data", data, *QUICK, "--save", model)  # divided: no valid
    assert (code, err) == (0, "")
    assert "15 training and 4 validation images" in out
    assert "not read: 0.png and 1 more; an image is a file" in out
    code, out, _ = command("predict", model, data / "train")
    assert (code, "on 19 images" in out) == (0, True)


def test_a_network_that_fits_no_memory_is_refused(command, tmp_path):
    data = pictures(tmp_path / "pets")
    assert "--size 20000: it can be 10000" in refused(command, "train", "--data", data, "--size", 20000)
    options = "--size", 700, "--hidden", 900_000
    assert "more than 1,000,000,000 weights" in refused(command, "train", "--data", data, *options)


def test_a_loss_that_overflows_is_one_line(command, tmp_path):
    data = table(tmp_path / "t.csv", flowers())
    code, _, err = command("train", "--data", data, "--target", "kind", "--learning-rate", 1e30)
    assert (code, err.count("\n"), "the loss became nan" in err) == (2, 1, True)


def test_a_folder_is_named_by_its_path(command, tmp_path):
    data = pictures(tmp_path / "pets")
    assert command("train", "--data", data / "cat" / "..", *QUICK)[1].startswith("pets, ")


@pytest.mark.parametrize(("old", "new"), [('"mlp"', '"other"'), ('["kind"]', "[2]")])
def test_a_checkpoint_with_strange_settings_is_refused(command, tmp_path, old, new):
    data, checkpoint = table(tmp_path / "t.csv", flowers()), tmp_path / "c"
    command("train", "--data", data, "--target", "kind", *QUICK, "--checkpoint", checkpoint)
    told = sn.load_metadata(checkpoint)
    changed = {"training": told["training"].replace(old, new, 1)}
    sn.save(checkpoint, sn.load(checkpoint), told | changed, overwrite=True)
    err = refused(command, "train", "--data", data, "--checkpoint", checkpoint, "--resume")
    assert "was not made by scratchnet train" in err


def test_a_folder_of_nothing_known_is_named(command, tmp_path):
    (tmp_path / "notes.txt").write_text("none")
    code, _, err = command("train", "--data", tmp_path)
    assert code == 2
    assert "holds no data set of a known form: " in err


USUAL = {
    "cifar": (cifar, (), "3072-100-10, batch 128, learning rate 0.001"),
    "a table": (
        lambda place: table(place.with_suffix(".csv"), flowers()), ("--target", "kind"),
        "batch 32, learning rate 0.01",
    ),
    "images": (in_mnist_s_form, ("--model", "cnn"), "pool-128-3, batch 128, learning rate 0.001"),
}  # fmt: skip


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_settings_depend_on_the_data(command, tmp_path, name):
    make, options, said = USUAL[name]
    data = make(tmp_path / "data")
    code, out, _ = command("train", "--data", data, *options, "--epochs", 1)
    assert code == 0
    assert said in out.splitlines()[0]
