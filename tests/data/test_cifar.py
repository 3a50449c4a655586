"""The loaders for CIFAR-10 and CIFAR-100."""

import zipfile

import numpy as np
import pytest
from arrays import host

import scratchnet as sn

COUNT = 6


def samples(count=COUNT, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 32, 32), np.uint8), rng.integers(0, classes, count, np.uint8)


def records(pixels, *labels):
    return np.column_stack([*labels, pixels.reshape(len(pixels), -1)]).astype(np.uint8).tobytes()


@pytest.fixture
def binary(tmp_path):
    """Five training files and one for validation, and what they hold."""
    pixels, labels = samples(5 * COUNT)
    for n in range(5):
        part = slice(n * COUNT, (n + 1) * COUNT)
        (tmp_path / f"data_batch_{n + 1}.bin").write_bytes(records(pixels[part], labels[part]))
    (tmp_path / "test_batch.bin").write_bytes(records(pixels[:COUNT], labels[:COUNT]))
    return tmp_path, pixels, labels


def check(data, pixels, labels, mean):
    order = np.random.default_rng(data.seed).permutation(len(labels))
    x = np.concatenate([host(x.data) for x, _ in data.in_order()])
    np.testing.assert_allclose(x, pixels[order] / 255 - mean, atol=1e-6)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(host(data.labels), labels[order])
    np.testing.assert_array_equal(data.pixels([0, 1]), pixels[order[:2]].transpose(0, 2, 3, 1))


