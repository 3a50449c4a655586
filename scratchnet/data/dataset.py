"""Data sets: samples that are read one at a time, or in batches, and need not fit into memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backends.errors import kind_of, one_line
from scratchnet.data.batches import each_array, named_arrays
from scratchnet.data.npy import read_header
from scratchnet.data.readers import check_file
from scratchnet.data.samples import PARTS, as_float32, check_numbers
from scratchnet.errors import DataError, DataNotFoundError, IndexingError
from scratchnet.files import digest_of, name_of, sample_of

WINDOW_BYTES = 1_000_000
"""The size of a window. A shuffle mixes a few windows at a time, which must fit into memory."""


class Dataset:
    """Base class of data sets. A subclass defines `__len__` and `__getitem__`.

        class Squares(sn.Dataset):
            def __len__(self):
                return 1000

            def __getitem__(self, index):
                return np.float32([index]), np.float32([index**2])

        loader = sn.DataLoader(Squares(), batch_size=32, workers=2)

    With workers, several threads call `__getitem__` at the same time, or each process calls it on a copy
    of the data set. A sample should depend on its index only. Then its batch is the same for any number
    of workers. For random changes use `sn.transforms`, or draw from a generator of the sample's own:
    `np.random.default_rng([seed, index])`.

    A subclass may also define `batch(indices)`, which reads many samples at once. It takes an array of
    integers, and returns what `__getitem__` returns, with a first axis that counts the samples. And it
    may define `fingerprint()`, text that identifies the data. A run is then resumed only with the same.

    Attributes:
        window: how many neighboring samples are read together. If it is set, a shuffle draws the order
            of windows, and mixes the samples of a few windows. None mixes all samples.
        class_names: the name of each class, if targets are labels.
        source: the name of the data, shown with results.
    """

    window: int | None = None
    class_names: tuple[str, ...] | None = None
    source: str = ""

    def __len__(self) -> int:
        """Return the number of samples."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __getitem__(self, index: int) -> Any:
        """Return a sample: input, or (input, target), or (input, target, weight).

        Each is a finite number, a NumPy array, or a tuple or a dict of these. A tuple is these parts, so
        two inputs are written `((a, b), target)`; the target may be None.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")


class NpyDataset(Dataset):
    """Samples in .npy files, which need not fit into memory.

        dataset = sn.NpyDataset("images.npy", "labels.npy")
        loader = sn.DataLoader(dataset, batch_size=128, workers=2)

    A batch maps the files into memory, and copies its samples. Nothing else stays in memory. float64
    becomes float32.

    Args:
        inputs: the path of a .npy file with an array (samples, …); or a tuple or a dict of paths.
        targets: the same, or None.

    Attributes:
        window: see `Dataset`. By default a window has 1 MB.

    Raises:
        DataNotFoundError: a file is not there.
        DataError: a file is no .npy file, is truncated, or holds something other than numbers; there are
            no samples; or the files have different numbers of samples.
        SettingError: a path is empty or contains a null character.
    """

    def __init__(self, inputs: Any, targets: Any = None) -> None:
        self._files = [each_array(_NpyFile, part) for part in (inputs, targets)]
        files = [file for part in self._files for _, file in named_arrays("", part)]
        if not files:
            raise DataError("NpyDataset: inputs has no file; give at least one path")
        self._length: int = files[0].shape[0]
        for file in files:
            if file.shape[0] != self._length:
                raise DataError(
                    f"NpyDataset: {files[0].path} has {self._length} samples and {file.path} has "
                    f"{file.shape[0]}; they must have the same number, in the same order"
                )
        self.window = max(1, WINDOW_BYTES // sum(file.bytes_per_sample for file in files))

    def __len__(self) -> int:
        """Return the number of samples."""
        return self._length

    def __getitem__(self, index: int) -> Any:
        """Return (input, target) of a sample."""
        places = np.array([checked_index(self, index)])
        inputs, targets = each_array(lambda array: array[0], self.batch(places))
        return inputs, targets

    def batch(self, indices: np.ndarray) -> tuple[Any, Any]:
        """Return (inputs, targets) of these samples."""
        inputs, targets = (each_array(lambda file: file.read(indices), part) for part in self._files)
        return inputs, targets

    def fingerprint(self) -> str:
        """Return a SHA-256 of the sizes of the files, and of at most 256 kB of each."""
        named = zip(PARTS, self._files, strict=False)
        files = dict(pair for name, part in named for pair in named_arrays(name, part))
        return digest_of({}, {name: file.sample() for name, file in files.items()})


class _NpyFile:
    """The header of a .npy file. It keeps no open file, so it works in any thread or process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise DataError(
                f"NpyDataset: {kind_of(path)} given where the path of a .npy file was expected; arrays "
                "go to sn.ArrayDataLoader"
            )
        self.path = name_of(path, "NpyDataset")
        with explained(path):
            check_file(path)
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if file.peek(2)[:2] == b"PK":
                    raise DataError(f"{path}: is an .npz archive; save each array of it with numpy.save")
                try:
                    self.shape, columns_first, self.dtype = read_header(file)
                except ValueError as error:
                    raise DataError(
                        f"{path}: cannot be read: {one_line(error)}; give an array of numbers, as "
                        "numpy.save writes it"
                    ) from error
                self._offset, self._order = file.tell(), "F" if columns_first else "C"
        check_numbers(str(path), np.empty(0, self.dtype))
        if not self.shape or not self.shape[0]:
            raise DataError(f"{path}: shape {self.shape} has no samples; the first axis counts them")
        row = self.dtype.itemsize * math.prod(self.shape[1:])
        expected = self._offset + self.shape[0] * row
        if expected > size:
            raise DataError(f"{path}: has {size} bytes, and its header says {expected}; copy it again")
        self.bytes_per_sample = max(1, row)

    def sample(self) -> str:
        """Return what `sample_of` says about the file now."""
        with explained(self.path):
            check_file(self.path)
            return sample_of(self.path)

    def read(self, indices: np.ndarray) -> np.ndarray:
        with explained(self.path, ValueError):  # the file may have changed
            check_file(self.path)
            # A mapping that lives longer would count every page that was ever read as memory in use.
            mapped = np.memmap(self.path, self.dtype, "r", self._offset, self.shape, self._order)  # type: ignore[call-overload]
            return as_float32(np.asarray(mapped[indices]))


def checked_index(dataset: Any, index: int) -> int:
    """Return the index, counted from the front. An index past the end ends a loop over the data set."""
    length = len(dataset)
    if not -length <= index < length:
        raise IndexingError(f"{type(dataset).__name__}: no sample {index}; there are {length}")
    return int(index) % length


@contextmanager
def explained(path: str | os.PathLike[str], *kinds: type[Exception]) -> Iterator[None]:
    """Raise the errors of the system, and those of other kinds, as errors that name the file.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it cannot be read.
    """
    faults: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: no such file") from error
    except faults as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise DataError(f"{path}: cannot be read: {reason}") from error
