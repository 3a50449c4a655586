"""MnistDataLoader: every set in MNIST's form, under the names of all mirrors."""

import gzip
import os

import numpy as np
import pytest
from arrays import host
from data_files import idx

import scratchnet as sn
from scratchnet.data import cache, identity
from scratchnet.data.readers import CLASS_NAMES

COUNT = 40


def images(h=28, w=28, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, classes, COUNT - 1), classes - 1).astype(np.uint8)
    return rng.integers(0, 256, (COUNT, h, w), np.uint8), labels


def put(folder, pixels, labels, train="train", valid="t10k", dot="-", end="", prefix=""):
    folder.mkdir(exist_ok=True)
    squeeze = gzip.compress if end else bytes
    for part in (train, valid):
        for kind, array in (("images", pixels), ("labels", labels)):
            name = f"{prefix}{part}-{kind}{dot}idx{array.ndim}-ubyte{end}"
            (folder / name).write_bytes(squeeze(idx(array)))
    return folder


def put_csv(path, pixels, labels, header):
    rows = [header, *(",".join(map(str, [y, *x.ravel()])) for x, y in zip(pixels, labels, strict=True))]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(rows))


def in_order_of(loader, labels):
    """Return the order of the loader's samples in the file."""
    order = np.random.default_rng(loader.seed).permutation(len(labels))
    np.testing.assert_array_equal(host(loader.labels), labels[order])
    return order


@pytest.mark.parametrize(
    "names",
    [
        {}, {"end": ".gz"}, {"dot": "."}, {"dot": ".", "end": ".gz"}, {"valid": "test"},
        {"prefix": "emnist-digits-", "valid": "test", "end": ".gz"}, {"prefix": "own-"},
    ],
    ids=str,
)  # fmt: skip
def test_the_names_of_all_mirrors_are_read(names, tmp_path):
    pixels, labels = images()
    folder = put(tmp_path / "kmnist", pixels, labels, **names)
    for mode in ("train", "valid"):
        data = sn.MnistDataLoader(mode, 8, folder)
        expected = pixels[in_order_of(data, labels)]
        if "emnist" in names.get("prefix", ""):
            expected = expected.transpose(0, 2, 1)
        np.testing.assert_array_equal(data.pixels(range(COUNT)), expected)


def test_any_shape_and_number_of_classes(backend, tmp_path):
    pixels, labels = images(16, 12, 49)
    folder = put(tmp_path / "kuzushiji", pixels, labels)
    train, valid = (sn.MnistDataLoader(mode, 8, folder) for mode in ("train", "valid"))
    assert (train.image_shape, train.class_names) == ((16, 12), tuple(map(str, range(49))))
    assert train.source == "kuzushiji"
    order = in_order_of(train, labels)
    mean = (pixels / 255).mean(axis=0).reshape(1, -1)
    valid.zero_center(train.mean_image)
    for each in (train, valid):
        found = np.concatenate([host(x.data) for x, _ in each.in_order()])
        np.testing.assert_allclose(found, (pixels[order] / 255).reshape(COUNT, -1) - mean, atol=1e-6)


def test_unknown_sets_are_named_after_their_folder_and_never_wrongly(tmp_path):
    pixels, labels = images()
    for name, source in [("kmnist", "kmnist"), ("MNIST", "MNIST (not the official split)"),
                         ("Fashion-MNIST", "Fashion-MNIST (not the official split)")]:  # fmt: skip
        data = sn.MnistDataLoader("train", 8, put(tmp_path / name, pixels, labels))
        assert (data.source, data.class_names) == (source, tuple("0123456789"))
    raw = tmp_path / "KMNIST"
    raw.mkdir()
    assert sn.MnistDataLoader("train", 8, put(raw / "raw", pixels, labels)).source == "KMNIST"
    asked_as_garments = sn.FashionMnistDataLoader("train", 8, folder=tmp_path / "kmnist")
    assert (asked_as_garments.source, asked_as_garments.class_names[1]) == ("kmnist", "1")


