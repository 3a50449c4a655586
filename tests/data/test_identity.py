"""The content of files decides what they hold, and results have its name."""

import gzip

import numpy as np
import pytest
from data_files import csv, idx
from processes import shell

import scratchnet as sn
from scratchnet.data import identity
from scratchnet.data.fashion_mnist import load_samples
from scratchnet.data.identity import DIGITS, FASHION_MNIST, MNIST, UNKNOWN, class_names, identify
from scratchnet.data.readers import CLASS_NAMES, Samples
from scratchnet.data.synthetic import synthetic_garments

SEGMENTS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
STROKES = {"a": (4, 6, 9, 18), "g": (13, 15, 9, 18), "d": (22, 24, 9, 18), "f": (4, 15, 9, 11),
           "b": (4, 15, 16, 18), "e": (13, 24, 9, 11), "c": (13, 24, 16, 18)}  # fmt: skip


def digits(count):
    """Return digits of seven strokes, twenty pixels high in the middle, as MNIST's are."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count, np.uint8)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        down, right = rng.integers(-2, 3, 2)
        for top, bottom, left, end in (STROKES[each] for each in SEGMENTS[label]):
            image[top + down : bottom + down, left + right : end + right] = rng.integers(128, 256)
    return Samples(images, labels)


def put(folder, samples, form="idx.gz", modes=("train", "t10k")):
    """Write the samples as files with Fashion-MNIST's names."""
    folder.mkdir(exist_ok=True)
    squeeze, end = (gzip.compress, ".gz") if form.endswith("gz") else (bytes, "")
    for mode in modes:
        if form.startswith("csv"):
            name = "fashion-mnist_test.csv" if mode == "t10k" else "fashion-mnist_train.csv"
            (folder / f"{name}{end}").write_bytes(
                squeeze(csv(samples.pixels.reshape(-1, 784), samples.labels))
            )
            continue
        (folder / f"{mode}-images-idx3-ubyte{end}").write_bytes(squeeze(idx(samples.pixels)))
        (folder / f"{mode}-labels-idx1-ubyte{end}").write_bytes(squeeze(idx(samples.labels)))
    return folder


@pytest.fixture(scope="module")
def validation(real_data):
    return load_samples("valid", real_data)[0]


@pytest.mark.guarantee("Only the official files are called Fashion-MNIST.")
@pytest.mark.real_data
@pytest.mark.parametrize("form", ["idx", "idx.gz", "csv"])
def test_the_official_split_is_known_however_it_is_packed(validation, tmp_path, form):
    found, source = load_samples("valid", put(tmp_path, validation, form, ["t10k"]))
    assert source == FASHION_MNIST
    np.testing.assert_array_equal(found.pixels, validation.pixels)


@pytest.mark.guarantee("Only the official files are called Fashion-MNIST.")
@pytest.mark.real_data
def test_a_part_another_split_and_a_change_are_not_called_fashion_mnist(validation):
    pixels, labels = validation
    one = labels.copy()
    one[5] = (one[5] + 1) % 10
    for mode, part in [("valid", Samples(pixels[:5000], labels[:5000])), ("train", validation),
                       ("valid", Samples(pixels[::-1], labels[::-1])),
                       ("valid", Samples(pixels, one))]:  # fmt: skip
        assert identify(mode, part) == UNKNOWN
    for label in range(10):
        assert identify("valid", Samples(pixels[labels == label], labels[labels == label])) == UNKNOWN


@pytest.mark.real_data
def test_hardly_any_garment_leaves_the_frame_empty(real_data):
    for mode in ("train", "valid"):
        pixels = load_samples(mode, real_data)[0].pixels
        assert (~pixels[:, identity._FRAME].any(axis=1)).mean() < 0.0005


@pytest.mark.guarantee("Only the official files are called Fashion-MNIST.")
def test_digits_are_said_and_named_wherever_a_result_is_shown(tmp_path):
    (tmp_path / "data").mkdir()
    put(tmp_path / "data" / "fashion-mnist", digits(300))  # where Fashion-MNIST is looked for
    model = tmp_path / "model.safetensors"
    done = shell("train", "--epochs", "1", "--hidden", "8", "--save", model, cwd=tmp_path)
    out, err = done.stdout, done.stderr
    assert done.returncode == 0
    assert err.startswith(
        f"scratchnet: warning: data/fashion-mnist holds {DIGITS}; for Fashion-MNIST give another"
    )
    assert err.count("\n") == 1
    assert out.startswith(f"{DIGITS}, 300 training")
    assert f"s on {DIGITS}" in out.splitlines()[2]
    garments = put(tmp_path / "garments", synthetic_garments("valid", 50))
    done = shell("predict", model, "--data", garments)
    assert (done.returncode, done.stderr) == (0, "")
    first, row, *_ = done.stdout.splitlines()
    assert first == f"model trained on {DIGITS}; images: garments, validation"
    assert row.split()[1] in "0123456789"


def test_the_classes_of_digits_are_digits(tmp_path):
    with pytest.warns(sn.OtherDataWarning, match="not Fashion-MNIST"):
        data = sn.FashionMnistDataLoader("train", 8, folder=put(tmp_path, digits(20)))
    assert data.class_names == tuple("0123456789")
    assert class_names(MNIST) == data.class_names
    assert class_names(UNKNOWN) == CLASS_NAMES


def test_mnist_s_official_files_are_known_by_their_digests(monkeypatch, tmp_path):
    """Let the digits stand for files that are not here; their digests have the same length."""
    samples = digits(20)
    known = {
        mode: {name: digest for digest, name in each.items()} for mode, each in identity._KNOWN.items()
    }
    assert {len(digest) for each in known.values() for digest in each.values()} == {128}
    digest = identity._digest(samples.pixels) + identity._digest(samples.labels)
    monkeypatch.setitem(identity._KNOWN["train"], digest, identity.OF_DIGITS)
    with pytest.warns(sn.OtherDataWarning, match=r"holds MNIST \(not"):
        assert load_samples("train", put(tmp_path, samples))[1] == MNIST


def test_blank_images_are_no_digits():
    assert identify("valid", Samples(np.zeros((5, 28, 28), np.uint8), np.zeros(5, np.uint8))) == UNKNOWN
    assert identify("valid", synthetic_garments("valid", 100)) == UNKNOWN
