"""The cache of parsed files: an entry that does not fit is not used, and nothing leaves its folder."""

import os
import time
import zipfile

import numpy as np
import pytest
from data_files import COUNT, csv, idx

from scratchnet.data import cache
from scratchnet.data.readers import Samples, read_csv, read_idx_pair


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A call that reads a pair of IDX files through the cache, its right result, and the entry."""
    monkeypatch.setattr(cache, "_WORTH_IT", 0)
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    truth = Samples(
        rng.integers(0, 256, (COUNT, 28, 28), np.uint8), rng.integers(0, 10, COUNT, np.uint8)
    )
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.write_bytes(idx(truth.pixels))
    labels.write_bytes(idx(truth.labels))

    def read():
        found = cache.cached(read_idx_pair, images, labels)
        np.testing.assert_array_equal(found.pixels, truth.pixels)
        np.testing.assert_array_equal(found.labels, truth.labels)
        assert (found.pixels.dtype, found.labels.dtype) == (np.uint8, np.uint8)

    read()
    (entry,) = (tmp_path / "cache" / "parsed").iterdir()
    return read, truth, entry


def poisons(truth):
    """Return entries that another program made: valid zip files whose content does not fit."""
    pixels, labels, shape = *(each.tobytes() for each in truth), np.array([28, 28], "<u4").tobytes()
    return {
        "a label of 10": (pixels, b"\x0a" + labels[1:], shape),
        "an image too few": (pixels[784:], labels, shape),
        "a pixel too few": (pixels[1:], labels, shape),
        "a label too many": (pixels, labels + b"\0", shape),
        "other numbers": (truth.pixels.astype("f4").tobytes(), labels, shape),
        "nothing": (b"", b"", shape),
        "no labels": (pixels, None, shape),
        "no shape": (pixels, labels, None),
        "another shape": (pixels, labels, np.array([14, 56], "<u4").tobytes()),
    }


@pytest.mark.guarantee("A cache entry is used only if it fits its source file.")
@pytest.mark.parametrize("how", [*poisons(Samples(np.zeros((1, 28, 28)), np.zeros(1))), "packed", "npy"])
def test_an_entry_that_does_not_fit_is_parsed_anew(kept, how):
    read, truth, entry = kept
    good = entry.read_bytes()
    members = poisons(truth).get(
        how, (bytes(784 * COUNT), truth.labels.tobytes(), np.array([28, 28], "<u4").tobytes())
    )
    packing = zipfile.ZIP_DEFLATED if how == "packed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(entry, "w", packing) as file:
        for name, content in zip((*Samples._fields, "shape"), members, strict=True):
            if content is not None:
                file.writestr(name, content)
    if how == "npy":
        with entry.open("wb") as file:
            np.save(file, np.array([{"pickled": 1}], dtype=object), allow_pickle=True)
    read()
    assert entry.read_bytes() == good


def test_an_entry_tells_no_time(kept, monkeypatch):
    read, _, entry = kept
    good = entry.read_bytes()
    entry.unlink()
    monkeypatch.setattr(time, "time", lambda: 0)
    read()
    assert entry.read_bytes() == good


@pytest.mark.guarantee("A cache entry is used only if it fits its source file.")
def test_an_entry_cut_or_changed_anywhere_is_never_believed(kept):
    read, _, entry = kept
    good = entry.read_bytes()
    assert len(good) > 20 * 997
    for place in range(0, len(good), 997):
        entry.write_bytes(good[:place])
        read()
        entry.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        read()


@pytest.mark.parametrize("kind", ["pipe", "dangling", "/dev/zero"])
def test_an_entry_that_is_no_file_neither_hangs_nor_is_followed(kept, kind, tmp_path):
    read, _, entry = kept
    entry.unlink()
    if kind == "pipe":
        os.mkfifo(entry)
    else:
        entry.symlink_to(tmp_path / "outside" if kind == "dangling" else kind)
    read()
    assert not (tmp_path / "outside").exists()
    assert entry.is_file()
    assert not entry.is_symlink()


def test_a_folder_where_the_entry_belongs_is_said(kept):
    read, _, entry = kept
    entry.unlink()
    entry.mkdir()
    with pytest.warns(UserWarning, match="cannot be cached"):
        read()


@pytest.mark.guarantee("A cache entry is used only if it fits its source file.")
def test_nothing_is_written_through_a_link_in_the_cache(kept, tmp_path):
    read, _, entry = kept
    outside = tmp_path / "outside"
    outside.mkdir()
    mine = outside / "mine"
    mine.write_bytes(b"mine")
    entry.unlink()
    entry.symlink_to(mine)
    read()
    assert mine.read_bytes() == b"mine"
    entry.unlink()
    entry.parent.rmdir()
    entry.parent.symlink_to(outside)
    with pytest.warns(UserWarning, match="link to another folder"):
        read()
    assert list(outside.iterdir()) == [mine]


def test_a_file_changed_while_it_is_parsed_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_WORTH_IT", 0)
    monkeypatch.setenv("SCRATCHNET_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "some.csv"
    path.write_bytes(csv(np.zeros((1, 784), np.uint8), [1]))

    def slow(path, form):
        path.write_bytes(csv(np.zeros((1, 784), np.uint8), [2]))
        return read_csv(path, form)

    cache.cached(slow, path)
    assert not (tmp_path / "cache" / "parsed").exists()


def test_the_same_bytes_otherwise_divided_are_another_entry(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_WORTH_IT", 0)
    one, two = tmp_path / "one", tmp_path / "two"
    names = set()
    for first, second in [(b"ab", b"c"), (b"a", b"bc")]:
        one.write_bytes(first)
        two.write_bytes(second)
        names.add(cache.entry_of(read_idx_pair, one, two))
    assert len(names) == 2
