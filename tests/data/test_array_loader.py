"""ArrayDataLoader: what a user has becomes batches, and what does not fit is named."""

import warnings

import numpy as np
import pandas as pd
import pytest
from arrays import host
from needed import needs

import backends
import scratchnet as sn
from backends import to_device, xp


def batches(loader):
    return [[host(part) for part in batch] for batch in loader]


def seen(loader):
    """Return the inputs of a pass, as one array."""
    return np.concatenate([host(x) for x, *_ in loader])


def test_lists_arrays_and_tables_are_the_same_data(backend):
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype="float32")
    host_array = np.array(rows, "float32")
    for given in (rows, host_array, to_device(host_array), frame, sn.Variable(to_device(host_array))):
        ((x, y),) = sn.ArrayDataLoader(given, [0, 1, 1], 3, shuffle=False)
        assert isinstance(x.data, type(xp.zeros(1)))
        np.testing.assert_array_equal(host(x), host_array)
        assert host(y).tolist() == [0, 1, 1]
        assert x.dtype == np.float32
        assert not x.requires_grad


@pytest.mark.parametrize("dtype", [">f4", ">f8", "longdouble", object])
def test_numbers_in_another_form_are_the_same_numbers(backend, dtype):
    rows = np.arange(6).reshape(3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sn.PrecisionWarning)
        given = (rows + 0.5).astype(dtype)
        ((x, y),) = sn.ArrayDataLoader(given, rows[:, 0].astype(">i8"), 3, shuffle=False)
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert x.dtype.isnative
    assert y.dtype.isnative
    np.testing.assert_array_equal(host(x), rows + 0.5)
    ((_, y),) = sn.ArrayDataLoader(rows, rows[:, 0].astype(object), 3, shuffle=False)
    assert host(y).tolist() == [0, 2, 4]
    assert y.dtype == np.int64


def test_a_sparse_matrix_is_told_its_fix():
    sparse = needs("scipy.sparse").eye_array(2)
    with pytest.raises(sn.OperandError, match=r"inputs is a dia_array; give inputs\.toarray\(\)"):
        sn.ArrayDataLoader(sparse)


def test_columns_of_one_name_are_both_taken():
    frame = pd.DataFrame([[1, 2, 3], [4, 5, 6]], columns=["a", "b", "a"])
    for each in (frame, frame[["a"]]):
        ((x, _),) = sn.ArrayDataLoader(each, batch_size=2, shuffle=False)
        np.testing.assert_array_equal(host(x), each.to_numpy())


def test_integers_of_a_table_become_the_dtype_at_once():
    ((x, _),) = sn.ArrayDataLoader(pd.DataFrame({"a": [2**24 + 1]}), batch_size=1, dtype="float64")
    assert host(x).tolist() == [[2**24 + 1]]


@pytest.mark.parametrize("shuffle", [True, "batches", False])
def test_a_batch_size_of_few_bits_counts_all_samples(shuffle):
    loader = sn.ArrayDataLoader(np.ones((500, 1), "f4"), batch_size=np.uint8(200), shuffle=shuffle)
    assert [len(x) for x, _ in loader] == [200, 200, 100]


