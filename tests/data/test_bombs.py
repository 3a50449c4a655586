"""Small files that say they hold much: each is refused in one line, in bounded memory and time."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import suppress

import numpy as np
import pytest
from needed import needs
from processes import python

import scratchnet as sn
from benchmarks.fuzz.watch import limited
from scratchnet.data.image_folder import ImageFiles
from scratchnet.data.streaming.index import Entry, FileIndex, save
from scratchnet.data.streaming.row_files import Form
from scratchnet.files import sample_of

MOST = 250 << 20


def png(side):
    def chunk(name, content):
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    rows, packer = bytes(1 + side), zlib.compressobj(9)
    pixels = b"".join([*(packer.compress(rows * 100) for _ in range(side // 100)), packer.flush()])
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def npy(shape, content=b""):
    made = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(made, header)
    return made.getvalue() + content


def npz(packing=zipfile.ZIP_DEFLATED, **members):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return made.getvalue()


def parquet(groups, rows):
    """Return a table of one constant column, which dictionary and run lengths make tiny."""
    needs("pyarrow")
    import pyarrow as pa
    from pyarrow import parquet

    made, column = io.BytesIO(), pa.array(np.zeros(rows, np.int64))
    table = pa.table({"x": column, "y": column})
    with parquet.ParquetWriter(made, table.schema) as writer:
        for _ in range(groups):
            writer.write_table(table, rows)
    return made.getvalue()


LIES = (1 << 40, 32, 32, 3)
BOMBS = {
    "picture.png": lambda: png(30_000),
    "quiet.png": lambda: png(12_000),  # of which Pillow only warns
    "lie.npz": lambda: npz(x_test=npy(LIES), y_test=npy((1,), b"\0")),
    "bzip2.npz": lambda: npz(
        zipfile.ZIP_BZIP2, x_test=npy((2, 32, 32, 3), bytes(200 << 20)), y_test=npy((2,), bytes(2))
    ),
    "line.csv": lambda: b"a,b\n" + b"1" * (100 << 20),
}
READ = """
import sys, warnings
import scratchnet as sn
from benchmarks.memory import memory
from scratchnet.data.image_folder import ImageFiles
warnings.simplefilter("ignore")  # the readers' own filters count
path = sys.argv[1]
readers = {
    "png": lambda: ImageFiles([path]).image(0), "npz": lambda: sn.Cifar10DataLoader("valid", 2, path),
    "csv": lambda: sn.CsvDataLoader(path, "b"),
}
try: readers[path.rpartition(".")[2]]()
except sn.DataError as error: print(error)
print(memory("VmHWM"))
"""


@pytest.mark.guarantee("Archives and pictures are unpacked only up to a bound.")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_one_line_and_little_memory(name, tmp_path):
    if name.endswith("png"):
        needs("PIL")
    path = tmp_path / name
    content = BOMBS[name]()
    path.write_bytes(content)
    done = python("-c", READ, path)
    line, peak = done.stdout.splitlines()
    assert line.startswith(f"{path}: ")
    assert int(peak) < MOST + 4 * (len(content) if name.endswith("csv") else 0)


@pytest.mark.guarantee("Archives and pictures are unpacked only up to a bound.")
def test_a_table_of_a_tiny_file_and_many_rows_is_read_in_windows(tmp_path):
    path = tmp_path / "table.parquet"
    content = parquet(4, 2_000_000)  # 128 MB unpacked
    path.write_bytes(content)
    program = (
        "import sys, numpy as np, scratchnet as sn\nfrom benchmarks.memory import memory\n"
        "data = sn.ParquetDataset(sys.argv[1], 'y')\nstart = memory('VmHWM')\n"
        "data.batch(np.arange(len(data) - 9, len(data)))\nprint(memory('VmHWM') - start)\n"
    )
    assert len(content) < 1 << 20
    assert int(python("-c", program, path).stdout) < 64 << 20


@pytest.mark.guarantee("Archives and pictures are unpacked only up to a bound.")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"file_size": 1 << 60}, "the size of inputs cannot be true"),
        ({"file_size": 1 << 60, "compress_size": 1 << 60}, "the size of inputs cannot be true"),
        *(({"flag_bits": bit}, "inputs is packed as NumPy does not") for bit in (0x01, 0x20, 0x40)),
    ],
    ids=["size", "both sizes", "encrypted", "a patch", "strongly encrypted"],
)
def test_an_archive_whose_entries_cannot_be_true_is_refused_at_once(wrong, message, tmp_path):
    """Python's reader of archives would look for the end of 2^60 bytes, in steps of 16 MB."""
    with zipfile.ZipFile(tmp_path / "part.npz", "w") as archive:
        archive.writestr("inputs.npy", npy((1 << 60,), bytes(100)))
        for name, value in wrong.items():
            setattr(archive.filelist[0], name, value)
    with limited(20), pytest.raises(sn.DataError, match=message):
        sn.index_files(tmp_path)


