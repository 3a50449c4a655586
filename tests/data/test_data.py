"""Good and bad files, the loader, and the synthetic garments."""

import gzip

import numpy as np
import pytest
from arrays import host
from data_files import COUNT, idx, loader

import scratchnet as sn
from backends import to_device
from scratchnet.data import cache
from scratchnet.data.readers import read_csv, read_idx_pair
from scratchnet.data.synthetic import synthetic_garments


def test_every_form_gives_the_same_centred_batches(backend, folder, samples):
    pixels, labels = samples
    order = np.random.default_rng(231).permutation(COUNT)
    images = (pixels / 255).astype(np.float32)
    mean = images.astype(np.float64).mean(axis=0)
    train, valid = loader(folder), loader(folder, "valid")
    np.testing.assert_allclose(host(train.mean_image), mean[None], rtol=1e-6)
    assert (train.num_samples, train.num_batches, len(train)) == (COUNT, 5, 5)
    assert train.class_names[9] == "Ankle boot"
    assert (train.centred, valid.centred) == (True, False)
    valid.zero_center(train.mean_image)
    for each in (train, valid):
        batches = list(each.in_order())
        assert [len(x) for x, _ in batches] == [8, 8, 8, 8, 5]
        x = np.vstack([host(x) for x, _ in batches])
        np.testing.assert_allclose(x, images[order] - mean, atol=1e-6)
        np.testing.assert_array_equal(np.hstack([host(y) for _, y in batches]), labels[order])
        for x, y in batches:
            assert x.dtype == np.float32
            assert y.ndim == 1
            assert y.dtype.kind == "i"
            assert not x.requires_grad
            assert not y.requires_grad


def passes(data, count=2):
    """Return the labels of each pass, batch by batch."""
    return [[tuple(host(y)) for _, y in data] for _ in range(count)]


def test_what_each_pass_shuffles(backend, folder):
    first, second = passes(loader(folder))
    assert first != second
    assert sorted(first) == sorted(second)
    first, second = passes(loader(folder, shuffle="samples"))
    assert sorted(first) != sorted(second)
    assert sorted(sum(first, ())) == sorted(sum(second, ()))
    first, second = passes(loader(folder, shuffle=None))
    assert first == second
    assert passes(loader(folder)) == passes(loader(folder))
    assert passes(loader(folder)) != passes(loader(folder, seed=1))


def test_batches_are_views_of_the_one_array(folder):
    data = loader(folder)
    shared = [np.shares_memory(x.data, data.inputs) for x, _ in data]
    assert shared == [True] * data.num_batches != []


def test_evaluation_does_not_disturb_the_order_of_training(folder):
    one, two = loader(folder), loader(folder)
    list(two.in_order())
    assert passes(one) == passes(two)


def test_samples_keep_their_own_labels(folder):
    data = loader(folder, shuffle="samples")
    label_of = {host(x).tobytes(): int(y) for x, y in zip(data.inputs, data.labels, strict=True)}
    expected, found = [], []
    for x, y in data:
        expected += [label_of[row.tobytes()] for row in host(x)]
        found += host(y).tolist()
    assert len(found) == data.num_samples > 0
    assert found == expected


def test_a_batch_that_a_module_keeps_is_no_parameter(folder):
    net = sn.Linear(784, 2, 0)
    net.last, _ = next(iter(loader(folder)))
    assert [name for name, _ in net.named_parameters()] == ["weight", "bias"]


def test_take_keeps_the_first_of_the_shuffled(folder):
    whole, part = loader(folder), loader(folder, take=10)
    np.testing.assert_array_equal(host(part.labels), host(whole.labels)[:10])
    assert part.num_batches == 2
    assert loader(folder, take=1000).num_samples == COUNT
    np.testing.assert_allclose(host(part.inputs).mean(axis=0), 0, atol=1e-6)


def test_centring_twice_or_with_another_shape_is_refused(folder):
    train, valid = loader(folder), loader(folder, "valid")
    with pytest.raises(sn.DataError, match="centred already"):
        train.zero_center(train.mean_image)
    with pytest.raises(sn.ShapeError, match=r"\(784,\).*\(1, 784\)"):
        valid.zero_center(train.mean_image[0])


@pytest.mark.parametrize(
    "setting",
    [
        {"mode": "test"}, {"batch_size": 0}, {"batch_size": 2.5}, {"take": 0}, {"seed": -1},
        {"shuffle": "all"},
    ],
    ids=str,
)  # fmt: skip
def test_settings_out_of_range(setting):
    (name,) = setting
    with pytest.raises(sn.SettingError, match=f"{name} is"):
        sn.FashionMnistDataLoader(
            **({"mode": "train", "batch_size": 8, "folder": "synthetic"} | setting)
        )


def images_and_labels(tmp_path, images, labels):
    (tmp_path / "images").write_bytes(images)
    (tmp_path / "labels").write_bytes(labels)
    return tmp_path / "images", tmp_path / "labels"