def test_columns_are_inputs_by_name_and_a_tuple_is_several(backend):
    data = {"age": np.arange(4, dtype="float32"), "word": np.arange(8).reshape(4, 2)}
    (x, y), *_ = sn.ArrayDataLoader(
        data, (np.arange(4.0, dtype="float32"), [0, 1, 0, 1]), 2, shuffle=False
    )
    assert {name: host(each).tolist() for name, each in x.items()} == {
        "age": [0, 1],
        "word": [[0, 1], [2, 3]],
    }
    assert x["word"].dtype.kind == "i"
    assert [host(each).tolist() for each in y] == [[0.0, 1.0], [0, 1]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint8", "int64", "bool"])
def test_any_other_dtype_stays(backend, dtype):
    x = np.ones((4, 2, 3, 1), dtype)
    (batch, y), _ = sn.ArrayDataLoader(x, x, 2)
    assert (batch.dtype, y.dtype, batch.shape) == (np.dtype(dtype), np.dtype(dtype), (2, 2, 3, 1))


def test_float64_becomes_float32_and_says_so_once(backend):
    frame = pd.DataFrame({"a": [0.5, 1.0], "n": [1, 2]})
    with pytest.warns(sn.PrecisionWarning, match="inputs and targets of float64 became float32") as told:
        ((x, y),) = sn.ArrayDataLoader(frame, np.array([0.5, 1]), 2)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert x.dtype == y.dtype == np.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ((x, y),) = sn.ArrayDataLoader(frame, np.array([0.5, 1]), 2, dtype="float64")
        sn.ArrayDataLoader([[0.5]], [0.5])  # a list has no dtype that could be lost
    assert x.dtype == y.dtype == np.float64


def test_without_targets_there_are_none(backend):
    ((x, y),) = sn.ArrayDataLoader(np.ones((3, 2), "float32"), batch_size=3)
    assert y is None
    assert x.shape == (3, 2)


@pytest.mark.parametrize("shuffle", [True, "samples", "batches", False, None])
def test_a_pass_has_each_sample_once(backend, shuffle):
    x = np.arange(10, dtype="float32")
    loader = sn.ArrayDataLoader(x, x, 4, shuffle=shuffle)
    first, second = seen(loader), seen(loader)
    assert sorted(first) == sorted(second) == x.tolist()
    assert (first.tolist() == second.tolist()) == (not shuffle)
    assert seen(loader.in_order()).tolist() == x.tolist()
    pairs = batches(loader)
    assert all((a == b).all() for a, b in pairs)
    if shuffle == "batches":
        assert pairs[-1][0].tolist() == [8, 9]


def test_every_sample_is_drawn_anew_in_each_pass():
    loader = sn.ArrayDataLoader(np.arange(64, dtype="float32"), batch_size=8)
    sets = [{frozenset(host(x).tolist()) for x, _ in loader} for _ in range(3)]
    assert not sets[0] & sets[1]
    again = sn.ArrayDataLoader(np.arange(64, dtype="float32"), batch_size=8)
    assert {frozenset(host(x).tolist()) for x, _ in again} == sets[0]


def test_a_dropped_batch_is_still_evaluated(backend):
    loader = sn.ArrayDataLoader(np.arange(10, dtype="float32"), batch_size=4, drop_last=True)
    assert (len(loader), loader.num_samples) == (2, 10)
    assert [len(x) for x, _ in loader] == [4, 4]
    assert len(seen(loader.in_order())) == 10


@pytest.mark.parametrize("shuffle", [True, "batches", False])
def test_a_pass_goes_on_where_it_stopped(backend, shuffle):
    make = lambda: sn.ArrayDataLoader(np.arange(11, dtype="float32"), batch_size=2, shuffle=shuffle)  # noqa: E731
    whole, broken = make(), make()
    for each in (whole, broken):
        list(each)
    expected = batches(whole)
    started = iter(broken)
    begun = [[host(p) for p in next(started)] for _ in range(2)]
    other = make()
    other.load_state_dict(broken.state_dict())
    found = begun + [[host(p) for p in batch] for batch in other.rest(2)]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a[0], b[0])


