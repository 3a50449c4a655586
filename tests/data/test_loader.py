"""DataLoader: data sets larger than memory, in batches, with workers or without."""

from inspect import signature

import numpy as np
import pytest
from arrays import host

import backends
import scratchnet as sn
from scratchnet.data.batches import as_batch


class Squares(sn.Dataset):
    class_names = ("even", "odd")
    source = "squares"

    def __init__(self, samples=37):
        self.samples = samples

    def __len__(self):
        return self.samples

    def __getitem__(self, index):
        return np.float32([index, index**2]), index % 2


class Windows(Squares):
    window = 4

    def batch(self, indices):
        return np.stack([indices, indices**2], axis=1).astype("float32"), indices % 2


def batches(loader):
    return [[host(part) for part in batch] for batch in loader]


def same(one, other):
    for a, b in zip(one, other, strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("shuffle", [True, "batches", False])
@pytest.mark.parametrize("dataset", [Squares(), Windows()])
def test_the_batches_are_the_same_for_any_number_of_workers(backend, dataset, shuffle):
    plain = sn.DataLoader(dataset, 5, shuffle=shuffle)
    ahead = sn.DataLoader(dataset, 5, shuffle=shuffle, workers=3)
    assert (len(plain), plain.num_samples, plain.class_names, plain.source) == (
        8,
        37,
        ("even", "odd"),
        "squares",
    )
    for _ in range(2):
        first = batches(plain)
        same(batches(ahead), first)
        assert sorted(x for batch in first for x in batch[0][:, 0]) == list(range(37))
    same(batches(ahead.in_order()), batches(sn.DataLoader(dataset, 5, shuffle=False)))


def test_a_list_of_samples_is_a_data_set(backend):
    samples = [(np.float32([n]), n) for n in range(5)]
    assert [host(y).tolist() for _, y in sn.DataLoader(samples, 2, shuffle=False)] == [
        [0, 1],
        [2, 3],
        [4],
    ]


def test_windows_mix_the_samples_of_a_few_neighbours():
    order = np.concatenate([b[0][:, 0] for b in batches(sn.DataLoader(Windows(400), 10))]).astype(int)
    assert sorted(order) == list(range(400))
    groups = [len({index // 4 for index in order[start : start + 32]}) for start in range(0, 400, 32)]
    assert max(groups) == 8  # windows of 4, and 8 of them at a time
    assert (np.diff(order) != 1).mean() > 0.9


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_stopped_in_an_epoch_goes_on_with_the_same_bits(backend, tmp_path, workers):
    def learner():
        net = sn.Linear(2, 2, 0)
        data = sn.DataLoader(
            Squares(), 5, workers=workers, transform=sn.transforms.Standardize([18, 400], [10, 400])
        )
        metrics = sn.MetricsCollector(None, data, sn.softmax_loss, capture=False)
        return sn.Learner(
            data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics, capture=False
        )

    class Stop(sn.Callback):
        def on_batch_end(self, batch, logs):
            if self.learner.epochs == 1 and batch == 3:
                self.learner.stop()

    whole, stopped, resumed = learner(), learner(), learner()
    whole.fit(3, None)
    stopped.fit(3, None, tmp_path / "c", callbacks=[Stop()])
    assert (stopped.epochs, stopped.batches_done) == (1, 4)
    resumed.resume(tmp_path / "c")
    resumed.fit(2, None)
    for a, b in zip(whole.net.parameters(), resumed.net.parameters(), strict=True):
        np.testing.assert_array_equal(host(a), host(b))
    assert whole.history["valid_loss"] == resumed.history["valid_loss"]


def test_an_error_in_a_worker_names_the_sample():
    class Broken(Squares):
        def __getitem__(self, index):
            if index == 11:
                raise ValueError("no such thing")
            return super().__getitem__(index)

    for workers in (0, 2):
        with pytest.raises(sn.DataError, match="sample 11: ValueError: no such thing"):
            list(sn.DataLoader(Broken(), 5, workers=workers))


@pytest.mark.parametrize(
    ("given", "options", "error", "line"),
    [
        (3, {}, sn.OperandError, "dataset is a int; it must have len"),
        (None, {}, sn.OperandError, "dataset is a NoneType"),
        (Squares, {}, sn.OperandError, "dataset is the class Squares; it must have len"),
        ([], {}, sn.DataError, "list: no samples"),
        (Squares(), {"workers": -1}, sn.SettingError, "workers is -1"),
        (Squares(), {"workers": True}, sn.SettingError, "workers is True"),
        (Squares(), {"worker_type": "fork"}, sn.SettingError, "worker_type is 'fork'"),
        (Squares(), {"batch_size": 0}, sn.SettingError, "batch_size is 0"),
        (Squares(), {"mode": "test"}, sn.SettingError, "mode is 'test'"),
        (Squares(), {"transform": 1}, sn.OperandError, "transform is a int"),
    ],
)
def test_a_fault_is_one_clear_line_of_the_loader(given, options, error, line):
    with pytest.raises(error, match=line) as told:
        sn.DataLoader(given, **options)
    assert "\n" not in str(told.value)


def test_the_data_of_another_run_are_refused(tmp_path):
    state = sn.DataLoader(Squares(), 5).state_dict()
    with pytest.raises(sn.CheckpointError, match="samples 37, these are squares with samples 20"):
        sn.DataLoader(Squares(20), 5).load_state_dict(state)


def test_a_loader_of_one_s_own_says_what_it_lacks():
    class Lengthless(sn.DataLoader):
        def __iter__(self):
            yield np.ones((2, 1), "float32"), [0, 1]

    with pytest.raises(NotImplementedError, match="Lengthless must define __len__"):
        len(Lengthless())
    with pytest.raises(sn.CheckpointError, match="has no load_state_dict"):
        Lengthless().load_state_dict({"passes": 3})
    assert Lengthless().state_dict() == {}
    assert not Lengthless().lies_still


def test_a_loader_without_batches_is_an_error_as_soon_as_it_is_read():
    net = sn.Linear(2, 2, 0)
    learner = sn.Learner([], net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)
    with pytest.raises(sn.DataError, match="fit: the training loader has no batches; give at least one"):
        learner.fit(1, None)
    with pytest.raises(sn.DataError, match="batches"):
        sn.MetricsCollector(None, [], sn.softmax_loss).evaluate(net)


def test_the_arrays_of_a_batch_may_have_another_byte_order(backend):
    x, y = as_batch((np.ones((2, 1), ">f4"), np.array([0, 1], ">i8")))
    assert (x.dtype, y.dtype) == (np.dtype("f4"), np.dtype("i8"))
    assert host(y).tolist() == [0, 1]


def test_a_batch_of_uneven_lists_is_one_clear_line():
    with pytest.raises(sn.OperandError, match=r"yielded a list that is no array: .*inhomogen"):
        as_batch(([[1.0], [2.0, 3.0]], [0, 1]))


def test_batches_are_on_the_active_backend(backend):
    x, y = next(iter(sn.DataLoader(Squares(), 5, workers=1)))
    assert isinstance(x.data, backends.active().array_type)
    assert isinstance(y.data, backends.active().array_type)
    assert (x.dtype, y.dtype.kind) == (np.float32, "i")


LOADERS = [
    sn.FashionMnistDataLoader, sn.MnistDataLoader, sn.Cifar10DataLoader, sn.Cifar100DataLoader,
    sn.CsvDataLoader, sn.ImageFolder, sn.ArrayDataLoader, sn.DataLoader, sn.StreamingDataLoader,
]  # fmt: skip


@pytest.mark.parametrize("loader", LOADERS)
def test_a_run_without_a_seed_is_that_of_the_original(loader):
    assert signature(loader).parameters["seed"].default == 231
