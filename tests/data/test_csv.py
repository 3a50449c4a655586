"""Tables in CSV files."""

import gzip
import re

import numpy as np
import pandas as pd
import pytest
from arrays import host

import scratchnet as sn

FLOWERS = "length,width,species\n5.1,3.5,setosa\n7,3.2,versicolor\n6.3,3.3,virginica\n4.9,3,setosa\n"
X, Y = [[5.1, 3.5], [7, 3.2], [6.3, 3.3], [4.9, 3]], [0, 1, 2, 0]
NAMES = "setosa", "versicolor", "virginica"


@pytest.fixture
def read(tmp_path):
    def read(content, target=-1, name="flowers.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return sn.CsvDataLoader(path, target, **{"shuffle": False} | options)

    return read


def test_text_becomes_classes(backend, read):
    data = read(FLOWERS, "species", batch_size=3)
    (x, y), (_, last) = data
    assert (data.task, data.class_names, data.source) == ("classification", NAMES, "flowers")
    assert (data.feature_names, data.target_name) == (("length", "width"), "species")
    np.testing.assert_array_equal(host(x.data), np.float32(X[:3]))
    assert (host(y.data).tolist(), host(last.data).tolist()) == (Y[:3], Y[3:])


ROWS = [row.split(",") for row in FLOWERS.split()]


def joined(rows, separator=","):
    return "\n".join(separator.join(row) for row in rows)


FORMS = {
    "by number": (FLOWERS, 2),
    "from the end": (FLOWERS, -1),
    "without a header": (joined(ROWS[1:]), -1),
    "label first": (joined([row[2:] + row[:2] for row in ROWS]), "species"),
    "semicolons": (joined(ROWS, ";"), "species"),
    "tabs": (joined(ROWS, "\t"), "species"),
    "bars": (joined(ROWS, "|"), "species"),
    "blanks": (joined(ROWS, " , "), "species"),
    "quotes": (joined([[f'"{field}"' for field in row] for row in ROWS]), "species"),
    "windows": ("\ufeff" + FLOWERS.replace("\n", "\r\n"), "species"),
    "utf-16": (FLOWERS.encode("utf-16"), "species"),
    "utf-16 without a mark": (FLOWERS.encode("utf-16-le"), "species"),
    "utf-32": (FLOWERS.encode("utf-32"), "species"),
    "gzip": (gzip.compress(FLOWERS.encode()), "species"),
    "row names of pandas": (joined([[str(n or ""), *row] for n, row in enumerate(ROWS)]), "species"),
    "row names of R": (joined([ROWS[0], *(["a", *row] for row in ROWS[1:])]), "species"),
    "blank lines": (FLOWERS.replace("\n", "\n\n"), "species"),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_the_same(form, read):
    content, target = FORMS[form]
    data = read(content, target)
    np.testing.assert_array_equal(host(data.inputs), np.float32(X))
    assert (host(data.targets).tolist(), data.class_names) == (Y, NAMES)


def test_what_pandas_writes_is_read(read):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=50), 1: rng.integers(0, 9, 50), "b, c": rng.random(50) > 0.5}
    )
    frame["price"] = rng.normal(size=50)
    for options in ({}, {"index": False}, {"sep": ";"}, {"quoting": 1}):
        data = read(frame.to_csv(**options), "price")
        np.testing.assert_array_equal(host(data.inputs), frame[["a", 1, "b, c"]].to_numpy(np.float32))
        np.testing.assert_array_equal(host(data.targets), frame["price"].to_numpy(np.float32))
        assert (data.feature_names, data.task) == (("a", "1", "b, c"), "regression")


@pytest.mark.parametrize(
    ("fields", "options", "task", "names", "targets"),
    [
        (["0", "1", "1"], {}, "classification", ("0", "1"), [0, 1, 1]),
        (["3", "10", "3.0"], {}, "classification", ("3", "10"), [0, 1, 0]),
        (["True", "False", "True"], {}, "classification", ("False", "True"), [1, 0, 1]),
        (["NA", "b", "b"], {}, "classification", ("NA", "b"), [0, 1, 1]),
        (["1_0", "2", "2"], {}, "classification", ("1_0", "2"), [0, 1, 1]),
        (["1.5", "2", "2"], {}, "regression", None, [1.5, 2, 2]),
        (["1", "2", "3"], {}, "regression", None, [1, 2, 3]),  # each value once
        (["1", "2", "3"], {"task": "classification"}, "classification", ("1", "2", "3"), [0, 1, 2]),
        (
            ["2", "10", "inf"],
            {"task": "classification"},
            "classification",
            ("10", "2", "inf"),
            [1, 0, 2],
        ),
        (["0", "1", "1"], {"task": "regression"}, "regression", None, [0, 1, 1]),
        (["b", "b", "b"], {"class_names": ["b", "a"]}, "classification", ("b", "a"), [0, 0, 0]),
        (["1", "1", "0"], {"class_names": ["cat", "dog"]}, "classification", ("cat", "dog"), [1, 1, 0]),
        (["3", "3", "8"], {"class_names": ["8", "3"]}, "classification", ("8", "3"), [1, 1, 0]),
    ],
)
def test_the_task_follows_the_target(read, fields, options, task, names, targets):
    data = read("x,y\n" + "".join(f"1,{each}\n" for each in fields), "y", **options)
    assert (data.task, data.class_names) == (task, names)
    assert host(data.targets).tolist() == targets
    assert data.targets.dtype == (np.int64 if task == "classification" else np.float32)


