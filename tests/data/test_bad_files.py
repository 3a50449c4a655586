"""Paths that are not files, files without an end, and files that unpack to too much."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest
from needed import needs
from processes import python

import scratchnet as sn
from benchmarks.fuzz.watch import limited
from scratchnet.data import readers
from scratchnet.data.cifar import holds_cifar
from scratchnet.data.image_folder import ImageFiles
from scratchnet.data.readers import FASHION, read_bytes, read_csv, read_idx
from scratchnet.data.sources import files_in
from scratchnet.data.streaming.row_files import open_rows
from scratchnet.training.trained import load_model

READERS = {
    "csv": read_csv,
    "idx": lambda path: read_idx(path, 3),
    "model": load_model,
    "npz": lambda path: sn.Cifar10DataLoader("valid", 2, path),
    "npy": sn.NpyDataset,
    "picture": lambda path: needs("PIL") and ImageFiles([str(path)]).image(0),
    "parquet": lambda path: needs("pyarrow") and sn.ParquetDataset(path, "y"),
    "index": sn.StreamingDataLoader,
    "rows": lambda path: open_rows("npz", [path]),
}


@pytest.mark.guarantee("A file is read correctly, or refused in one line that names it.")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["pipe", "folder", "dangling", "circle", "zero", "null", "long name"])
def test_what_is_no_file_is_named_at_once(reader, kind, tmp_path):
    path = tmp_path / "some"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "long name":
        path = tmp_path / ("x" * 5000)
    else:
        goals = {"dangling": "none", "circle": "some", "zero": "/dev/zero", "null": "/dev/null"}
        path.symlink_to(goals[kind])
    with limited(5), pytest.raises((sn.DataError, sn.CheckpointError)) as caught:
        READERS[reader](path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert "5 seconds" not in str(caught.value)  # a reader names what ended it, too


def npy(path):
    np.save(path, np.ones((2, 3)))
    return sn.NpyDataset(path)


def parquet(path):
    needs("pyarrow")
    pd.DataFrame({"x": [1, 2], "y": [0, 1]}).to_parquet(path)
    return sn.ParquetDataset(path, "y")


@pytest.mark.parametrize("write", [npy, parquet])
def test_a_file_that_has_become_a_pipe_is_named_at_once(write, tmp_path):
    path = tmp_path / "rows.npy"
    dataset = write(path)
    path.unlink()
    os.mkfifo(path)
    for read in (lambda: dataset[0], dataset.fingerprint):
        with limited(5), pytest.raises(sn.DataError, match=r"rows\.npy: is a pipe or a device"):
            read()


FOLDERS = {
    "images": lambda path: needs("PIL") and sn.ImageFolder(path),
    "cifar": holds_cifar,
    "idx": lambda path: files_in(path / "z", "train"),
}


@pytest.mark.parametrize("reader", FOLDERS)
def test_a_link_to_itself_in_a_folder_is_named(reader, tmp_path):
    (tmp_path / "z").symlink_to("z")
    with pytest.raises(sn.DataError, match=f"^{tmp_path}/z: cannot be looked into: .*; check its name"):
        FOLDERS[reader](tmp_path)


PLACES = {
    "index_files": sn.index_files,
    "StreamingDataLoader": sn.StreamingDataLoader,
    "ParquetDataset": lambda path: needs("pyarrow") and sn.ParquetDataset(path, "y"),
}


@pytest.mark.parametrize("owner", PLACES)
@pytest.mark.parametrize("place", [None, 3, "", "a\0b"])
def test_what_is_no_path_is_named(owner, place):
    with pytest.raises(sn.SettingError, match=f"^{owner}: .* is not a path; give a str or a pathlib"):
        PLACES[owner](place)


@pytest.mark.parametrize("name", ["\udc00\ud800", "a\0b"])
def test_a_name_that_no_file_can_have_is_named(name):
    for read in (sn.NpyDataset, sn.StreamingDataLoader):
        with pytest.raises(sn.SettingError, match=r"^\w+: '(\\udc00\\ud800|a\\x00b)' is not a path"):
            read(name)


def bomb(path, start, filling):
    """Return a gzip file of 4 MB that unpacks to 4 GB: the same member again and again."""
    path.write_bytes(gzip.compress(start) + gzip.compress(filling * (64 << 20), 9) * 64)


@pytest.mark.guarantee("Archives and pictures are unpacked only up to a bound.")
@pytest.mark.parametrize("kind", ["idx.gz", "csv.gz", "rows.csv.gz", "idx", "csv"])
def test_a_file_without_end_is_read_no_further_than_the_bound(kind, tmp_path):
    path = tmp_path / kind
    header = (
        b"label\n" if "csv" in kind else b"\0\0\x08\3" + np.array([5_100_000, 28, 28], ">u4").tobytes()
    )
    if kind.endswith("gz"):
        bomb(path, header, b"\n" if "rows" in kind else b"\0")
    else:
        path.write_bytes(header)
        os.truncate(path, 40 << 30)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from benchmarks.memory import memory\nfrom scratchnet.data import readers as r\n"
        "path = Path(sys.argv[1])\n"
        "try: r.read_csv(path) if 'csv' in path.name else r.read_idx(path, 3)\n"
        "except r.DataError as error: print(error)\n"
        "print(memory('VmHWM'))"
    )
    done = python("-c", program, path)
    message, peak = done.stdout.splitlines()
    assert message.startswith(f"{path}: holds more than 268 MB, unpacked")
    assert int(peak) < 2 * readers.MOST_BYTES


@pytest.mark.guarantee("Archives and pictures are unpacked only up to a bound.")
def test_the_bound_leaves_room_for_the_widest_csv_of_all_images():
    widest = len(b"label,\n") + 70_000 * (len(b"9") + 784 * len(b",255") + len(b"\r\n"))
    assert widest < readers.MOST_BYTES


def test_what_the_bound_allows_is_read(tmp_path):
    path, small = tmp_path / "some", FASHION._replace(most=100)
    for squeeze in (bytes, gzip.compress):
        path.write_bytes(squeeze(b"x" * 100))
        assert read_bytes(path, small) == b"x" * 100
        path.write_bytes(squeeze(b"x" * 101))
        with pytest.raises(sn.DataError, match="holds more than"):
            read_bytes(path, small)


def test_members_of_gzip_one_after_the_other_are_one_file(tmp_path):
    path = tmp_path / "some"
    path.write_bytes(gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two"))
    assert read_bytes(path) == b"one two"
    path.write_bytes(gzip.compress(b"one ") + b"two")
    with pytest.raises(sn.DataError, match="corrupt gzip"):
        read_bytes(path)
    path.write_bytes(gzip.compress(gzip.compress(b"nested")))
    assert read_bytes(path)[:2] == b"\x1f\x8b"  # unpacked once


GOOD = b"9," + b",".join([b"0"] * 784)


@pytest.mark.guarantee("A file is read correctly, or refused in one line that names it.")
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (GOOD[:-1] + b"+1", r"row 2, column 785: '\+1'"),
        (GOOD[:-1] + b"1_0", "row 2, column 785: '1_0'"),
        (GOOD[:-1] + b"\xb2", "row 2, column 785"),
        (GOOD[:-1] + b"\xa01", "row 2, column 785"),
        (GOOD[:-1] + b"1 2", "row 2, column 785: '1 2'"),
        (GOOD[:-1], "row 2, column 785: ''"),
        (GOOD[:-1] + b"1\r2", "row 2, column 785"),
        (GOOD[:-1] + b"0000000000999", "row 2, column 785"),
        (b"0" * 5000 + b"10" + GOOD[1:], "row 2: label 10"),
        (b" " * 20_000 + GOOD, "row 2 has 12560 characters or more"),
        (b"\n" * 600_000 + GOOD, "more than 524288 rows"),
    ],
    ids=range(11),
)
def test_what_only_looks_like_a_number_or_a_row_is_refused(rows, message, tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(b"label,pixel1\n" + rows)
    with pytest.raises(sn.DataError, match=message):
        read_csv(path)


def test_blanks_and_leading_zeros_change_no_number(tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(b"LABEL\r\n\r\n 007 ," + b" 0255," * 783 + b"1 \t\r\n")
    samples = read_csv(path)
    assert samples.labels.tolist() == [7]
    assert samples.pixels[0].ravel().tolist() == [255] * 783 + [1]