def test_weights_come_third(backend):
    ((_, _, w),) = sn.ArrayDataLoader(
        np.ones((3, 1), "float32"), [0, 1, 0], 3, weights=[1, 0, 2], shuffle=False
    )
    assert host(w).tolist() == [1, 0, 2]
    assert w.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "error", "line"),
    [
        ({"targets": [1, 2, 3]}, sn.ShapeError, "inputs have 2 samples and targets 3"),
        ({"weights": [1.0]}, sn.ShapeError, "inputs have 2 samples and weights 1"),
        ({"inputs": {"a": [1.0, 2.0], "b": [1.0]}}, sn.ShapeError,
         r"inputs\['a'\] have 2 samples and inputs\['b'\] 1"),
        ({"weights": [-1.0, 1]}, sn.DataError, "weights must be numbers from 0 on"),
        ({"weights": [0.0, 0]}, sn.DataError, "not all 0"),
        ({"inputs": [[1.0, 2], [3.0, np.nan]]}, sn.DataError, "nan in row 1, column 1"),
        ({"inputs": [[1.0, 2], [np.inf, 3]]}, sn.DataError, "inf in row 1, column 0"),
        ({"inputs": np.array([[1.0], [1e300]])}, sn.DataError, "inf in row 1, column 0"),
        ({"targets": [1.0, 1e5], "dtype": "float16"}, sn.DataError, "targets has inf in row 1"),
        ({"inputs": pd.DataFrame({"a": [1.0, 2], "b": [np.nan, 1]})}, sn.DataError,
         "nan in row 0, column 'b'"),
        ({"targets": [1.0, np.nan]}, sn.DataError, "targets has nan in row 1"),
        ({"inputs": pd.DataFrame({"a": [1.0, 2], "b": ["x", "y"], "c": ["p", "q"]})}, sn.OperandError,
         "without numbers: 'b', 'c'; encode"),
        ({"inputs": pd.DataFrame({"a": [1.0, None], "when": pd.to_datetime(["2020", "2021"])})},
         sn.OperandError, "'when'"),
        ({"targets": ["cat", "dog"]}, sn.OperandError, r"text, such as 'cat'.*numpy\.unique"),
        ({"targets": pd.Series(["cat", "dog"])}, sn.OperandError, r"text, such as 'cat'.*numpy\.unique"),
        ({"targets": np.array(["cat", "dog"])}, sn.OperandError, r"text, such as 'cat'.*numpy\.unique"),
        ({"targets": np.ma.array([1, 2], mask=[0, 1])}, sn.DataError, "targets has nan in row 1"),
        ({"inputs": [[1.0], [2.0, 3.0]]}, sn.ShapeError,
         r"sample 0 has shape \(1,\) and sample 1 \(2,\)"),
        ({"inputs": 3.0}, sn.ShapeError, "first axis must count samples"),
        ({"inputs": [], "targets": None}, sn.DataError, "no samples"),
        ({"inputs": {}, "targets": None}, sn.DataError, "no array"),
        ({"inputs": np.array([1j, 2])}, sn.OperandError, "real numbers"),
        ({"class_names": ["a"]}, sn.DataError, "label 1 has no name"),
        ({"class_names": "ab"}, sn.OperandError, "class_names is text"),
        ({"class_names": 2}, sn.OperandError, r"class_names is 2; give a list"),
        ({"batch_size": 0}, sn.SettingError, "batch_size is 0"),
        ({"batch_size": True}, sn.SettingError, "batch_size is True"),
        ({"shuffle": "sample"}, sn.SettingError, "shuffle is 'sample'"),
        ({"shuffle": 1}, sn.SettingError, "shuffle is 1"),
        ({"drop_last": True, "batch_size": 3}, sn.SettingError, "no batch is left"),
        ({"mode": "test"}, sn.SettingError, "mode is 'test'"),
        ({"dtype": "int64"}, sn.OperandError, "dtype is 'int64'"),
        ({"dtype": "longdouble"}, sn.OperandError, "dtype is 'longdouble'"),
        ({"dtype": "floats"}, sn.OperandError, "dtype is 'floats'"),
        ({"transform": 3}, sn.OperandError, "transform is a int"),
    ],
)  # fmt: skip
def test_a_fault_is_one_clear_line_of_arrays(change, error, line):
    given = {"inputs": [[1.0, 2.0], [3.0, 4.0]], "targets": [0, 1], "batch_size": 2} | change
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", sn.PrecisionWarning)
        with pytest.raises(error, match=line) as told:
            sn.ArrayDataLoader(**given)
    assert "\n" not in str(told.value)


def test_a_function_transforms_each_batch_in_training_and_evaluation(backend):
    loader = sn.ArrayDataLoader(
        np.arange(4, dtype="float32"), [1, 2, 3, 4], 2, shuffle=False,
        transform=lambda x: 2 * x, target_transform=lambda y: y - 1,
    )  # fmt: skip
    for each in (loader, loader.in_order()):
        (x, y), _ = each
        assert (host(x).tolist(), host(y).tolist()) == ([0, 2], [0, 1])