GOOD = np.zeros((2, 28, 28), np.uint8)
NINE = np.full(2, 9, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"", idx(NINE), "images: is empty"),
        (gzip.compress(idx(GOOD), mtime=0)[:-9], idx(NINE), "images: is truncated gzip"),
        (b"\x1f\x8b" + b"x" * 40, idx(NINE), "images: is corrupt gzip"),
        (
            gzip.compress(idx(GOOD), mtime=0)[:20] + b"x" * 30,
            idx(NINE),
            "images: is (corrupt|truncated) gzip",
        ),
        (idx(GOOD, b"\0\0\x0d\3"), idx(NINE), "images: magic number 0x00000d03 where 0x00000803"),
        (idx(GOOD), idx(GOOD), "labels: magic number"),
        (idx(GOOD)[:9], idx(NINE), "images: 9 bytes"),
        (idx(GOOD)[:-1], idx(NINE), r"images: 1583 bytes where its header \(2, 28, 28\) tells 1584"),
        (idx(GOOD) + b"x", idx(NINE), "images: 1585 bytes"),
        (b"\0\0\x08\3" + b"\xff" * 12, idx(NINE), "images: 16 bytes where its header"),
        (idx(GOOD[:, 1:]), idx(NINE), "28 by 28"),
        (idx(GOOD), idx(NINE[:1]), "holds 2 images and .* 1 labels"),
        (idx(GOOD[:0]), idx(NINE[:0]), "holds no images"),
        (idx(GOOD), idx(NINE + np.uint8([0, 1])), "label 10 of image 1 is not one of 0 to 9"),
    ],
)
def test_idx_files_that_are_not_right(tmp_path, images, labels, message):
    with pytest.raises(sn.DataError, match=message) as caught:
        read_idx_pair(*images_and_labels(tmp_path, images, labels))
    assert "\n" not in str(caught.value)


ROW = b"9," + b",".join([b"0"] * 784)


@pytest.mark.filterwarnings("default")  # as a user has them
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no rows"),
        ([ROW, ROW + b",0"], "row 3 has 786 fields; 785 were expected"),
        ([ROW, b"", ROW[:-2]], "row 4 has 784 fields"),
        ([ROW, ROW[:-1] + b"x"], "row 3, column 785: 'x' is no integer"),
        ([ROW[:-1] + b"256"], "row 2, column 785: '256'"),
        ([ROW[:-1] + b"-1"], "row 2, column 785: '-1'"),
        ([ROW[:-1] + b"1.5"], "row 2, column 785: '1.5'"),
        ([ROW, b"10" + ROW[1:]], "row 3: label 10"),
        ([ROW[:-2]] * 2, "row 2 has 784 fields"),
    ],
)
def test_csv_files_that_are_not_right(tmp_path, rows, message):
    path = tmp_path / "some.csv"
    path.write_bytes(b"\n".join([b"label,pixel1", *rows]))
    with pytest.raises(sn.DataError, match=message) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)


def test_a_csv_without_a_header_is_refused_rather_than_shortened(tmp_path):
    path = tmp_path / "some.csv"
    for start in (b"", b"\xef\xbb\xbf", b'"1",', b"1.0,", b"pixel1,"):
        path.write_bytes(start + ROW + b"\n" + ROW)
        with pytest.raises(sn.DataError, match="row 1 is not the header"):
            read_csv(path)
    path.write_bytes(b"\xef\xbb\xbflabel,pixel1\r\n" + ROW)
    assert len(read_csv(path).labels) == 1


def test_a_directory_or_nothing_where_a_file_belongs(tmp_path):
    with pytest.raises(sn.DataNotFoundError, match="no such file"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(sn.DataError, match="is a directory"):
        read_csv(tmp_path)


def test_parsed_files_are_cached_and_a_damaged_entry_is_made_anew(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_WORTH_IT", 0)
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / "cache"))
    first = host(loader(folder).inputs)
    (entry,) = (tmp_path / "cache" / "parsed").iterdir()
    np.testing.assert_array_equal(host(loader(folder).inputs), first)
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 255
    entry.write_bytes(content)
    np.testing.assert_array_equal(host(loader(folder).inputs), first)
    assert entry.read_bytes() != bytes(content)


def test_a_cache_that_cannot_be_written_is_said(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_WORTH_IT", 0)
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be cached .* SCRATCHNET_CACHE"):
        assert loader(folder).num_samples == COUNT


def test_synthetic_garments_are_the_same_every_time_and_differ_between_sets():
    one, two = synthetic_garments("train", 500), synthetic_garments("train", 500)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert set(one.labels) == set(range(10))
    assert not np.array_equal(one.pixels, synthetic_garments("valid", 500).pixels)
    assert "not Fashion-MNIST" in loader("synthetic", take=10).source


def test_array_loader_refuses_what_does_not_fit():
    x, y = np.zeros((4, 2), np.float32), np.zeros(4, int)
    for inputs, labels, error in [(x, y[:3], sn.ShapeError), (x[:0], y[:0], sn.DataError),
                                  (x, y + 1j, sn.OperandError),
                                  ([[1.0]], y, sn.ShapeError)]:  # fmt: skip
        with pytest.raises(error):
            sn.ArrayDataLoader(inputs, labels, 2)


@pytest.mark.real_data
def test_the_real_files_are_the_official_ones_and_load(real_data):
    train, valid = loader(real_data, batch_size=256), loader(real_data, "valid", 256)
    assert (train.num_samples, train.num_batches) == (60_000, 235)
    assert (valid.num_samples, valid.num_batches) == (10_000, 40)
    assert train.source == valid.source == "Fashion-MNIST"
    assert np.bincount(host(train.labels)).tolist() == [6000] * 10


def test_the_samples_of_a_loader_are_changed_in_place_and_never_replaced(backend):
    loader = sn.ArrayDataLoader(to_device(np.ones((4, 2), "float32")), to_device(np.zeros(4, int)), 2)
    loader.inputs *= 3
    (x, _), *_ = loader.in_order()
    np.testing.assert_array_equal(host(x), np.full((2, 2), 3))
    with pytest.raises(sn.DataError, match=r"cannot be replaced; change them in place, loader\.inputs"):
        loader.inputs = loader.inputs * 2
