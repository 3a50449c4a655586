"""Data sets: samples become batches, and files that need not fit into memory are read in windows."""

import pickle
import tracemalloc
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from needed import needs

import scratchnet as sn
from scratchnet.data.samples import collate, load_samples
from scratchnet.data.workers import read_ahead


class Rows(sn.Dataset):
    """Any items, as a data set."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def test_samples_are_stacked_and_their_structure_is_kept():
    items = [(({"a": np.full((2, 3), i), "b": 0.5 * i}, np.float64(i)), i, 1.5) for i in range(4)]
    inputs, targets, weights = load_samples(Rows(items), np.array([3, 1]))
    named, number = inputs
    np.testing.assert_array_equal(named["a"], [np.full((2, 3), 3), np.full((2, 3), 1)])
    assert [named["b"].tolist(), number.tolist()] == [[1.5, 0.5], [3, 1]]
    assert [each.dtype for each in (named["b"], number, weights)] == [np.float32] * 3
    assert targets.tolist() == [3, 1]
    assert weights.tolist() == [1.5, 1.5]


@pytest.mark.parametrize(("item", "parts"), [(2.5, 1), ((2.5,), 1), ((2.5, None), 1), ((2.5, 1), 2)])
def test_what_a_sample_does_not_have_is_none(item, parts):
    batch = collate([item, item])
    assert [part is not None for part in batch] == [True] * parts + [False] * (3 - parts)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([np.zeros((3, 4)), np.zeros((3, 5))],
         r"sample 8: inputs has shape \(3, 5\), but that of sample 7 has \(3, 4\); give all"),
        ([(0, {"a": [1, 2]}), (0, {"a": [1]})], r"sample 8: targets\['a'\] has shape \(1,\)"),
        ([((0, 1), 0), ((0, "x"), 0)], r"sample 8: inputs\[1\] has dtype <U1; it must hold real"),
        ([(0, 1), (0, None)], "sample 8: targets is None, but that of sample 7 is an array"),
        ([{"a": 1}, {"b": 1}], "sample 8: inputs is a dict of b, but that of sample 7 is a dict of a"),
        ([(0, [1.0, 2]), (0, [1, np.inf])], r"sample 8: targets has inf at \(1,\); correct the sample"),
        ([{"a": 1.0}, {"a": 1e300}], r"sample 8: inputs\['a'\] has inf; correct"),
        ([0.5, np.ma.array(0.5, mask=True)], "sample 8: inputs has nan; correct"),
        ([(0, 1, 2), (0, 1, -1)], "sample 8: its weight is negative"),
        ([(0, 1, (1, 2))] * 2, "sample 7: its weight is a tuple of 2; it must be one number"),
        ([None, None], r"sample 7 has no input; return input, or \(input, target\)"),
        ([1, 1j], "sample 8: inputs has dtype complex128; it must hold real numbers"),
        ([(0, 1, 2, 3)] * 2, "sample 7 is a tuple of 4; give .* several inputs as a tuple within"),
        ([[[1, 2], [3]]] * 2, "sample 7: inputs is a list, but no array"),
        ([object()] * 2, "sample 7: inputs has dtype object; it must hold real numbers"),
    ],
)  # fmt: skip
def test_samples_that_do_not_fit_are_named(items, message):
    with pytest.raises(sn.DataError, match=message) as caught:
        load_samples(Rows([None] * 7 + items), np.array([7, 8]))
    assert "\n" not in str(caught.value)


def test_the_base_class_says_what_to_define():
    with pytest.raises(NotImplementedError, match="Dataset must define __len__"):
        len(sn.Dataset())
    with pytest.raises(NotImplementedError, match=r"Dataset must define __getitem__\(index\)"):
        sn.Dataset()[0]


def test_the_values_of_whole_batches_are_checked_too():
    class Batches(Rows):
        def batch(self, indices):
            inputs, targets, weights = self.items
            return inputs[indices], targets[indices], weights[indices]

    good = np.ones((9, 2), "f4"), np.arange(9), np.arange(9)
    assert load_samples(Batches(good), np.array([3, 4]))[2].dtype == np.float32
    for place, fault, message in [
        (0, np.nan, r"inputs has nan at \(1,\)"),
        (2, -1, "its weight is neg"),
    ]:
        items = [each.copy() for each in good]
        items[place][5, ...] = fault
        items[0][5, 0] = 1
        with pytest.raises(sn.DataError, match=f"sample 5: {message}"):
            load_samples(Batches(items), np.array([7, 5, 6]))


def test_npy_files_with_nan_are_named_by_sample(saved):
    (path,) = saved(x=np.where(np.arange(12).reshape(6, 2) == 7, np.nan, 1))
    loader = sn.DataLoader(sn.NpyDataset(path), 2, workers=2)
    with pytest.raises(sn.DataError, match=r"sample 3: inputs has nan at \(1,\)"):
        list(loader)


# .npy files


@pytest.fixture
def saved(tmp_path, rng):
    """Save arrays under names, and return their paths."""

    def save(**arrays):
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
        return [tmp_path / f"{name}.npy" for name in arrays]

    return save


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", ">f4", ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_are_read_by_batch(saved, rng, dtype, order):
    x, y = np.asarray(rng.integers(0, 99, (50, 3, 4)), dtype, order=order), np.arange(50)
    images, labels = saved(x=x, y=y)
    dataset = sn.NpyDataset(images, str(labels))
    assert len(dataset) == 50
    chosen = rng.permutation(50)[:20]
    for each in (dataset, pickle.loads(pickle.dumps(dataset))):
        inputs, targets, weights = load_samples(each, chosen)
        np.testing.assert_array_equal(inputs, x[chosen])
        assert inputs.dtype == (np.float32 if x.dtype.kind == "f" else x.dtype.newbyteorder("="))
        assert inputs.dtype.isnative
        assert type(inputs) is np.ndarray
        assert inputs.flags.writeable
        assert targets.tolist() == chosen.tolist()
        assert weights is None
    np.testing.assert_array_equal(dataset[-1][0], x[49])
    assert [target for _, target in dataset] == list(range(50))


def test_npy_files_in_a_structure(saved):
    a, b, y = saved(a=np.arange(6), b=np.arange(12).reshape(6, 2), y=np.arange(6))
    dataset = sn.NpyDataset({"a": a, "b": b}, (y,))
    inputs, targets, _ = load_samples(dataset, np.array([5, 0]))
    assert {name: each.tolist() for name, each in inputs.items()} == {
        "a": [5, 0],
        "b": [[10, 11], [0, 1]],
    }
    assert targets[0].tolist() == [5, 0]
    assert dataset[2][0]["b"].tolist() == [4, 5]
    assert load_samples(sn.NpyDataset(a), np.array([1]))[1] is None


def test_a_window_of_npy_files_has_about_1_megabyte(saved):
    (path,) = saved(x=np.zeros((1000, 100), "f4"))
    assert sn.NpyDataset(path).window == 2500
    assert sn.NpyDataset((path, path)).window == 1250
    (path,) = saved(x=np.zeros((3, 0), "f4"))
    assert [inputs.shape for inputs, _ in sn.DataLoader(sn.NpyDataset(path), 2)] == [(2, 0), (1, 0)]


def test_a_batch_takes_no_more_memory_than_its_samples(saved):
    (path,) = saved(x=np.zeros((20_000, 1000), "f8"))  # 160 MB
    dataset = sn.NpyDataset(path)
    tracemalloc.start()
    try:
        for start in range(0, 20_000, 1000):
            dataset.batch(np.arange(start, start + 50))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3e6  # 50 samples as float64 and as float32 are 0.6 MB
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(path) not in maps.read_text()  # its pages would count as memory


def test_bad_npy_files_are_one_clear_line(saved, tmp_path):
    good, other, text, scalar, objects = saved(
        good=np.zeros((5, 2)), other=np.zeros(6), text=np.array(["a"]), scalar=np.zeros(()),
        objects=np.array([[1], {}], dtype=object),
    )  # fmt: skip
    cut, csv, npz, empty = (tmp_path / name for name in ("cut.npy", "a.csv", "a.npz", "empty.npy"))
    cut.write_bytes(good.read_bytes()[:-8])
    csv.write_text("1,2\n")
    empty.touch()
    np.savez(npz, a=np.zeros(3))
    assert zipfile.is_zipfile(npz)
    for given, message in {
        (good, other): rf"{good} has 5 samples and {other} has 6; they must have the same number",
        text: "text.npy has dtype <U1; it must hold real numbers",
        scalar: r"scalar.npy: shape \(\) has no samples",
        objects: "objects.npy has dtype object; it must hold real numbers",
        cut: "cut.npy: has 200 bytes, and its header says 208; copy it again",
        csv: "a.csv: cannot be read: .*give an array of numbers",
        npz: "a.npz: is an .npz archive; save each array of it with numpy.save",
        empty: "empty.npy: cannot be read: ", tmp_path: "is a directory where a file was expected",
        tmp_path / "none.npy": "none.npy: no such file", (): "inputs has no file",
    }.items():  # fmt: skip
        with pytest.raises(sn.DataError, match=message) as caught:
            sn.NpyDataset(given)
        assert "\n" not in str(caught.value)
    with pytest.raises(sn.DataError, match="an ndarray given where the path of a"):
        sn.NpyDataset(np.zeros(3))
    with pytest.raises(IndexError, match="NpyDataset: no sample 5; there are 5"):
        sn.NpyDataset(good)[5]


def test_other_npy_files_have_another_fingerprint(saved, tmp_path, rng):
    arrays = {name: rng.standard_normal((3000, 40)).astype("f4") for name in "ab"}  # 480 kB
    a, b = saved(**arrays)
    found = {sn.NpyDataset(*each).fingerprint() for each in [(a,), (b,), (a, b), (b, a), ({"a": a},)]}
    assert len(found) == 5
    expected = sn.NpyDataset(a).fingerprint()
    saved(b=arrays["a"])
    assert sn.NpyDataset(b).fingerprint() == expected  # wherever it lies
    state = sn.DataLoader(sn.NpyDataset(a)).state_dict()
    saved(a=rng.permutation(arrays["a"]))
    with pytest.raises(sn.CheckpointError, match="fingerprint"):
        sn.DataLoader(sn.NpyDataset(a)).load_state_dict(state)


# Parquet and Arrow files


WRITERS = {
    "parquet": lambda df, path: df.to_parquet(path, row_group_size=290),
    "feather": lambda df, path: df.to_feather(path, chunksize=170),
    "arrow": lambda df, path: df.to_feather(path, chunksize=400, compression="uncompressed"),
}


@pytest.fixture
def frame(rng):
    return pd.DataFrame({
        "age": rng.integers(18, 90, 1000), "income": rng.standard_normal(1000),
        "member": rng.random(1000) < 0.5, "price": rng.standard_normal(1000),
        "kind": rng.integers(0, 3, 1000).astype("i1"),
    })  # fmt: skip


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    needs("pyarrow")

    def write(df, name="table"):
        WRITERS[request.param](df, path := tmp_path / name)
        return path

    return write


def test_a_table_is_read_by_rows_in_any_order(write, frame, rng):
    path = write(frame)
    dataset = sn.ParquetDataset(path, target="price", features=["member", "age"])
    assert len(dataset) == 1000
    assert dataset.features == ("member", "age")
    for chosen in (rng.permutation(1000)[:128], np.arange(250, 350), np.array([7])):
        for each in (dataset, pickle.loads(pickle.dumps(dataset))):
            inputs, targets, weights = load_samples(each, chosen)
            expected = frame[["member", "age"]].to_numpy("f4")[chosen]
            np.testing.assert_array_equal(inputs, expected)
            np.testing.assert_array_equal(targets, frame.price.to_numpy("f4")[chosen])
            assert [inputs.dtype, targets.dtype, weights] == [np.float32, np.float32, None]
    inputs, target = dataset[-1]
    assert inputs.tolist() == [frame.member.iloc[-1], frame.age.iloc[-1]]
    assert target == np.float32(frame.price.iloc[-1])
    with pytest.raises(IndexError, match="no sample 1000; there are 1000"):
        dataset[1000]


def test_targets_are_a_column_or_several_or_none(write, frame):
    path = write(frame)
    labels = sn.ParquetDataset(path, "kind")
    assert labels.features == ("age", "income", "member", "price")
    assert labels.batch(np.arange(4))[1].dtype == np.int8
    _, both = sn.ParquetDataset(path, ["price", "kind"]).batch(np.arange(4))
    np.testing.assert_array_equal(both, frame[["price", "kind"]].to_numpy("f4")[:4])
    assert both.dtype == np.float32
    inputs, nothing = sn.ParquetDataset(path, None).batch(np.arange(4))
    assert inputs.shape == (4, 5)
    assert nothing is None
    assert sn.ParquetDataset(path, None)[0][1] is None


def test_the_index_of_a_data_frame_is_no_input(write, frame, rng):
    for name in (None, "id"):
        path = write(frame.set_index(pd.Index(rng.permutation(1000), name=name)))
        assert sn.ParquetDataset(path, "price").features == ("age", "income", "member", "kind")
    assert sn.ParquetDataset(path, "price", ["id"]).features == ("id",)


def test_another_table_has_another_fingerprint(write, frame):
    path = write(frame)
    expected = sn.ParquetDataset(path, "price").fingerprint()
    assert sn.ParquetDataset(path, "age").fingerprint() != expected
    assert sn.ParquetDataset(write(frame, "copy"), "price").fingerprint() == expected
    assert sn.ParquetDataset(write(frame[::-1], "other"), "price").fingerprint() != expected


def test_it_decodes_a_window_at_a_time_and_keeps_a_few(write, frame, monkeypatch):
    from scratchnet.data import parquet

    monkeypatch.setattr(parquet, "WINDOW_BYTES", 2 * 4 * 50)  # 50 rows of two columns
    monkeypatch.setattr(parquet, "_KEPT", 3)
    dataset = sn.ParquetDataset(write(frame), "price", ["age"])
    assert dataset.window == 50
    read, decode = [], dataset._decode
    monkeypatch.setattr(dataset, "_decode", lambda part: read.append(part) or decode(part))
    for start in range(0, 1000, 20):
        inputs, _ = dataset.batch(np.arange(start, start + 20))
        assert inputs[:, 0].tolist() == frame.age[start : start + 20].tolist()
        assert len(dataset._decoded) <= 3
    assert len(read) == len(set(read))
    assert max(part.stop - part.start for part in read) == 50
    dataset.batch(np.arange(20))  # no longer kept
    assert read[-1] == read[0]


def test_two_threads_decode_a_window_once(write, frame, monkeypatch):
    dataset = sn.ParquetDataset(write(frame), "price")
    read, decode = [], dataset._decode
    monkeypatch.setattr(dataset, "_decode", lambda part: read.append(part) or decode(part))
    orders = np.random.default_rng(0).permutation(1000).reshape(50, 20)
    batches = list(read_ahead(partial(load_samples, dataset), iter(orders), 4))
    assert len(read) == len(set(read))
    np.testing.assert_array_equal(
        np.concatenate([targets for _, targets, _ in batches]),
        frame.price.to_numpy("f4")[orders.ravel()],
    )


def test_what_is_no_finite_number_is_named_by_column_and_row(write, frame):
    frame["age"] = frame.age.astype("Int64")
    frame.loc[333, "age"] = None
    frame.loc[20, "income"] = np.nan
    frame.loc[420, "price"] = np.inf
    frame["member"] = frame.member.astype("boolean")
    frame.loc[555, "member"] = None
    dataset = sn.ParquetDataset(write(frame), "price")
    for row, column in {333: "age", 20: "income", 420: "price", 555: "member"}.items():
        with pytest.raises(
            sn.DataError, match=rf"column '{column}' has a null, NaN or infinity in row {row}"
        ):
            dataset[row]
        with pytest.raises(
            sn.DataError, match=rf"^sample {row}: .*table: column '{column}'.*remove the row"
        ):
            load_samples(dataset, np.arange(row - 9, row + 9))
    inputs, _ = dataset.batch(np.array([332, 334]))  # near it, all is as it should be
    assert inputs[:, 0].tolist() == frame.age[[332, 334]].tolist()


def test_a_table_that_does_not_fit_is_one_clear_line(write, frame, tmp_path):
    frame["city"], frame["day"] = "Bonn", pd.Timestamp("2026-01-01")
    path = write(frame)
    for target, features, message in [
        (
            "price",
            None,
            r"columns without numbers: 'city' \((large_)?string\), 'day' \(timestamp.*features=",
        ),
        ("city", ["age"], "columns without numbers: 'city'"),
        ("prize", ["age"], r"there is no column 'prize'; did you mean 'price'\?"),
        ("price", ["q"], r"there is no column 'q'; did you mean 'age', 'income'"),
        ("price", [], "there is no column for the inputs"),
        ("price", ["age", "price"], "column 'price' is the target and one of the features"),
    ]:
        with pytest.raises(sn.DataError, match=message) as caught:
            sn.ParquetDataset(path, target, features)
        assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(sn.SettingError, match=r"features is 'age'; give a list: \['age'\]"):
        sn.ParquetDataset(path, "price", "age")
    for target, features, message in [(3, None, "target has 3"), ("price", [3], "features has 3")]:
        with pytest.raises(sn.SettingError, match=message):
            sn.ParquetDataset(path, target, features)
    with pytest.raises(sn.DataError, match="has no rows"):
        sn.ParquetDataset(write(frame[:0], "empty"), "price", ["age"])
    cut, csv = tmp_path / "cut", tmp_path / "a.csv"
    cut.write_bytes(path.read_bytes()[:-30])
    frame.to_csv(csv)
    for bad, message in {
        cut: "cut: cannot be read: ", csv: "a.csv: is no Parquet, Arrow or Feather file",
        tmp_path / "none": "none: no such file", tmp_path: "is a directory where a file",
    }.items():  # fmt: skip
        with pytest.raises(sn.DataError, match=message) as caught:
            sn.ParquetDataset(bad, "price")
        assert "\n" not in str(caught.value)


def test_without_pyarrow_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("scratchnet.data.parquet.find_spec", lambda name: None)
    with pytest.raises(sn.SettingError, match=r'pip install "scratchnet\[parquet\]"'):
        sn.ParquetDataset("a.parquet", "y")


def test_two_columns_of_one_name_are_named(tmp_path):
    needs("pyarrow")
    import pyarrow
    from pyarrow import feather

    columns = [pyarrow.array([1.0, 2.0])] * 3
    feather.write_feather(pyarrow.Table.from_arrays(columns, ["a", "a", "y"]), tmp_path / "t.feather")
    with pytest.raises(sn.DataError, match="there are several columns 'a'; rename them"):
        sn.ParquetDataset(tmp_path / "t.feather", "y", ["a"])