def augmented(shuffle=True, mode="train", **options):
    rng = np.random.default_rng(0)
    images = rng.random((40, 1, 6, 6), "float32")
    augment = sn.transforms.Compose(
        [
            sn.transforms.RandomCrop(6, padding=2),
            sn.transforms.RandomHorizontalFlip(),
            lambda x: x.reshape(len(x), -1),
        ]
    )
    augment.transforms[-1].capturable = True
    return sn.ArrayDataLoader(
        images, np.arange(40) % 3, 8, shuffle=shuffle, transform=augment, **options
    )


def test_random_transforms_depend_on_seed_pass_and_batch(backend):
    first, second = augmented(), augmented()
    passes = [[batches(each) for _ in range(2)] for each in (first, second)]
    for one, two in zip(passes[0], passes[1], strict=True):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a[0], b[0])
    resumed = augmented()
    resumed.load_state_dict({**first.state_dict(), "passes": 2})
    for a, b in zip(
        [[host(p) for p in batch] for batch in resumed.rest(3)], passes[0][1][3:], strict=True
    ):
        np.testing.assert_array_equal(a[0], b[0])
    still = augmented(shuffle=False)
    (a, *_), (b, *_) = batches(still), batches(still)
    assert not np.array_equal(a[0], b[0])  # another pass draws other numbers
    other = next(iter(augmented(shuffle=False, seed=5)))[0]
    assert not np.array_equal(host(other), a[0])
    np.testing.assert_array_equal(host(next(still.in_order())[0]), host(still.inputs[:8]).reshape(8, -1))


def test_a_pass_keeps_its_draws_when_another_one_begins(backend):
    def make():
        images = np.random.default_rng(0).random((12, 1, 5, 5), "f4")
        return sn.ArrayDataLoader(images, batch_size=4, transform=sn.transforms.RandomCrop(3))

    loader = make()
    expected = [seen(loader), seen(loader)]
    loader = make()
    for found, whole in zip(zip(*zip(loader, loader, strict=True), strict=True), expected, strict=True):
        np.testing.assert_array_equal(seen(found), whole)


def test_loaders_may_share_a_random_transform(backend):
    images, crop = np.random.default_rng(0).random((12, 1, 5, 5), "f4"), sn.transforms.RandomCrop(3)
    expected = seen(sn.ArrayDataLoader(images, batch_size=4, transform=crop, seed=1))
    loader = sn.ArrayDataLoader(images, batch_size=4, transform=crop, seed=1)
    sn.ArrayDataLoader(images, batch_size=4, transform=crop, seed=2)
    np.testing.assert_array_equal(seen(loader), expected)


@pytest.mark.parametrize("shuffle", [True, "batches", False])
def test_a_captured_epoch_has_the_bits_of_single_steps_with_random_transforms(backend, shuffle):
    def trained(capture):
        data, net = augmented(shuffle), sn.Linear(36, 3, 0)
        metrics = sn.MetricsCollector(data, None, sn.softmax_loss, capture)
        learner = sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics, capture)
        learner.fit(5, None)
        return host(net.weight), learner

    (captured, learner), (plain, _) = trained(True), trained(False)
    np.testing.assert_array_equal(captured, plain)
    assert learner.replay.how == ("one launch" if backends.active().captures else "step by step")


def test_a_transform_of_the_user_s_own_is_not_captured_unless_it_says_so(backend):
    data = sn.ArrayDataLoader(np.ones((4, 2), "float32"), [0, 1, 0, 1], 2, transform=lambda x: 2 * x)
    assert not data.lies_still
    data = sn.ArrayDataLoader(
        np.ones((4, 2), "float32"), [0, 1, 0, 1], 2, transform=sn.transforms.Standardize(0, 1)
    )
    assert data.lies_still


def test_an_object_that_gives_no_array_is_refused_with_its_own_words():
    class NeedsDetach:
        shape = (2, 3)

        def __array__(self, *_, **__):
            raise RuntimeError("call detach() first")  # as a tensor of PyTorch does

    with pytest.raises(sn.OperandError, match=r"inputs is no array: .*call detach\(\) first"):
        sn.ArrayDataLoader(NeedsDetach(), [0, 1], 2)