def idx(shape):
    return bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes() + b"x"


HEADER = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}"
AXES = {
    "inputs.npy": lambda count: npy((1,) * count, b"x"),
    "a.npz": lambda count: npz(inputs=npy((1,) * count, b"x")),
    "images-idx9-ubyte": lambda count: idx((1,) * count),
}


@pytest.mark.parametrize("name", AXES)
def test_an_array_has_no_more_axes_than_numpy_allows(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(AXES[name](64))
    ((inputs, _),) = sn.StreamingDataLoader(sn.index_files(tmp_path))
    assert inputs.shape == (1,) * 64
    path.write_bytes(AXES[name](65))
    with pytest.raises(sn.DataError, match=f"{name}: .*65 axes; NumPy's arrays have at most 64"):
        sn.index_files(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        npy((1,) * 65, b"x"),
        npy((10**30,)),
        npy((2, 0, 1 << 62)),
        npy((1 << 40,)),
        b"\x93NUMPY\1\0" + struct.pack("<H", 9013) + b"{'descr': " + b"-" * 9000 + b"1}\n",
        b"\x93NUMPY\1\0" + struct.pack("<H", 10_001) + HEADER.ljust(10_001) + b"x",
    ],
    ids=["axes", "large", "empty and large", "short", "nested", "long"],
)
def test_a_header_that_cannot_be_true_is_refused(content, tmp_path):
    path = tmp_path / "inputs.npy"
    path.write_bytes(content)
    for read in (lambda: sn.NpyDataset(path), lambda: sn.index_files(tmp_path)):
        with pytest.raises(sn.DataError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}: ")


def test_a_tiny_file_of_a_large_row_is_refused_when_it_is_opened(tmp_path):
    """The index is by someone else too, and says the same of the row: 512 GB."""
    path = tmp_path / "inputs.npy"
    path.write_bytes(npy((1, 1 << 39), b"x"))
    entry = Entry((path.name,), 1, (sample_of(path),))
    form = Form(np.dtype(np.uint8), (1 << 39,))
    index = FileIndex(tmp_path / "index.json", "npy", (None, None), (form,), (entry,))
    save(index)
    with pytest.raises(sn.DataError, match=r"inputs\.npy: has fewer bytes, unpacked, than the 549"):
        list(sn.StreamingDataLoader(index.path))


@pytest.mark.guarantee("No file that the library reads can run code.")
def test_a_picture_starts_no_program(tmp_path, monkeypatch):
    """Pillow reads PostScript by starting Ghostscript."""
    needs("PIL")
    started = []
    monkeypatch.setattr("subprocess.check_call", lambda *command, **_: started.append(command))
    path = tmp_path / "picture.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    with pytest.raises(sn.DataError, match="cannot be read as an image"):
        ImageFiles([str(path)]).image(0)
    assert not started


ENDLESS = (
    "89504e470d0a1a0a0000000d4948445200000008000000081000000000b1f43d14ec0000144944"
    "4154789c636460646046862c0c12032100005ffa016f66b476ca000000ffff454e44ae426082"
)
GIGABYTES = {
    "picture": (
        bytes.fromhex(ENDLESS),
        lambda path: needs("PIL") and ImageFiles([str(path)]).image(0),
    ),
    "archive": (
        npz(x_test=npy((1 << 20, 32, 32, 3)), y_test=npy((1,), b"\0")),
        lambda path: sn.Cifar10DataLoader("valid", 2, path),
    ),
}


@pytest.mark.guarantee("Archives and pictures are unpacked only up to a bound.")
@pytest.mark.parametrize(("content", "read"), GIGABYTES.values(), ids=GIGABYTES)
def test_a_file_that_says_it_goes_on_for_gigabytes_takes_little_memory(content, read, tmp_path):
    """Pillow asks the file for as many bytes as a damaged length says. `make fuzz` found this.

    The archive has an array whose header says 3 GB.
    """
    path = tmp_path / "some"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with suppress(sn.DataError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
