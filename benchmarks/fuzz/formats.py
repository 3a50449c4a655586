"""What the guided fuzzer reads: for each reader valid inputs, the files around one, and the read."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import scratchnet as sn
from benchmarks.fuzz import trainings
from benchmarks.fuzz.watch import Seen, limited, observed, watched
from scratchnet.data.image_folder import ImageFiles
from scratchnet.data.readers import ANY_IMAGES, read_csv, read_idx_pair
from scratchnet.data.reading import TABLE, Reading
from scratchnet.errors import OtherVersionWarning
from scratchnet.training import checkpoint
from scratchnet.training.recipe import Classifier
from scratchnet.training.trained import TrainedModel, load_model, save_model

Files = dict[str, bytes]
PACKED = 1032
"""One byte of deflate is at most this many bytes unpacked."""
_SIGNS = {b"PK": "part.npz", b"\x93N": "inputs.npy", b"PA": "part.parquet", b"AR": "part.arrow"}
"""How a file begins, and what its name then is."""


class Format(NamedTuple):
    """A reader, and what it reads."""

    put: Callable[[bytes], Files]
    """Return the files for an input, by name. The input is one of them, or is inside of one."""
    read: Callable[[Path], object]
    """Read the files in a folder."""
    seeds: Callable[[], list[bytes]]
    """Return valid inputs, and hostile ones that no change of bytes would find."""
    writes: bool = False
    """Whether the reader may write into that folder."""


def seen(reader: str, content: bytes) -> Seen:
    """Read an input, and return what came of it; see `benchmarks.fuzz.watch`."""
    form = FORMATS[reader]
    with _written(form, content) as (folder, paths):

        def read() -> None:
            with limited(), watched(folder if form.writes else None):
                form.read(folder)

        size = PACKED * len(content) + sum(each.stat().st_size for each in paths)
        return observed(read, paths, size)


def warm(reader: str) -> None:
    """Read the first inputs once, so that everything that this reader needs is imported."""
    import bz2  # noqa: F401 - imported here, so that no input imports it
    import lzma  # noqa: F401 - as above
    import unicodedata  # noqa: F401 - of "\\N{…}" in the header of .npy

    import PIL.Image
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401 - as above

    PIL.Image.init()
    for code in ("ascii", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32"):
        "".encode(code)
    form = FORMATS[reader]
    for content in (*form.seeds(), b""):
        with _written(form, content) as (folder, _), suppress(sn.ScratchnetError):
            form.read(folder)


@contextmanager
def _written(form: Format, content: bytes) -> Iterator[tuple[Path, list[Path]]]:
    """Write the files for an input. Yield their folder and their paths."""
    with tempfile.TemporaryDirectory() as name:
        files = form.put(content)
        paths = [Path(name, each) for each in files]
        for path, inside in zip(paths, files.values(), strict=True):
            path.write_bytes(inside)
        yield Path(name), paths


# Images and tables.


@cache
def _idx(count: int, ndim: int) -> bytes:
    shape = (count, 3, 2)[:ndim]
    values = np.arange(np.prod(shape), dtype=np.uint8)
    return bytes((0, 0, 8, ndim)) + np.array(shape, ">u4").tobytes() + values.tobytes()


def _put_idx(content: bytes) -> Files:
    if content[3:4] == b"\1":
        return {"images": _idx(3, 3), "labels": content}
    return {"images": content, "labels": _idx(3, 1)}


def _idx_seeds() -> list[bytes]:
    return [_idx(3, 3), _idx(3, 1), gzip.compress(_idx(3, 3), mtime=0)]


_CSV = [b"label,1x1,1x2\n1,255,0\n0,3,4\n", b'"label",a\r\n7, 8\r\n', b"label,a,b,c,d\n1,1,2,3,4\n"]
_TABLES = [
    b"a,b,y\n1,2.5,0\n3,-4e2,1\n5,6,0\n", b"x;y\n1.5;cat\n2.5;dog\n", "\ufeffx\ty\n1\t2\n".encode(),
    "x,y\n1,é\n2,b\n".encode("utf-16"), b"0,1,2\n1,true,3\n4,false,6\n",
]  # fmt: skip


def _npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


class _Hostile:
    """An object whose pickle starts a program."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def _lying() -> bytes:
    """Return an .npz file whose header says that there are 300 MB."""
    head, content = io.BytesIO(), io.BytesIO()
    said = {"descr": "|u1", "fortran_order": False, "shape": (100_000, 32, 32, 3)}
    np.lib.format.write_array_header_1_0(head, said)
    with zipfile.ZipFile(content, "w") as archive:
        for name in ("x_test.npy", "y_test.npy"):
            archive.writestr(name, head.getvalue() + bytes(6144))
    return content.getvalue()


