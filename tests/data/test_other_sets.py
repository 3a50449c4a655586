"""CIFAR, tables as CSV, folders of images, and sets in MNIST's form: what their files hold comes out."""

import gzip
import struct

import numpy as np
import pytest
from arrays import host

import scratchnet as sn


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_a_set_in_mnist_s_form_has_any_size_and_number_of_classes(backend, tmp_path, rng):
    pixels, labels = rng.integers(0, 256, (40, 16, 12), np.uint8), (np.arange(40) % 25).astype(np.uint8)
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images.idx3-ubyte").write_bytes(idx(pixels))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    train = sn.MnistDataLoader("train", 16, tmp_path)
    assert (train.image_shape, train.source) == ((16, 12), tmp_path.name)
    assert train.class_names == tuple(map(str, range(25)))
    order = np.argsort(host(train.labels), kind="stable")
    assert np.bincount(host(train.labels)).tolist() == np.bincount(labels).tolist()
    shown = train.pixels(order[:2])
    assert {each.tobytes() for each in shown} == {pixels[0].tobytes(), pixels[25].tobytes()}


def test_emnist_s_letters_count_from_0_and_stand_upright(backend, tmp_path):
    pixels = np.zeros((4, 28, 28), np.uint8)
    pixels[:, 3, 20] = 255
    labels = np.array([1, 2, 26, 1], np.uint8)
    for split in ("letters", "digits"):
        (tmp_path / f"emnist-{split}-train-images-idx3-ubyte").write_bytes(idx(pixels))
        (tmp_path / f"emnist-{split}-train-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(
        sn.DataError, match=r"holds several sets; give split= one of 'digits', 'letters'"
    ):
        sn.MnistDataLoader("train", 2, tmp_path)
    letters = sn.MnistDataLoader("train", 2, tmp_path, split="letters")
    assert sorted(host(letters.labels).tolist()) == [0, 0, 1, 25]
    assert np.argwhere(letters.pixels([0])[0]).tolist() == [[20, 3]]


@pytest.mark.parametrize("form", ["binary", "npz"])
def test_cifar_comes_with_its_channels_first(backend, tmp_path, rng, form):
    images, labels = (
        rng.integers(0, 256, (20, 3, 32, 32), np.uint8),
        (np.arange(20) % 10).astype(np.uint8),
    )
    if form == "binary":
        rows = np.concatenate([labels[:, None], images.reshape(20, -1)], axis=1)
        for number in range(5):
            part = rows[4 * number : 4 * number + 4]
            (tmp_path / f"data_batch_{number + 1}.bin").write_bytes(part.tobytes())
        place = tmp_path
    else:
        last = images.transpose(0, 2, 3, 1)
        place, column = tmp_path / "cifar10.npz", labels[:, None]
        np.savez(place, x_train=last, y_train=column, x_test=last, y_test=column)
    data = sn.Cifar10DataLoader("train", 8, place)
    assert data.inputs.shape == (20, 3, 32, 32)
    assert data.class_names[:2] == ("airplane", "automobile")
    shown = data.pixels(range(20))
    expected = images if shown.shape[1:] == (3, 32, 32) else images.transpose(0, 2, 3, 1)

    def pairs(labels, pixels):
        return {(int(a), np.ascontiguousarray(b).tobytes()) for a, b in zip(labels, pixels, strict=True)}

    assert pairs(host(data.labels), shown) == pairs(labels, expected)
    np.testing.assert_allclose(host(data.inputs).mean(axis=(0, 2, 3)), 0, atol=1e-5)


def test_pickles_of_cifar_are_refused(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"\x80")
    with pytest.raises(sn.DataError, match="pickles, which can run any code"):
        sn.Cifar10DataLoader("train", 8, tmp_path)


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8"), (";", "utf-16"), ("\t", "utf-8-sig")]
)
def test_a_table_is_read_with_its_label_in_any_column(backend, tmp_path, separator, encoding):
    rows = [("", "length", "kind", "width"), ("a", "1.5", "cat", "2"), ("b", "3", "dog", "4"),
            ("c", "5", "cat", "6")]  # fmt: skip
    text = "\n".join(separator.join(f'"{cell}"' for cell in row) for row in rows)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    data = sn.CsvDataLoader(tmp_path / "t.csv", "kind", 3, shuffle=False)
    ((x, y),) = data
    assert (tuple(data.feature_names), data.class_names) == (("length", "width"), ("cat", "dog"))
    np.testing.assert_array_equal(host(x), np.float32([[1.5, 2], [3, 4], [5, 6]]))
    assert host(y).tolist() == [0, 1, 0]
    with pytest.raises(sn.DataError, match="kind"):
        sn.CsvDataLoader(tmp_path / "t.csv", "width", 3)  # text among the features


def test_a_number_is_a_target_of_regression(backend, tmp_path):
    (tmp_path / "t.csv").write_text("x,price\n" + "".join(f"{n},{n / 3}\n" for n in range(30)))
    ((_, y),) = sn.CsvDataLoader(tmp_path / "t.csv", "price", 30, shuffle=False)
    assert y.dtype == np.float32
    np.testing.assert_allclose(host(y), np.arange(30) / 3, rtol=1e-6)
    with pytest.raises(sn.DataError, match="prise"):
        sn.CsvDataLoader(tmp_path / "t.csv", "prise", 30)


def test_a_folder_of_images_gives_classes_by_name(tmp_path, rng):
    from PIL import Image as image

    pixels = rng.integers(0, 256, (4, 5, 3), np.uint8)
    for name in ("dog", "cat"):
        (tmp_path / name).mkdir()
        image.fromarray(pixels).save(tmp_path / name / "1.png")
    data = sn.ImageFolder(tmp_path)
    assert (tuple(data.class_names), len(data)) == (("cat", "dog"), 2)
    first, label = data[0]
    assert (label, first.dtype) == (0, np.float32)
    np.testing.assert_allclose(first, pixels.transpose(2, 0, 1) / np.float32(255), rtol=1e-6)
    image.fromarray(pixels[:3]).save(tmp_path / "dog" / "2.png")
    with pytest.raises(sn.DataError, match=r"2\.png"):
        list(sn.DataLoader(sn.ImageFolder(tmp_path), 4))
    assert sn.ImageFolder(tmp_path, size=(2, 2))[2][0].shape == (3, 2, 2)
    (tmp_path / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(sn.DataError, match=r"cat/0\.png"):
        sn.ImageFolder(tmp_path)[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(sn.DataError, match="empty"):
        sn.ImageFolder(tmp_path)
