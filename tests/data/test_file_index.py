"""The index of data in many files: what can be in it, and what is noticed when a file is opened."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from arrays import host
from data_files import idx
from needed import needs
from typer.testing import CliRunner

import scratchnet as sn
from benchmarks.fuzz.watch import limited
from scratchnet.cli.main import app

IMAGES = np.random.default_rng(0).integers(0, 256, (9, 3, 4), np.uint8)
LABELS = np.arange(9, dtype=np.uint8)


def npz(place, images, labels):
    np.savez(f"{place}.npz", inputs=images, targets=labels)


def npz_packed(place, images, labels):
    np.savez_compressed(f"{place}.npz", inputs=images / 8, targets=labels)


def npy(place, images, labels):
    np.save(f"{place}_inputs.npy", images.astype(">f8"))
    np.save(f"{place}_targets.npy", labels)


def idx_files(place, images, labels):
    Path(f"{place}-images-idx3-ubyte").write_bytes(idx(images))
    Path(f"{place}-labels-idx1-ubyte").write_bytes(idx(labels))


def idx_packed(place, images, labels):
    Path(f"{place}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    Path(f"{place}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))


def parquet(place, images, labels):
    needs("pyarrow")
    table = pd.DataFrame(images.reshape(len(images), -1)).add_prefix("p").assign(y=labels)
    table.to_parquet(f"{place}.parquet", row_group_size=2)


def inputs_alone(place, images, labels):
    np.savez(f"{place}.npz", inputs=images)


WRITERS = [npz, npz_packed, npy, idx_files, idx_packed, parquet, inputs_alone]


def written(folder, write=npz):
    """Write 9 rows into three files, one in a folder below, and return the index."""
    (folder / "more").mkdir()
    for name, first, last in (("a", 0, 4), ("b", 4, 5), ("more/c", 5, 9)):
        write(folder / name, IMAGES[first:last], LABELS[first:last])
    return sn.index_files(folder, target="y" if write is parquet else None)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("workers", [0, 1])
def test_each_kind_of_file_is_read_as_it_was_written(tmp_path, write, workers):
    loader = sn.StreamingDataLoader(written(tmp_path, write), 4, window=3, workers=workers)
    expected = IMAGES / 8 if write is npz_packed else IMAGES
    expected = expected.reshape(9, -1) if write is parquet else expected
    floating = write in (npz_packed, npy, parquet)
    loader.streams = 2
    for batches in (lambda: loader, lambda: loader.rest(1), loader.in_order):
        for inputs, targets in batches():
            assert host(inputs).dtype == ("float32" if floating else "uint8")
            if targets is None:
                assert write is inputs_alone
                continue
            assert host(targets).dtype == np.uint8
            np.testing.assert_array_equal(host(inputs), expected[host(targets)])
    whole = [host(inputs) for inputs, _ in loader.in_order()]
    np.testing.assert_array_equal(np.concatenate(whole), expected)


def test_large_rows_of_a_packed_file_are_read_from_the_middle(tmp_path):
    rows = np.random.default_rng(0).standard_normal((40, 100_000)).astype("f4")  # 16 MB
    np.savez_compressed(tmp_path / "a.npz", inputs=rows)
    loader = sn.StreamingDataLoader(sn.index_files(tmp_path), 8, shuffle=False, window=10)
    next(iter(loader))
    found = np.concatenate([host(inputs) for inputs, _ in loader.rest(3)])
    np.testing.assert_array_equal(found, rows[24:])


def test_an_index_is_the_same_however_often_it_is_made_and_wherever_it_lies(tmp_path):
    index = written(tmp_path)
    content = index.read_bytes()
    assert sn.index_files(tmp_path).read_bytes() == content
    assert str(tmp_path).encode() not in content
    names = [file["names"] for file in json.loads(content)["files"]]
    assert names == [["a.npz"], ["b.npz"], ["more/c.npz"]]


# Files that cannot be in an index


def more_columns(folder):
    np.savez(folder / "b.npz", inputs=np.ones((2, 3, 5), np.uint8), targets=LABELS[:2])


def another_dtype(folder):
    np.savez(folder / "b.npz", inputs=IMAGES[:2].astype("f4"), targets=LABELS[:2])


def no_targets(folder):
    np.savez(folder / "b.npz", inputs=IMAGES[:2])


def fewer_targets(folder):
    np.savez(folder / "b.npz", inputs=IMAGES[:2], targets=LABELS[:1])


def other_names(folder):
    np.savez(folder / "b.npz", x=IMAGES[:2], y=LABELS[:2])


def no_rows(folder):
    np.savez(folder / "b.npz", inputs=IMAGES[:0], targets=LABELS[:0])


def text(folder):
    np.savez(folder / "b.npz", inputs=np.array(["a"]), targets=LABELS[:1])


def objects(folder):
    np.savez(folder / "b.npz", inputs=np.array([None]), targets=LABELS[:1])


def columns_first(folder):
    np.savez(folder / "b.npz", inputs=np.asfortranarray(IMAGES[:2]), targets=LABELS[:2])


def no_archive(folder):
    (folder / "b.npz").write_bytes(b"PK not quite")


def truncated(folder):
    content = (folder / "b.npz").read_bytes()
    (folder / "b.npz").write_bytes(content[: len(content) // 2])


def damaged(folder):
    content = bytearray((folder / "b.npz").read_bytes())
    content[len(content) // 3] ^= 255
    (folder / "b.npz").write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            more_columns,
            r"a row is inputs \(3, 5\) uint8, targets \(\) uint8, but in .*a.npz it is inputs",
        ),
        (another_dtype, r"a row is inputs \(3, 4\) float32, .* uint8$"),
        (no_targets, r"a row is inputs \(3, 4\) uint8, but in .*a.npz it is"),
        (fewer_targets, "there are 2 inputs and 1 targets"),
        (
            other_names,
            r"its arrays are 'x', 'y'; save them with numpy.savez\(path, inputs=…, targets=…\)",
        ),
        (no_rows, r"shape \(0, 3, 4\) has no rows"),
        (text, "has dtype <U1; it must hold real numbers"),
        (objects, "has dtype object; it must hold real numbers"),
        (columns_first, "in Fortran's order.*ascontiguousarray"),
        (no_archive, "cannot be read: File is not a zip file"),
        (truncated, "cannot be read: File is not a zip file"),
        (damaged, "cannot be read: Bad CRC-32"),
    ],
)
def test_a_file_that_cannot_be_in_an_index_is_named(tmp_path, change, message):
    written(tmp_path).unlink()
    change(tmp_path)
    with pytest.raises(sn.DataError, match=rf"b\.npz:? .*{message}") as caught:
        sn.index_files(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "index.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b-images-idx3-ubyte", b"\0\0\x08", "begins with 0x000008; it is no IDX file"),
        (
            "b-images-idx3-ubyte",
            idx(IMAGES)[:-1],
            "has fewer bytes, unpacked, than the 124 of its header",
        ),
        (
            "b-images-idx3-ubyte",
            idx(IMAGES) + b"0",
            "has more bytes, unpacked, than the 124 of its header",
        ),
        (
            "b-images-idx3-ubyte",
            gzip.compress(idx(IMAGES))[:-9],
            "cannot be read: Compressed file ended",
        ),
        ("c-labels-idx1-ubyte", idx(LABELS), "belongs to no inputs"),
        ("c_inputs.npy", b"", "belongs to no inputs"),
    ],
)
def test_idx_files_that_cannot_be_in_an_index_are_named(tmp_path, name, content, message):
    idx_files(tmp_path / "b", IMAGES, LABELS)
    sn.index_files(tmp_path)
    (tmp_path / name).write_bytes(content)
    if name == "c_inputs.npy":
        name, message = tmp_path.name, "holds files of several kinds: npy, idx"
    with pytest.raises(sn.DataError, match=f"{name}: {message}"):
        sn.index_files(tmp_path)


def test_a_folder_without_samples(tmp_path):
    with pytest.raises(sn.DataError, match=r"holds no files with samples; give one folder to \.npz"):
        sn.index_files(tmp_path)
    with pytest.raises(sn.DataNotFoundError, match="no such folder"):
        sn.index_files(tmp_path / "nowhere")
    npz(tmp_path / "a", IMAGES, LABELS)
    with pytest.raises(sn.SettingError, match="target and features are for tables"):
        sn.index_files(tmp_path, target="y")
    tmp_path.chmod(0o500)
    try:
        if not os.access(tmp_path, os.W_OK):  # root may write everywhere
            with pytest.raises(sn.DataError, match=r"index\.json: cannot be written"):
                sn.index_files(tmp_path)
    finally:
        tmp_path.chmod(0o700)


# Files that have changed since the index was made


def missing(folder):
    (folder / "b.npz").unlink()


def more_rows(folder):
    npz(folder / "b", IMAGES[:5], LABELS[:5])


def another_value(folder):
    npz(folder / "b", IMAGES[:1], LABELS[4:5])


def another_count(folder):
    path = folder / "index.json"
    path.write_text(path.read_text().replace('"rows": 1,', '"rows": 2,'))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (missing, sn.DataNotFoundError, "no such file, but .*index.json has it"),
        (more_rows, sn.DataError, "is not the file of which .*index.json was made"),
        (another_value, sn.DataError, "is not the file of which .*index.json was made"),
        (another_count, sn.DataError, "has 1 rows, but .*index.json says 2"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_has_changed_is_named_when_it_is_opened(tmp_path, change, kind, message, workers):
    index = written(tmp_path)
    change(tmp_path)
    loader = sn.StreamingDataLoader(index, 2, workers=workers)
    fix = "; restore the file, or make the index again: scratchnet data index "
    for batches in (lambda: loader, loader.in_order):
        with pytest.raises(kind, match=rf"b\.npz: {message}{fix}") as caught:
            list(batches())
        assert "\n" not in str(caught.value)
    assert type(caught.value) is kind


def test_a_pipe_in_place_of_a_file_is_named_at_once(tmp_path):
    loader = sn.StreamingDataLoader(written(tmp_path))
    missing(tmp_path)
    os.mkfifo(tmp_path / "b.npz")
    with limited(5), pytest.raises(sn.DataError, match=r"b\.npz: is a pipe or a device"):
        list(loader)


def test_a_number_that_is_not_finite_is_named_by_file_and_row(tmp_path):
    for name, bad in (("a", None), ("b", 5)):
        rows = np.ones((9, 2, 3))
        if bad:
            rows[bad, 1, 2] = np.nan
        np.savez(tmp_path / f"{name}.npz", inputs=rows, targets=LABELS)
    loader = sn.StreamingDataLoader(sn.index_files(tmp_path), 4, window=7)
    with pytest.raises(sn.DataError, match=r"b\.npz: row 5 has nan at \(1, 2\); correct it"):
        list(loader)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{", "[", "is no index of files, or is damaged; make the index again: scratchnet data index"),
        (
            '"version": 1',
            '"version": 2',
            "was written by another scratchnet: its version is 2, and this release knows 1; update",
        ),
        ('"a.npz"', '"../a.npz"', "is no index"),
        ('"a.npz"', '"/a.npz"', "is no index"),
        ('"rows": 4', '"rows": 0', "is no index"),
        ('"rows": 4', '"rows": "4"', "is no index"),
        ('"kind": "npz"', '"kind": "zip"', "is no index"),
        ('"uint8"', '"text"', "is no index"),
        ('"inputs"', '"outputs"', "is no index"),
        ('"shape": [', '"shape": [' + "1," * 62, "is no index"),
        ('"names"', '"name"', "is no index"),
    ],
)
def test_a_damaged_index_is_named(tmp_path, old, new, message):
    index = written(tmp_path)
    index.write_text(index.read_text().replace(old, new, 1))
    with pytest.raises(sn.DataError, match=rf"index\.json: {message}") as caught:
        sn.StreamingDataLoader(index)
    assert "\n" not in str(caught.value)
    with pytest.raises(sn.DataNotFoundError, match="no such file; make it with: scratchnet data index"):
        sn.StreamingDataLoader(tmp_path / "more" / "index.json")


def test_an_index_of_another_version_is_replaced(tmp_path):
    index = written(tmp_path)
    content = index.read_text()
    index.write_text(content.replace('"version": 1', '"version": 2, "more": 3'))
    assert sn.index_files(tmp_path).read_text() == content


def test_an_index_has_a_largest_size(tmp_path, monkeypatch):
    index = written(tmp_path)
    size = index.stat().st_size
    monkeypatch.setattr("scratchnet.data.streaming.index._MOST_BYTES", size)
    sn.StreamingDataLoader(sn.index_files(tmp_path))
    monkeypatch.setattr("scratchnet.data.streaming.index._MOST_BYTES", size - 1)
    with pytest.raises(
        sn.DataError, match=r"holds more than 0 MB.* make it with: scratchnet data index"
    ):
        sn.StreamingDataLoader(index)
    index.unlink()
    with pytest.raises(sn.DataError, match=r"would have more than 0 MB.*more rows into each of the 3"):
        sn.index_files(tmp_path)
    assert not index.exists()


# The command line


def command(*arguments):
    return CliRunner().invoke(app, ["data", "index", *map(str, arguments)])


def test_the_command_writes_the_index(tmp_path):
    index = written(tmp_path)
    content = index.read_bytes()
    index.unlink()
    ended = command(tmp_path)
    assert ended.exit_code == 0
    told = "3 files, 9 rows; a row is inputs (3, 4) uint8, targets () uint8"
    assert ended.output.replace("\n", "") == f"{index}: {told}"
    assert index.read_bytes() == content


def test_the_command_takes_columns(tmp_path):
    parquet(tmp_path / "a", IMAGES, LABELS)
    assert command(tmp_path, "--target", "y", "--feature", "p1", "--feature", "p0").exit_code == 0
    inputs, targets = next(sn.StreamingDataLoader(tmp_path / "index.json").in_order())
    np.testing.assert_array_equal(host(inputs), IMAGES.reshape(9, -1)[:, [1, 0]])
    assert host(targets).tolist() == LABELS.tolist()
    assert command(tmp_path, "--target", "y", "--target", "p0").exit_code == 0
    inputs, targets = next(sn.StreamingDataLoader(tmp_path / "index.json").in_order())
    assert (inputs.shape, targets.shape) == ((9, 11), (9, 2))


def test_the_command_has_a_line_for_each_problem(tmp_path):
    written(tmp_path).unlink()
    more_columns(tmp_path)
    (tmp_path / "a.npz").write_bytes(b"")
    (tmp_path / "alone.npy").write_bytes(b"")
    ended = command(tmp_path)
    lines = ended.output.splitlines()
    assert isinstance(ended.exception, sn.DataError)
    assert [Path(line.split(":")[0]).name for line in lines] == ["alone.npy", "a.npz", "c.npz"]
    assert not (tmp_path / "index.json").exists()


IDX_CODES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@pytest.mark.parametrize("code", IDX_CODES)
def test_idx_files_of_every_kind_of_number(tmp_path, code):
    numbers = np.array([[1, 2, 3], [100, -100, 5]]).astype(IDX_CODES[code])
    head = bytes([0, 0, code, 2]) + np.array(numbers.shape, ">u4").tobytes()
    (tmp_path / "a-images-idx2-ubyte").write_bytes(head + numbers.tobytes())
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(idx(LABELS[:2]))
    ((x, _),) = sn.StreamingDataLoader(sn.index_files(tmp_path), 2, shuffle=False)
    assert host(x).tolist() == numbers.tolist()