def _npz_seeds() -> list[bytes]:
    images, labels = np.zeros((2, 32, 32, 3), np.uint8), np.array([1, 9])
    return [
        _npz(x_test=images, y_test=labels),
        _npz(x_test=images.transpose(0, 3, 1, 2), y_test=labels[:, None]),
        _npz(x_test=images, y_test=np.array([_Hostile()])),
        _lying(),
    ]


def _pictures() -> list[bytes]:
    from PIL import Image

    image = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    made = []
    for kind, each, more in (
        ("PNG", image, {}), ("PNG", image.convert("P"), {"transparency": 0}),
        ("PNG", image.convert("I;16"), {}), ("JPEG", image, {"exif": exif}),
        ("GIF", image.convert("P"), {}), ("BMP", image, {}), ("WEBP", image, {}),
    ):  # fmt: skip
        content = io.BytesIO()
        each.save(content, kind, **more)
        made.append(content.getvalue())
    return made


def _picture(folder: Path) -> None:
    from PIL import Image

    path, former = str(folder / "picture.png"), Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = 1 << 18  # small, so that every accepted image is read quickly
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # Pillow says which EXIF data it cannot read
            ImageFiles([path]).image(0)
            ImageFiles([path], size=(5, 3), channels=1).image(0)
    finally:
        Image.MAX_IMAGE_PIXELS = former


# Files that are read row by row.


@cache
def _table(kind: str) -> bytes:
    import pyarrow as pa
    from pyarrow import feather, parquet

    table = pa.table(
        {"x": [1.5, 2.5, None][:2] * 3, "n": [1, 2] * 3, "y": pa.array([0, 1] * 3, pa.int8())}
    )
    content = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, content, row_group_size=4, compression="snappy")
    elif kind == "plain":
        parquet.write_table(table, content, compression="none", use_dictionary=False)
    else:
        feather.write_feather(table, content, compression="uncompressed" if kind == "arrow" else "zstd")
    return content.getvalue()


def _tables() -> list[bytes]:
    return [_table(kind) for kind in ("parquet", "plain", "arrow", "zstd")]


def _read_table(folder: Path) -> None:
    data = sn.ParquetDataset(folder / "table.parquet", "y")
    data.batch(np.arange(min(len(data), 100)))
    data.batch(np.arange(max(len(data) - 100, 0), len(data)))
    data.fingerprint()


def _put_rows(content: bytes) -> Files:
    return {_SIGNS.get(content[:2], "images-idx3-ubyte"): content}


def _npy() -> bytes:
    content = io.BytesIO()
    np.save(content, np.ones((3, 2)))
    return content.getvalue()


def _rows_seeds() -> list[bytes]:
    x, y = np.ones((3, 2), np.float32), np.arange(3)
    hostile = _npz(inputs=x, targets=np.array([_Hostile()] * 3))
    return [_npz(inputs=x, targets=y), _npy(), *_idx_seeds()[::2], *_tables()[1:3], hostile]


def _read_rows(folder: Path) -> None:
    _stream(sn.index_files(folder))


def _stream(index: Path) -> None:
    for _ in islice(sn.StreamingDataLoader(index, 2), 4):
        pass