@pytest.mark.parametrize(
    ("name", "classes"), [("MNIST", tuple("0123456789")), ("Fashion-MNIST", CLASS_NAMES)]
)
def test_official_sets_are_known_by_content(name, classes, tmp_path, monkeypatch):
    """Random images stand for the official files: their digest is entered."""
    pixels, labels = images()
    digest = identity._digest(pixels) + identity._digest(labels)
    monkeypatch.setitem(identity._KNOWN["valid"], digest, name)
    data = sn.MnistDataLoader("valid", 8, put(tmp_path / "other", pixels, labels))
    assert (data.source, data.class_names) == (name, classes)
    assert sn.MnistDataLoader("train", 8, tmp_path / "other").source == "other"


def test_emnist_is_turned_upright_and_its_letters_begin_with_0(tmp_path):
    pixels, labels = images(classes=26)
    stored = pixels.transpose(0, 2, 1)
    put(tmp_path / "emnist", stored, labels + np.uint8(1), prefix="emnist-letters-", valid="test")
    put(tmp_path / "emnist", stored, labels, prefix="emnist-balanced-", valid="test")
    data = sn.MnistDataLoader("valid", 8, tmp_path / "emnist", split="letters")
    order = in_order_of(data, labels)
    np.testing.assert_array_equal(data.pixels(range(COUNT)), pixels[order])
    assert data.class_names == tuple(map(str, range(1, 27)))
    assert data.source == "emnist, emnist-letters"
    (tmp_path / "emnist" / "emnist-letters-mapping.txt").write_text(
        "".join(f"{n} {64 + n} {96 + n}\n" for n in range(1, 27))
    )
    assert sn.MnistDataLoader("train", 8, tmp_path / "emnist", split="letters").class_names[2] == "Cc"
    (tmp_path / "emnist" / "emnist-letters-mapping.txt").write_text("1 x\n")
    with pytest.raises(sn.DataError, match=r"mapping\.txt: a row is not a label"):
        sn.MnistDataLoader("train", 8, tmp_path / "emnist", split="letters")


def test_several_sets_in_a_folder_are_listed(tmp_path):
    for prefix in ("emnist-letters-", "emnist-byclass-"):
        put(tmp_path, *images(), prefix=prefix, valid="test")
    with pytest.raises(sn.DataError, match="several sets; give as split one of 'byclass', 'letters'"):
        sn.MnistDataLoader("train", 8, tmp_path)
    with pytest.raises(sn.DataError, match="no set 'digits'; give as split one of 'byclass', 'letters'"):
        sn.MnistDataLoader("train", 8, tmp_path, split="digits")
    assert sn.MnistDataLoader("train", 8, tmp_path, split="emnist-letters").num_samples == COUNT


def test_no_advice_fetches_garments_into_another_set(tmp_path):
    put(tmp_path, *images(), prefix="emnist-letters-", valid="test")
    with pytest.raises(sn.DataNotFoundError, match="holds emnist-letters, and no train files") as caught:
        sn.FashionMnistDataLoader("train", 8, folder=tmp_path)
    assert "data fetch" not in str(caught.value)
    (tmp_path / "emnist-letters-train-images-idx3-ubyte").write_bytes(b"\0\0\x08\3")
    with pytest.raises(sn.DataError, match="4 bytes where its header") as caught:
        sn.MnistDataLoader("train", 8, tmp_path)
    assert "data fetch" not in str(caught.value)
    (tmp_path / "emnist-letters-train-images-idx3-ubyte").unlink()
    with pytest.raises(sn.DataNotFoundError, match="train-images-idx3-ubyte: no such file; copy"):
        sn.MnistDataLoader("train", 8, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(sn.DataNotFoundError, match="no train files in MNIST's form; they have names"):
        sn.MnistDataLoader("train", 8, tmp_path / "empty")
    with pytest.raises(sn.SettingError, match="None is not a path"):
        sn.MnistDataLoader("train", 8, None)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("file", "is not a folder; give the folder"),
        ("file/x", "no such folder; "),
        ("pipe", "is not a folder; give the folder"),
        ("/dev/null", "is not a folder; give the folder"),
        ("loop", "cannot be looked into: .*; check its name, its links and its permissions"),
    ],
)
def test_what_is_no_folder_is_named(place, line, tmp_path):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    folder = tmp_path / place
    for loader in (sn.MnistDataLoader, sn.FashionMnistDataLoader):
        with pytest.raises(sn.DataError, match=f"^{folder}: {line}"):
            loader("train", 8, folder=folder)