def test_the_binary_form(backend, binary):
    folder, pixels, labels = binary
    train, valid = (sn.Cifar10DataLoader(mode, 8, folder) for mode in ("train", "valid"))
    mean = (pixels / 255).mean(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(host(train.mean_image), mean, rtol=1e-6)
    valid.zero_center(train.mean_image)
    check(train, pixels, labels, mean)
    check(valid, pixels[:COUNT], labels[:COUNT], mean)
    assert (train.class_names[3], train.image_shape, train.source) == ("cat", (32, 32, 3), folder.name)
    assert sn.Cifar10DataLoader("train", 8, folder, take=7).num_samples == 7
    assert train.pixels([len(labels) - 1]).shape == (1, 32, 32, 3)
    with pytest.raises(sn.DataError, match=f"image {len(labels)}; these train data have {len(labels)}"):
        train.pixels([len(labels)])
    black = sn.Cifar10DataLoader("train", 8, folder, transform=lambda images: images * 0)
    assert not any(host(x.data).any() for x, _ in black)


@pytest.mark.parametrize("last", [True, False], ids=["channels last", "channels first"])
def test_the_npz_of_keras_users(backend, tmp_path, last):
    pixels, labels = samples()
    arrays = pixels.transpose(0, 2, 3, 1) if last else pixels
    path = tmp_path / "cifar10.npz"
    np.savez(path, x_train=arrays, y_train=labels[:, None], x_test=arrays[:3], y_test=labels[:3])
    mean = (pixels / 255).mean(axis=(0, 2, 3), keepdims=True)
    data = sn.Cifar10DataLoader("train", 4, path)
    check(data, pixels, labels, mean)
    assert data.source == "cifar10"
    assert sn.Cifar10DataLoader("valid", 4, path).num_samples == 3


def test_cifar_100_has_fine_and_coarse_labels(tmp_path):
    pixels, fine = samples(classes=100)
    coarse = fine // 5
    for name in ("train.bin", "test.bin"):
        (tmp_path / name).write_bytes(records(pixels, coarse, fine))
    for kind, labels, names in [("fine", fine, 100), ("coarse", coarse, 20)]:
        data = sn.Cifar100DataLoader("valid", 4, tmp_path, labels=kind)
        check(data, pixels, labels, 0)
        assert len(set(data.class_names)) == names
        assert list(data.class_names) == sorted(data.class_names)
    with pytest.raises(sn.SettingError, match='labels is \'both\'; it must be "fine" or "coarse"'):
        sn.Cifar100DataLoader("train", 4, tmp_path, labels="both")


def test_pickles_are_refused_with_the_way_to_the_binary_form(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x04.")
    with pytest.raises(sn.DataError, match=r"pickles, which can run any code.*cifar-10-binary\.tar\.gz"):
        sn.Cifar10DataLoader("train", 4, tmp_path)
    (tmp_path / "meta").write_bytes(b"\x80\x04.")
    with pytest.raises(sn.DataError, match=r"pickles.*cifar-100-binary\.tar\.gz"):
        sn.Cifar100DataLoader("train", 4, tmp_path)


def test_damaged_binary_files(binary):
    folder, pixels, labels = binary
    (folder / "test_batch.bin").write_bytes(records(pixels, labels)[:-1])
    with pytest.raises(sn.DataError, match=r"test_batch\.bin: 92189 bytes are not a multiple of 3073"):
        sn.Cifar10DataLoader("valid", 4, folder)
    (folder / "test_batch.bin").write_bytes(records(pixels, np.append(labels[1:], 10)))
    with pytest.raises(
        sn.DataError, match=r"test_batch\.bin: label 10 of image 29 is not one of 0 to 9"
    ):
        sn.Cifar10DataLoader("valid", 4, folder)
    (folder / "data_batch_4.bin").unlink()
    with pytest.raises(sn.DataNotFoundError, match=r"data_batch_4\.bin not there"):
        sn.Cifar10DataLoader("train", 4, folder)


GOOD = {"x_train": np.zeros((2, 32, 32, 3), np.uint8), "y_train": np.zeros(2, int)}


@pytest.mark.parametrize(
    ("arrays", "line"),
    [
        ({"x_train": GOOD["x_train"]}, "has no array y_train, but 'x_train'; save it with numpy.savez"),
        (GOOD | {"x_train": np.zeros((2, 28, 28), np.uint8)}, r"uint8 of shape \(2, 28, 28\)"),
        (GOOD | {"x_train": np.zeros((2, 32, 32, 3))}, "x_train is float64"),
        (GOOD | {"y_train": np.zeros((2, 10), int)}, r"y_train is int64 of shape \(2, 10\)"),
        (GOOD | {"y_train": np.array([0, -1])}, "label -1 of image 1 is not one of 0 to 9"),
        (GOOD | {"y_train": np.array([{}, {}])}, "is no .npz file of arrays: .*pickle"),
        ({name: each[:0] for name, each in GOOD.items()}, "holds no images"),
    ],
    ids=range(7),
)
def test_damaged_npz_files(arrays, line, tmp_path):
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(sn.DataError, match=line) as caught:
        sn.Cifar10DataLoader("train", 4, tmp_path / "own.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'own.npz'}: ")


def test_an_npz_whose_header_is_damaged(tmp_path):
    """NumPy would read the header as Python text."""
    path = tmp_path / "own.npz"
    np.savez(path, **GOOD)
    with zipfile.ZipFile(path) as members:
        content = {name: members.read(name) for name in members.namelist()}
    content["x_train.npy"] = content["x_train.npy"].replace(b"}", b"(")
    with zipfile.ZipFile(path, "w") as members:
        for name, each in content.items():
            members.writestr(name, each)
    with pytest.raises(sn.DataError, match=r"is no \.npz file of arrays"):
        sn.Cifar10DataLoader("train", 4, path)


def test_what_is_no_npz_or_is_not_there(tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"some")
    with pytest.raises(sn.DataError, match=r"is no \.npz file of arrays"):
        sn.Cifar10DataLoader("train", 4, tmp_path / "cifar-10-binary.tar.gz")
    with pytest.raises(sn.DataNotFoundError, match="no such file or folder"):
        sn.Cifar10DataLoader("train", 4, tmp_path / "none")


def test_transforms_are_handed_on(backend, binary):
    data = sn.Cifar10DataLoader("train", 8, binary[0], transform=sn.transforms.RandomHorizontalFlip())
    assert next(iter(data))[0].shape == (8, 3, 32, 32)