_PARTS = {"a.npz": lambda: _rows_seeds()[0], "b.parquet": lambda: _table("plain"), "inputs.npy": _npy}


def _put_index(content: bytes) -> Files:
    return {"index.json": content} | {name: make() for name, make in _parts().items()}


@cache
def _parts() -> dict[str, Callable[[], bytes]]:
    made = {name: make() for name, make in _PARTS.items()}
    return {name: partial(bytes, content) for name, content in made.items()}


def _indices() -> list[bytes]:
    made = []
    for name, make in _parts().items():
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, name).write_bytes(make())
            target = "y" if name.endswith("parquet") else None
            made.append(sn.index_files(folder, target).read_bytes())
    form = b'"shape": [\n   2\n  ]'
    assert form in made[0]
    return [*made, made[0].replace(form, b'"shape": [1000, 1000, 1000]')]


# Models and checkpoints.


@cache
def _model() -> bytes:
    some = np.ones(3, np.float32)
    reading = Reading(TABLE, (3,), "classification", ("a", "b"), some, some, ("x", "y", "z"), ("t",), 3)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder, "model"), TrainedModel(Classifier(2, 0, 3, 2), "mlp", reading, "some"))
        return Path(folder, "model").read_bytes()


def _read_model(folder: Path) -> None:
    path = folder / "model"
    sn.load(path)
    sn.load_metadata(path)
    load_model(path)


def _resume(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OtherVersionWarning)  # a file may well be of another version
        trainings.learner().resume(folder / "training")


def _around(content: bytes, whole: Callable[[], bytes], entry: str, name: str) -> Files:
    """Return a saved file, with a right digest, that has this text as an entry of its metadata."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole")
        path.write_bytes(whole())
        arrays, metadata = checkpoint.read(path)
        sn.save(path, arrays, metadata | {entry: content.decode("utf-8", "replace")}, overwrite=True)
        return {name: path.read_bytes()}


def _entry(whole: Callable[[], bytes], entry: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole")
        path.write_bytes(whole())
        return [sn.load_metadata(path)[entry].encode()]


def _alone(name: str) -> Callable[[bytes], Files]:
    return lambda content: {name: content}


FORMATS = {
    "idx": Format(
        _put_idx, lambda at: read_idx_pair(at / "images", at / "labels", ANY_IMAGES), _idx_seeds
    ),
    "csv": Format(_alone("file.csv"), lambda at: read_csv(at / "file.csv", ANY_IMAGES), lambda: _CSV),
    "table": Format(
        _alone("file.csv"), lambda at: sn.CsvDataLoader(at / "file.csv", -1), lambda: _TABLES
    ),
    "cifar": Format(
        _alone("test_batch.bin"), lambda at: sn.Cifar10DataLoader("valid", 2, at),
        lambda: [bytes((number,)) + bytes(3072) for number in (0, 9)],
    ),
    "npz": Format(
        _alone("cifar.npz"), lambda at: sn.Cifar10DataLoader("valid", 2, at / "cifar.npz"), _npz_seeds
    ),
    "picture": Format(_alone("picture.png"), _picture, _pictures),
    "parquet": Format(_alone("table.parquet"), _read_table, _tables),
    "rows": Format(_put_rows, _read_rows, _rows_seeds, writes=True),
    "index": Format(_put_index, lambda at: _stream(at / "index.json"), _indices),
    "model": Format(_alone("model"), _read_model, lambda: [_model()]),
    "description": Format(
        lambda text: _around(text, _model, "reading", "model"), _read_model,
        lambda: _entry(_model, "reading"),
    ),
    "checkpoint": Format(_alone("training"), _resume, lambda: [trainings.content()]),
    "settings": Format(
        lambda text: _around(text, trainings.content, "training", "training"), _resume,
        lambda: _entry(trainings.content, "training"),
    ),
}  # fmt: skip
"""By reader. "description" and "settings" are the JSON in the files of a model and of a checkpoint."""