def test_a_binary_target_is_as_the_binary_losses_take_it(backend, read):
    data = read("x,y\n1,yes\n2,no\n3,yes\n", "y", task="binary")
    assert (data.task, data.class_names) == ("binary", ("no", "yes"))
    assert (host(data.targets).tolist(), data.targets.dtype) == ([1, 0, 1], np.float32)
    assert read("x,y\n1,yes\n2,no\n", ["y"], task="binary").targets.shape == (2, 1)


def test_several_columns_of_0_and_1_are_labels(backend, read):
    data = read("x,big,red\n1,0,1\n2,true,0\n3,1,1\n", ["big", "red"])
    assert (data.task, data.class_names, data.target_name) == ("multilabel", ("big", "red"), "big, red")
    np.testing.assert_array_equal(host(data.targets), np.float32([[0, 1], [1, 0], [1, 1]]))
    assert read("x,big,red\n1,0,2\n2,1,0\n", ["big", "red"]).task == "regression"


def test_new_rows_need_no_target(backend, read):
    train = read(FLOWERS, "species")
    new = read("width,more,length\n3.5,?,5.1\n", None, features=train.feature_names, name="new.csv")
    assert (new.targets, new.task, new.class_names) == (None, None, None)
    np.testing.assert_array_equal(host(new.inputs), np.float32([[5.1, 3.5]]))


def test_some_rows_are_taken_by_the_seed(read):
    content = "x,y\n" + "".join(f"{n},{n + 0.5}\n" for n in range(100))
    some = [read(content, "y", take=5, seed=seed).targets.tolist() for seed in (1, 1, 2)]
    assert len(some[0]) == 5
    assert some[0] == some[1] != some[2]
    parts = [read(content, "y", take=80, valid_fraction=0.2, mode=mode) for mode in ("train", "valid")]
    assert [each.num_samples for each in parts] == [80, 20]


def test_many_whole_numbers_are_a_regression(read):
    content = "x,y\n" + "".join(f"{n},{n % 21}\n" for n in range(100))
    assert read(content, "y").task == "regression"
    assert read(content.replace(",20\n", ",0\n"), "y").task == "classification"


def test_features_several_targets_and_dtype(read):
    content = "length,width,depth\n5.1,3.5,1\n7,3.2,2\n6.3,3.3,3\n4.9,3,4\n"
    data = read(content, ["width", "length"], features=["depth"], dtype="float64")
    assert (data.inputs.shape, data.targets.shape, data.inputs.dtype) == ((4, 1), (4, 2), np.float64)
    np.testing.assert_array_equal(host(data.targets), np.array(X)[:, ::-1])
    assert data.target_name == "width, length"


def test_one_file_for_train_and_valid(read):
    content = "x,y\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(50))
    train, valid = (read(content, "y", valid_fraction=0.2, mode=mode) for mode in ("train", "valid"))
    assert (train.num_samples, valid.num_samples) == (40, 10)
    both = np.concatenate([host(train.inputs), host(valid.inputs)]).ravel()
    assert sorted(both) == list(range(50))
    with pytest.raises(sn.SettingError, match="valid_fraction is 2"):
        read(content, "y", valid_fraction=2)
    with pytest.raises(sn.DataError, match="both parts need one"):
        read(content, "y", valid_fraction=0.001)


LONG = "a,b,y\n" + "1,2,3\n" * 10_000


