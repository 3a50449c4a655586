"""Compile the CUDA kernels in `kernels/*.cu`, and launch them with the right arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from backends.error_function import TAYLOR, chebyshev
from backends.plain.library import Array
from backends.plain.update import Rule, Target
from backends.setting import Setting

REAL = {"f": "float", "d": "double"}
LABEL = {
    "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int",
    "I": "unsigned", "l": "long long", "L": "unsigned long long", "q": "long long",
    "Q": "unsigned long long",
}  # fmt: skip

NUMBER = REAL | LABEL
_PIECES = {
    16: "float4", 8: "unsigned long long", 4: "unsigned", 2: "unsigned short", 1: "unsigned char",
}  # fmt: skip
_TILE = 1024
"""The number of words that `sort_tiles` of scatter_add.cu sorts in one block."""

_POINTERS = ["a", "mask", "b", "bias", "c", "row_sums"]
_STRIDES = ["a_row", "a_depth", "b_depth", "b_column", "a_matrix", "b_matrix"]
_SIZES = ["rows", "columns", "depth", "relu"]
_PRODUCT = np.dtype(
    [(name, "u8") for name in _POINTERS]
    + [(name, "i8") for name in _STRIDES]
    + [(name, "i4") for name in _SIZES]
)
"""`struct Product` of products.cu."""

_MOST_BLOCKS = 65_535
"""The limit along the second and third axis of a grid. Along the first it is 2³¹ - 1."""

_MOST = 64
_TABLE = np.dtype([(name, "u8", (_MOST,)) for name in ("parameter", "gradient", "size")])
"""`struct Table` of sgd_update.cu."""

_MOST_RULED = 48
_SETTINGS = np.dtype([("number", "f8", (6,))])
"""`struct Settings` of update_rule.cu."""

_RULED = np.dtype(
    [(name, "u8", (_MOST_RULED,)) for name in ("parameter", "gradient")]
    + [
        ("state", "u8", (3, _MOST_RULED)),
        ("scalar", "u8", (2, _MOST_RULED)),
        ("size", "u8", (_MOST_RULED,)),
    ]
)
"""`struct Table` of update_rule.cu, which has to stay below 4 kB."""

_ADAM = ("betas", "eps", "weight_decay")
RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sgd": ("Sgd", ("momentum", "nesterov", "weight_decay")),
    "adam": ("Adam", _ADAM),
    "adamw": ("AdamW", _ADAM),
    "nadam": ("NAdam", ("betas", "eps", "weight_decay", "momentum_decay")),
    "rmsprop": ("RmsProp", ("alpha", "eps", "weight_decay", "momentum", "centered")),
    "adagrad": ("Adagrad", ("eps", "weight_decay")),
    "lion": ("Lion", ("betas", "weight_decay")),
}
"""The struct of update_rule.cu for each rule, and the settings in the order in which it reads them."""


class Kernels:
    """The kernels for the arrays of one library: CuPy, or a stand-in for it.

    All arrays must be float32, or all float64. Results are new arrays.
    """

    def __init__(self, xp: ModuleType, multiprocessors: int) -> None:
        """Store the array library, and the number of multiprocessors of its device."""
        self.xp, self.multiprocessors = xp, multiprocessors
        self._functions: dict[tuple[str, ...], Any] = {}

    def function(self, file: str, name: str, *defines: str) -> Any:
        """Return a kernel of `kernels/<file>.cu`, compiled with these macros at its first use."""
        key = (file, name, *defines)
        if key not in self._functions:
            options = ("-std=c++17", *(f"-D{each}" for each in defines))
            module = self.xp.RawModule(code=source(file), options=options)
            self._functions[key] = module.get_function(name)
        return self._functions[key]

    def product(
        self,
        a: Array,
        b: Array,
        mask: Array | None = None,
        bias: Array | None = None,
        relu: bool = False,
        row_sums: Array | None = None,
    ) -> Array:
        """Return act(a @ b + bias) for (…, rows, depth) and (…, depth, columns), with any strides.

        Args:
            a: a matrix, or a stack of matrices.
            b: the same number of matrices.
            mask: of a's shape and strides. Only elements of a where it is positive count.
            bias: (columns,), contiguous.
            relu: whether act is ReLU.
            row_sums: (rows,). It receives the sums of a over its rows.
        """
        rows, depth = a.shape[-2:]
        columns = b.shape[-1]
        stack = len(a) if a.ndim == 3 else 1
        c = self.xp.empty((*a.shape[:-2], rows, columns), a.dtype)
        if not c.size and row_sums is None:
            return c
        width = a.itemsize
        a_strides, b_strides = ([each // width for each in m.strides] for m in (a, b))
        a_matrix, b_matrix = (each[0] if a.ndim == 3 else 0 for each in (a_strides, b_strides))
        across = columns + (row_sums is not None)
        tiles = -(-rows // 128), -(-across // 128)
        if tiles[0] * tiles[1] * stack >= self.multiprocessors or across > 32 * _MOST_BLOCKS:
            name = "product_large"
        else:
            name, tiles = "product_small", (-(-rows // 32), -(-across // 32))
        kernel = self.function("products", name, f"REAL={REAL[a.dtype.char]}")
        for first in range(0, stack, _MOST_BLOCKS):
            told = np.array(
                (
                    a.data.ptr + first * a_matrix * width, mask.data.ptr if mask is not None else 0,
                    b.data.ptr + first * b_matrix * width, bias.data.ptr if bias is not None else 0,
                    c.data.ptr + first * rows * columns * width,
                    row_sums.data.ptr if row_sums is not None else 0,
                    a_strides[-2], a_strides[-1], b_strides[-2], b_strides[-1], a_matrix, b_matrix,
                    rows, columns, depth, relu,
                ),
                _PRODUCT,
            )  # fmt: skip
            kernel((*tiles, min(stack - first, _MOST_BLOCKS)), (256,), (told,))
        return c

    def softmax_cross_entropy(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the mean loss, 0-d, and its gradient, for contiguous logits (n, classes) and labels."""
        rows, classes = logits.shape
        gradient = self.xp.empty_like(logits)
        row_losses = self.xp.empty(rows, logits.dtype)
        loss = self.xp.empty((), logits.dtype)
        macros = (f"REAL={REAL[logits.dtype.char]}", f"LABEL={LABEL[labels.dtype.char]}")
        self.function("softmax_cross_entropy", "cross_entropy_rows", *macros)(
            (-(-rows // 8),),
            (256,),
            (logits, labels, np.int32(rows), np.int32(classes), gradient, row_losses),
        )
        mean = self.function("softmax_cross_entropy", "mean", *macros)
        mean((1,), (256,), (row_losses, np.int32(rows), loss))
        return loss, gradient

    def error_function(self, name: str, x: Array) -> Array:
        """Return erf, erfc or gelu of each element of a contiguous array, in one launch."""
        y = self.xp.empty_like(x)
        if x.size:
            taylor, terms = (",".join(map(repr, each)) for each in (TAYLOR, chebyshev(x)))
            macros = f"REAL={REAL[x.dtype.char]}", f"TAYLOR={taylor}", f"CHEBYSHEV={terms}"
            kernel = self.function("error_function", "error_function", f"FUNCTION={name}", *macros)
            kernel((self._blocks(x.size),), (256,), (x, y, np.int64(x.size)))
        return y

    def random_bits(self, key: tuple[int, int], draws: Array, count: int, first: int = 0) -> Array:
        """Do `Backend.random_bits` in one launch."""
        bits = self.xp.empty(count, np.uint32)
        before, skipped = divmod(first, 8)
        if count:
            self.function("philox", "philox")(
                (self._blocks(-(-(skipped + count) // 8)),),
                (256,),
                (*map(np.uint64, (*key, before)), draws, bits, np.int64(skipped), np.int64(count)),
            )
        return bits

    def take_rows(self, source: Array, order: Array, out: Array) -> None:
        """Do `Backend.take_rows` in one launch. The order must be contiguous."""
        if not out.size:
            return
        row = out.nbytes // len(out)
        addresses = source.data.ptr | out.data.ptr | row
        size = next(each for each in _PIECES if addresses % each == 0)
        macros = (f"PIECE={_PIECES[size]}", f"ORDER={LABEL[order.dtype.char]}")
        rows, columns = len(out), row // size
        grid, width = _shares(rows, columns, 4)
        self.function("take_rows", "take_rows", *macros)(
            grid, (256,),
            (source, order, out, np.int64(rows), np.int64(columns), np.int32(width)),
        )  # fmt: skip

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        """Do `Backend.scatter_add` for contiguous (rows, columns), (count,) and (count, columns)."""
        (rows, columns), count = target.shape, len(index)
        if not values.size:
            return
        macros = (f"NUMBER={NUMBER[target.dtype.char]}", f"INDEX={LABEL[index.dtype.char]}")
        sort_tiles, merge_runs, add_sorted = (
            self.function("scatter_add", name, *macros)
            for name in ("sort_tiles", "merge_runs", "add_sorted")
        )
        many, shift = np.int64(count), np.int32((count - 1).bit_length())
        words, merged = self.xp.empty((2, count), np.uint64)
        sort_tiles((-(-count // _TILE),), (_TILE,), (index, many, np.int64(rows), shift, words))
        length = _TILE
        while length < count:
            merge_runs((-(-count // 256),), (256,), (words, many, np.int64(length), merged))
            words, merged, length = merged, words, 2 * length
        grid, width = _shares(count, columns)
        add_sorted(
            grid, (256,), (words, many, shift, values, np.int64(columns), np.int32(width), target)
        )

    def sgd_update(
        self, parameters: Sequence[Array], gradients: Sequence[Array], learning_rate: Setting
    ) -> None:
        """Update in place, 64 arrays per launch. All must be contiguous and of one dtype."""
        rate = learning_rate.on_device(self.xp)
        real = REAL[parameters[0].dtype.char]
        update = self.function("sgd_update", "sgd_update", f"REAL={real}", f"MOST={_MOST}")
        for start in range(0, len(parameters), _MOST):
            chosen = parameters[start : start + _MOST]
            table = np.zeros((), _TABLE)
            many = len(chosen)
            table["parameter"][:many] = [each.data.ptr for each in chosen]
            table["gradient"][:many] = [each.data.ptr for each in gradients[start : start + _MOST]]
            table["size"][:many] = [each.size for each in chosen]
            longest = max(each.size for each in chosen)
            update((self._blocks(longest), many), (256,), (table, rate))

    def update_rule(
        self, rule: Rule, settings: Mapping[str, Any], learning_rate: Setting, targets: Sequence[Target]
    ) -> None:
        """Do `Backend.update` for 48 parameters per launch. All must be contiguous and of one dtype."""
        struct, names = RULES[rule.name]
        numbers: list[float] = []
        for name in names:
            value = settings[name]
            numbers += map(float, value if isinstance(value, tuple) else (value,))
        given = np.zeros(6)
        given[: len(numbers)] = numbers
        macros = f"REAL={REAL[targets[0].parameter.dtype.char]}", f"MOST={_MOST_RULED}", f"RULE={struct}"
        rate, settings_given = learning_rate.on_device(self.xp), given.view(_SETTINGS)[0]
        slots = [[*rule.arrays].index(name) for name in rule.arrays_for(settings)]
        for start in range(0, len(targets), _MOST_RULED):
            table, chosen = np.zeros((), _RULED), targets[start : start + _MOST_RULED]
            for k, each in enumerate(chosen):
                table["parameter"][k] = each.parameter.data.ptr
                table["gradient"][k] = each.gradient.data.ptr
                table["size"][k] = each.parameter.size
                for slot, array in zip(slots, each.arrays, strict=True):
                    table["state"][slot, k] = array.data.ptr
                for slot, number in enumerate(each.scalars):
                    table["scalar"][slot, k] = number.data.ptr
            if rule.scalars:
                advance = self.function("update_rule", "advance", *macros)
                advance((1,), (256,), (table, settings_given, np.int32(len(chosen))))
            longest = max(each.parameter.size for each in chosen)
            update = self.function("update_rule", "update_rule", *macros)
            update((self._blocks(longest), len(chosen)), (256,), (table, rate, settings_given))

    def _blocks(self, size: int) -> int:
        """Return the number of blocks of 256 threads that share this many elements."""
        return max(1, min(-(-size // 256), 8 * self.multiprocessors))


def _shares(rows: int, columns: int, at_once: int = 1) -> tuple[tuple[int, int], int]:
    """Return how threads divide a matrix in share.cu: the grid, and log2 of the threads per row.

    Each thread has about `at_once` elements, as far as a grid can be that large.
    """
    width = min((columns - 1).bit_length(), 8)
    across = min(-(-columns // (at_once << width)), _MOST_BLOCKS)
    return (-(-(rows << width) // 256), across), width


@cache
def source(file: str) -> str:
    """Return the text of `kernels/<file>.cu`, with its includes inserted."""
    from pathlib import Path  # only a GPU needs it

    text = (Path(__file__).parent / "kernels" / f"{file}.cu").read_text(encoding="utf-8")
    return re.sub(r'^#include "(\w+)\.cu"$', lambda found: source(found[1]), text, flags=re.MULTILINE)