@pytest.mark.parametrize(
    ("h", "w", "header"),
    [
        (8, 8, ["pixel{n}"]),
        (4, 6, ["{r}x{c}"]),
        (4, 6, ["pixel{r}x{c}"]),
    ],
    ids=str,
)
def test_csv_files_have_square_images_or_name_the_pixels(h, w, header, tmp_path):
    pixels, labels = images(h, w, 30)
    names = [header[0].format(n=n, r=n // w + 1, c=n % w + 1) for n in range(h * w)]
    put_csv(tmp_path / "own_train.csv", pixels, labels, ",".join(["label", *names]))
    data = sn.MnistDataLoader("train", 8, tmp_path)
    np.testing.assert_array_equal(data.pixels(range(COUNT)), pixels[in_order_of(data, labels)])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"pixel1,pixel2,label\n1,2,0", r"the label is column 3.*CsvDataLoader\(file, 'label'\)"),
        (b",label,pixel1\na,0,1", "the label is column 2"),
        (b"label;pixel1\n0;1", "separated by ';' where commas were expected"),
        (b"label\tpixel1\n0\t1", r"separated by '\\t' where commas"),
        ("label,pixel1\n0,1".encode("utf-16"), "is UTF-16 or binary; save it as UTF-8"),
        (b"0,1\n1,2", "row 1 is not the header label,pixel1"),
        (b'"label","pixel1"\n"0","1"', "row 2, column 1: '\"0\"' is no integer"),
        (b"label,a,b,c\n0,1,2,3", "row 1 names 3 pixels, which is no square image"),
        (b"label,a\n0,1\n0,1,2", "row 3 has 3 fields; 2 were expected"),
        (b"label,a\n0,300", "row 2, column 2: '300' is no integer"),
        (b"label\n0", "row 1 names 0 pixels"),
    ],
    ids=range(11),
)
def test_what_is_wrong_with_a_csv_is_said(content, line, tmp_path):
    (tmp_path / "own_train.csv").write_bytes(content)
    with pytest.raises(sn.DataError, match=line) as caught:
        sn.MnistDataLoader("train", 8, tmp_path)
    assert "\n" not in str(caught.value)


def test_fashion_mnist_refuses_images_of_another_form(tmp_path):
    place = put(tmp_path / "a", *images(16, 16))
    with pytest.raises(sn.DataError, match=r"28 by 28 were expected\. Read other images with MnistData"):
        sn.FashionMnistDataLoader("train", 8, folder=place)
    place = put(tmp_path / "b", *images(classes=47))
    with pytest.raises(sn.DataError, match=r"label \d+ of image \d+ is not one of 0 to 9"):
        sn.FashionMnistDataLoader("train", 8, folder=place)


def test_the_cache_keeps_shape_and_classes(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_WORTH_IT", 0)
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / "cache"))
    pixels, labels = images(16, 12, 49)
    folder = put(tmp_path / "own", pixels, labels)
    sn.MnistDataLoader("train", 8, folder)
    again = type("NeverCalled", (), {"__name__": "read_idx_pair"})()
    monkeypatch.setattr("scratchnet.data.mnist.read_idx_pair", again)
    data = sn.MnistDataLoader("train", 8, folder)
    np.testing.assert_array_equal(data.pixels(range(COUNT)), pixels[in_order_of(data, labels)])


def test_names_of_ones_own(tmp_path):
    folder = put(tmp_path, *images(classes=3))
    data = sn.MnistDataLoader("train", 8, folder, class_names=["a", "b", "c"], take=9, shuffle=True)
    assert (data.class_names, data.num_samples) == (("a", "b", "c"), 9)
    with pytest.raises(sn.SettingError, match="mode is 'test'"):
        sn.MnistDataLoader("test", 8, folder)