@pytest.mark.parametrize(
    ("content", "options", "line"),
    [
        ("", {}, "is empty; copy"),
        ("\n\n", {}, "has no rows"),
        ("a,y\n", {"target": "y"}, "has no rows below its header"),
        (
            FLOWERS,
            {"target": "sort"},
            "has no column 'sort'. Its columns are 'length', 'width', 'species'",
        ),
        (FLOWERS, {"target": 3}, "has no column 3; it has 3, from 0 on"),
        (
            "a,a,y\n1,2,3\n",
            {"target": "a"},
            "has 2 columns 'a'; rename one, or give the column's number",
        ),
        ("y\n1\n", {"target": "y"}, "has no columns besides the target, 'y'; .* separated at ','"),
        (FLOWERS, {"target": ["length", "length"]}, "column 'length' is given twice; give it once"),
        (FLOWERS, {"features": ["width", "width"]}, "column 'width' is given twice"),
        ("a,y\n1,2\n1e300,3\n", {}, "row 3, column 'a': 1e.300 is too large for float32; scale"),
        ("a,y\n1,2.5\n1,3e38\n1,4e38\n", {}, "row 4, column 'y': 4e.38 is too large for float32"),
        ("a;y\n1;0,5\n2;1,5\n", {}, "row 2, column 'y': '0,5' has a decimal comma"),
        (FLOWERS, {"target": 0, "features": [0, 1]}, "column 'length' is the target and one of the"),
        ("a,b,c,y\n1,x,u,3\n2,y,v,4\n", {}, "text in columns 'b', 'c'; name the columns of numbers"),
        ("a,b,y\n1,2,3\n1,2\n", {}, "row 3 has 2 fields; 3 were expected"),
        ("a,b,y\n1,2,3\n1,,3\n", {}, "row 3, column 'b': '' is missing or not finite; remove such rows"),
        ("a,b,y\n1,2,3\n1,NA,3\n", {}, "row 3, column 'b': 'NA' is missing"),
        ("a,b,y\n1,2,3\n1,inf,3\n", {}, "row 3, column 'b': 'inf' is missing or not finite"),
        (LONG + "1,x,3\n", {}, "row 10002, column 'b': 'x' is no number; correct it"),
        (LONG + "1_0,2,3\n", {}, "row 10002, column 'a': '1_0' is no number"),
        (
            "a;b;y\n1,5;2;3\n2,5;3;4\n",
            {},
            "row 2, column 'a': '1,5' has a decimal comma; .* points: 1.5",
        ),
        ("a,y\n1,0.5\n2,\n", {}, "row 3, column 'y': '' is no number"),
        ("a,y\n1,x\n2,y\n3,z\n", {"task": "binary"}, "column 'y' has 3 classes; a binary task has 2"),
        (
            "a,y\n1,0\n2,3\n",
            {"target": ["y"], "task": "multilabel"},
            "row 3, column 'y': '3' is neither 0",
        ),
        ("a,y\n1,0\n2,0\n3,nan\n", {"task": "classification"}, "row 4, column 'y': 'nan' has no class"),
        ("a,y\n1,cat\n2,\n", {}, "row 3, column 'y': '' has no class"),
        (
            "a,y\n1,cat\n2,emu\n",
            {"class_names": ["cat", "dog"]},
            "row 3, column 'y': 'emu' is not one of",
        ),
        ("a,y\n1,0\n2,2\n", {"class_names": ["cat", "dog"]}, "row 3, column 'y': '2' is not one of"),
        (
            "a,y\n1,4\n1,3\n",
            {"class_names": ["3", "5"]},
            "row 2, column 'y': '4' is not one of .*: 3, 5",
        ),
        (
            b"a,y\n1,caf\xe9\n",
            {},
            "row 2 is not utf-8 text; save it as UTF-8, or give encoding=, for example 'cp1252'",
        ),
        ('a,y\n"1\n1",2\n3,4\n', {}, r"column 'a'.*'1\\n1' is no number"),
        ('a,y\n1,"' + "x" * 200_000 + '"\n', {}, "row 2: field larger than field limit"),
        (
            FLOWERS.encode("utf-16-le"),
            {"encoding": "utf-16"},
            "cannot be decoded as utf-16: .* BOM; leave encoding= out, or give .* 'utf-16-le'",
        ),
    ],
    ids=range(33),
)
def test_a_bad_table_is_one_clear_line(read, content, options, line):
    with pytest.raises(sn.DataError, match=line) as caught:
        read(content, **options)
    assert "flowers.csv: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"task": "guess"}, "task is 'guess'"),
        ({"delimiter": ";;"}, "delimiter is ';;'"),
        ({"features": "length"}, r"features is 'length'; give a list: \['length'\]"),
        ({"features": 0}, r"features is 0; give a list: \[0\]"),
        ({"target": 1.5}, "target is 1.5"),
        ({"target": ["width", "length"], "task": "classification"}, "give one target column"),
        ({"target": ["width", "length"], "task": "binary"}, "give one target column"),
        ({"take": 0}, "take is 0; it must be a positive integer"),
        ({"class_names": ["a", "a"]}, "has a name twice"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
    ids=str,
)
def test_settings_out_of_range(read, options, line):
    with pytest.raises(sn.SettingError, match=line):
        read(FLOWERS, **options)


