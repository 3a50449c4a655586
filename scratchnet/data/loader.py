"""The base class of loaders, which also reads a `Dataset` or any iterable in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import cached_property, partial
from itertools import islice, tee
from typing import Any

import numpy as np

from backends.boundary import copier
from scratchnet.core.share import part, rows_of
from scratchnet.core.stateful import Stateful
from scratchnet.data.applied import Applied
from scratchnet.data.batches import Batch, as_batch, copy_ahead, in_shares, size_of
from scratchnet.data.order import Order, check_mode
from scratchnet.errors import CheckpointError, DataError, OperandError, SettingError
from scratchnet.layers.arguments import size


class DataLoader(Stateful):
    """Reads a data set in batches. It is also the base class of all loaders.

    A loader of your own is a subclass that defines `__iter__` and `__len__`, and does not call
    `super().__init__`. All other methods then have defaults. If its passes differ, for example because
    it shuffles, define `rest`, `state_dict` and `load_state_dict` too, and a resumed training run gets
    the same batches as one that never stopped.

    Args:
        dataset: has `len(dataset)` and `dataset[i]`; see `Dataset`.
        batch_size: the number of samples per batch. The last batch may be shorter.
        shuffle: True draws every sample anew in each pass. "batches" draws the order of batches that
            stay the same. False keeps the order of the data set.
        seed: for the order of each pass, and for random transforms.
        drop_last: whether training leaves out a last batch that is shorter. Evaluation never does.
        workers: the number of threads or processes that read batches, and copy them to the device, ahead
            of the training loop. 0 reads in the loop. The batches are the same for any number.
        worker_type: "thread" or "process". Threads read files and decode images at the same time. A data
            set that works in Python code needs processes, to which it is sent by pickle.
        transform: a function of a batch's inputs on the device; see `sn.transforms`. Random transforms
            act only in training.
        target_transform: the same for targets.
        mode: "train" or "valid".

    Attributes:
        mode: "train" or "valid".
        num_samples: the number of samples in a pass.
        num_batches: the number of batches in a training pass.
        centred: whether the mean was subtracted, if that matters.
        source: the name of the data, shown with results.
        class_names: the name of each class, if there are classes.

    Raises:
        OperandError: the data set has no length or no items.
        DataError: the data set is empty.
        SettingError: a setting is out of its range.
    """

    mode: str = "train"
    centred: bool = True
    source: str = ""
    class_names: tuple[str, ...] | None = None
    _order: Order | None = None

    def __init__(
        self,
        dataset: Any = None,
        batch_size: int = 32,
        *,
        shuffle: bool | str | None = True,
        seed: int = 231,
        drop_last: bool = False,
        workers: int = 0,
        worker_type: str = "thread",
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        mode: str = "train",
    ) -> None:
        if dataset is None and type(self).__iter__ is not DataLoader.__iter__:
            return  # a loader of the user's own
        is_class = isinstance(dataset, type)
        if is_class or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            given = f"the class {dataset.__name__}" if is_class else f"a {type(dataset).__name__}"
            raise OperandError(
                f"DataLoader: dataset is {given}; it must have len(dataset) and "
                "dataset[i], as sn.Dataset has; arrays go to sn.ArrayDataLoader"
            )
        size("DataLoader", "workers", workers, 0)
        if worker_type not in ("thread", "process"):
            raise SettingError(f'worker_type is {worker_type!r}; it must be "thread" or "process"')
        if not len(dataset):
            raise DataError(f"{type(dataset).__name__}: no samples; give at least one")
        self.dataset, self.workers, self.worker_type = dataset, int(workers), worker_type
        self.class_names = getattr(dataset, "class_names", None)
        self.source = getattr(dataset, "source", "")
        window = getattr(dataset, "window", None)
        self._begin(len(dataset), batch_size, seed, shuffle, drop_last, mode, window)
        self._applied = Applied(transform, target_transform, seed)

    def _begin(
        self,
        samples: int,
        batch_size: int,
        seed: int,
        shuffle: bool | str | None,
        drop_last: bool,
        mode: str,
        window: int | None = None,
    ) -> None:
        """Set the order of the passes, and the attributes that describe it."""
        check_mode(mode)
        self._order = Order(samples, batch_size, seed, shuffle, drop_last, window)
        self.batch_size, self.seed, self.shuffle, self.mode = int(batch_size), seed, shuffle, mode
        self.num_samples, self.num_batches = samples, self._order.num_batches

    def __iter__(self) -> Iterator[Batch]:
        """Yield one training pass. Its order depends on the seed and the number of earlier passes."""
        return self._pass(self._orders().next(), 0)

    def __len__(self) -> int:
        """Return the number of batches in a training pass."""
        set_by_a_subclass = type(self).num_batches is not DataLoader.num_batches
        if type(self).__len__ is DataLoader.__len__ and not set_by_a_subclass | (
            "num_batches" in vars(self)
        ):
            raise NotImplementedError(
                f"{type(self).__name__} must define __len__, its number of batches"
            )
        return self.num_batches

    @cached_property
    def num_batches(self) -> int:
        """The number of batches in a training pass."""
        return len(self)

    @cached_property
    def num_samples(self) -> int:
        """The number of samples. A loader that does not set it is read once to count them."""
        return sum(size_of(as_batch(batch)[0]) for batch in self.in_order())

    @property
    def num_evaluated(self) -> int:
        """The number of batches of `in_order`."""
        return len(self) if self._order is None else -(-self._order.samples // self._order.batch_size)

    def in_order(self) -> Iterator[Batch]:
        """Yield one pass for evaluation, of all samples. It does not change the order of training."""
        return iter(self) if self._order is None else self._evaluated(0, 1)

    def dealt(self, rank: int, ranks: int) -> Iterator[Batch]:
        """Yield those batches of `in_order` that belong to a rank: every `ranks`-th one."""
        if self._order is not None and type(self).in_order is DataLoader.in_order:
            return self._evaluated(rank, ranks)
        return islice(self.in_order(), rank, None, ranks)

    def _evaluated(self, rank: int, ranks: int) -> Iterator[Batch]:
        read = self._loaded(islice(self._orders().in_order(), rank, None, ranks))
        return (self._applied.in_evaluation(batch) for batch in read)

    def rest(self, done: int) -> Iterator[Batch]:
        """Yield the rest of the last pass, after this many batches.

        The default reads the first batches again and leaves them out. It is right for a loader whose
        passes are all the same.
        """
        if self._order is None:
            return islice(iter(self), done, None)
        self._order.passes -= 1
        return self._pass(self._order.next(), done)

    @property
    def lies_still(self) -> bool:
        """Whether all batches are views of arrays that stay where they are."""
        return False

    def resident(self) -> Any:
        """Return passes at fixed addresses, for capture. Defined if `lies_still`."""
        raise NotImplementedError(f"{type(self).__name__} must define resident()")

    def fingerprint(self) -> str:
        """Return what identifies the data: what `dataset.fingerprint()` says, if there is one."""
        say = getattr(getattr(self, "dataset", None), "fingerprint", None)
        return say() if say else ""

    def state_dict(self) -> dict[str, Any]:
        """Return the number of started passes, and what their orders and batches depend on."""
        return {} if self._order is None else {"passes": self._order.passes, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after this number of passes.

        Raises:
            CheckpointError: the state is of other data, or of other batches.
        """
        if self._order is None:
            if state:
                raise CheckpointError(
                    f"its loader kept {', '.join(state)}, and {type(self).__name__} has no "
                    "load_state_dict to go on from there; define it"
                )
            return
        for name, mine in self._identity().items():
            if state.get(name) != mine and name != "source":
                theirs, here = (
                    f"{each or 'data of no name'} with {name} {str(value)[:12]}"
                    for each, value in ((state.get("source"), state.get(name)), (self.source, mine))
                )
                raise CheckpointError(
                    f"its {self.mode} data are {theirs}, these are {here}; give those it was made with"
                )
        passes = state.get("passes")
        if type(passes) is not int or passes < 0:
            raise CheckpointError(f"its number of passes is {passes!r}")
        self._order.passes = passes

    def _identity(self) -> dict[str, Any]:
        order = self._orders()
        shuffle = "samples" if order.by_sample else "batches" if order.by_batch else None
        told: dict[str, Any] = {
            "source": self.source, "samples": order.samples, "batch size": order.batch_size,
            "shuffle": shuffle, "seed": order.seed, "fingerprint": self.fingerprint(),
        }  # fmt: skip
        return told | ({"drop_last": True} if order.drop_last else {})

    def _pass(self, order: np.ndarray | None, done: int) -> Iterator[Batch]:
        """Yield the training batches of a pass that has begun, after the first `done`."""
        orders, mine = self._orders(), part.get()
        indices = orders.index_batches(order, done)
        if mine is None:
            read = self._loaded(indices)
        else:
            indices, again = tee(indices)
            own = self._loaded(each[rows_of(mine.share(len(each)))] for each in indices)
            read = in_shares(mine, own, map(len, again))
        return self._applied.in_pass(orders.passes, read, done)

    def _loaded(self, orders: Iterable[np.ndarray]) -> Iterator[Batch]:
        """Yield the batches of these samples, without transforms."""
        from scratchnet.data.samples import load_samples
        from scratchnet.data.workers import read_ahead  # multiprocessing is heavy

        load, copy = partial(load_samples, self.dataset), partial(copy_ahead, copier())
        read = read_ahead(load, orders, self.workers, self.worker_type, copy)
        return (arrived() for arrived in read)

    def _orders(self) -> Order:
        if self._order is None:
            raise NotImplementedError(f"{type(self).__name__} must define __iter__")
        return self._order


class OwnLoader(DataLoader):
    """Gives the batches of an iterable with a length, such as a list of batches.

    Args:
        batches: yields (inputs, targets) or (inputs, targets, weights), of arrays or Variables.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, on the device."""
        return map(as_batch, self.batches)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)


def as_loader(given: Any) -> DataLoader:
    """Return a loader as it is, and any other iterable of batches as a loader.

    Raises:
        OperandError: it cannot be iterated over more than once, or has no length.
    """
    if isinstance(given, DataLoader):
        return given
    if not isinstance(given, Iterable) or isinstance(given, (Iterator, str, bytes, dict)):
        raise OperandError(
            f"{type(given).__name__} given, a loader expected: sn.ArrayDataLoader, sn.DataLoader, a "
            "list of batches, or a class with __iter__ and __len__"
        )
    if not isinstance(given, Sized):
        raise OperandError(
            f"{type(given).__name__}: a loader needs __len__, its number of batches; define it"
        )
    return OwnLoader(given)