@pytest.mark.parametrize("delimiter", [None, ","])
@pytest.mark.parametrize(
    "encoding",
    ["cp1525", "undefined", "idna", "punycode", "hex", "utf-8\0", "\ud800", 5, b"utf-8"],
    ids=repr,
)
def test_what_is_no_text_encoding_is_refused(read, encoding, delimiter):
    line = f"^encoding is {re.escape(repr(encoding))}; give the name of a text encoding"
    with pytest.raises(sn.SettingError, match=line):
        read(FLOWERS, encoding=encoding, delimiter=delimiter)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"class_names": 5}, r"class_names is 5; give a list, such as \['cat', 'dog'\]"),
        ({"class_names": 5, "target": None}, "class_names is 5; give a list"),
        ({"class_names": np.array(5)}, r"class_names is array\(5\); give a list"),
        ({"class_names": "abc"}, "class_names is text; give a list"),
        ({"dtype": "nope"}, "dtype is 'nope'; it must be float16, float32, float64, or None"),
        ({"dtype": "f4,("}, r"dtype is 'f4,\('; it must be float16"),
        ({"dtype": "(9999999999,)f4"}, r"dtype is '\(9999999999,\)f4'; it must be float16"),
    ],
    ids=str,
)
def test_class_names_and_dtype_are_checked_as_in_other_loaders(read, options, line):
    with pytest.raises(sn.OperandError, match=f"^CsvDataLoader: {line}"):
        read(FLOWERS, **options)


@pytest.mark.parametrize("listed", [pd.Index, np.array, iter], ids=["index", "array", "iterator"])
def test_features_may_be_any_list(read, listed):
    data = read(FLOWERS, "species", features=listed(["width", "length"]))
    np.testing.assert_array_equal(host(data.inputs), np.float32(X)[:, ::-1])


def test_row_names_below_a_header_of_numbers(read):
    data = read("1,2\na,3,0.5\nb,5,1.5\n", -1)
    assert (host(data.inputs).tolist(), data.feature_names) == ([[3], [5]], ("1",))


def test_two_rows_show_what_separates_their_columns(read):
    data = read("a;b;y\n1;2;3\n")
    assert (host(data.inputs).tolist(), data.feature_names) == ([[1, 2]], ("a", "b"))
    data = read("a;b\nx;2;3\ny;5;6\n")  # and rows that have names
    assert (host(data.inputs).tolist(), data.feature_names) == ([[2], [5]], ("a",))


def test_columns_separated_by_blanks(read):
    data = read("a  b y\n 1 2   3\n4 5  6\n", "y", delimiter=" ")
    assert host(data.inputs).tolist() == [[1, 2], [4, 5]]


def test_the_row_of_a_bad_character_in_a_long_file(read):
    with pytest.raises(sn.DataError, match="row 10002 is not utf-8"):
        read(LONG.encode() + b"1,2,\xe9\n")


def test_an_encoding_and_a_file_that_is_not_there(read, tmp_path):
    assert read("a,y\n1,café\n2,thé\n".encode("cp1252"), encoding="cp1252").class_names == (
        "café",
        "thé",
    )
    with pytest.raises(sn.DataNotFoundError, match=r"none\.csv: no such file"):
        sn.CsvDataLoader(tmp_path / "none.csv", "y")


def test_images_whose_label_is_last_are_read_as_a_table(read):
    data = read("1x1,1x2,label\n0,255,7\n3,4,7\n", "label")
    assert (data.inputs.shape, data.class_names) == ((2, 2), ("7",))


def test_a_row_that_counts_columns_or_years_is_a_header(read):
    rows = "\n1,2,0.5\n3,4,1.5\n"
    for first, names in {"0,1,2": ("0", "1"), "2020,2021,2022": ("2020", "2021")}.items():
        loader = read(first + rows, -1)
        assert (loader.has_header, loader.feature_names, loader.num_samples) == (True, names, 2)
    assert not read("1,2,3\n4,5,6\n", -1).has_header


def test_classes_0_and_minus_0_are_one(read):
    assert read("a,y\n1,0\n2,-0\n3,1\n", "y").class_names == ("0", "1")
