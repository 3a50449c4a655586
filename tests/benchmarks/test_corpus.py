"""The inputs that guided fuzzing kept are read again; the watch over a reader sees what it does."""

import os
import socket
import tracemalloc
from os import system
from pathlib import Path

import numpy as np
import pytest
from needed import needs

from benchmarks.fuzz import corpus, formats
from benchmarks.fuzz.formats import FORMATS
from benchmarks.fuzz.watch import ForbiddenError, limited, observed, watched


@pytest.fixture(autouse=True)
def traced():
    needs("PIL")
    needs("pyarrow")
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.guarantee("A file is read correctly, or refused in one line that names it.")
@pytest.mark.parametrize("reader", FORMATS)
def test_each_kept_input_is_read_or_refused_by_name(reader):
    formats.warm(reader)
    inputs = {**dict(enumerate(FORMATS[reader].seeds())), **corpus.kept(reader)}
    seen = {name: formats.seen(reader, content) for name, content in inputs.items()}
    wrong = {name: each for name, each in seen.items() if each.outcome not in ("read", "refused")}
    assert wrong == {}
    assert {each.outcome for each in seen.values()} == {"read", "refused"}


def test_an_arrow_file_whose_columns_are_too_short_is_no_other_memory():
    formats.warm("parquet")
    (short,) = [each for name, each in corpus.kept("parquet").items() if "pyarrow-compute" in name]
    assert "too small" in formats.seen("parquet", short).told


def test_the_corpus_is_small():
    sizes = {path.stem: path.stat().st_size for path in corpus.CORPUS.iterdir()}
    assert sizes.keys() == FORMATS.keys()
    assert sum(sizes.values()) < 500_000


def unpickle(path):
    import pickle

    pickle.loads(b"cos\nsystem\n(S'true'\ntR.")


ACTS = {
    "eval": lambda path: eval("1"),
    "compile": lambda path: compile("1", "some", "eval"),
    "unpickle": unpickle,
    "pickled array": lambda path: np.load(path / "pickled.npy", allow_pickle=True),
    "import": lambda path: __import__("this"),
    "system": lambda path: system("true"),
    "program": lambda path: os.posix_spawn("/bin/true", ["true"], {}),
    "connection": lambda path: socket.create_connection(("localhost", 9)),
    "other file": lambda path: Path(path, "other").write_text("x"),
    "removed": lambda path: Path(path, "pickled.npy").unlink(),
    "renamed": lambda path: Path(path, "pickled.npy").rename(path / "other"),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("caught", [False, True])
def test_what_no_reader_may_do_is_seen_and_not_done(act, caught, tmp_path):
    np.save(tmp_path / "pickled.npy", np.array([unpickle], object), allow_pickle=True)

    def read():
        with watched():
            try:
                ACTS[act](tmp_path)
            except BaseException:
                if not caught:
                    raise

    seen = observed(read, [tmp_path], 0)
    assert seen.outcome == "other exception"
    assert seen.told.startswith("ForbiddenError")
    assert [each.name for each in tmp_path.iterdir()] == ["pickled.npy"]


def test_a_reader_may_read_and_write_where_it_is_allowed(tmp_path):
    with watched(tmp_path):
        (tmp_path / "index.json").write_text("{}")
        assert (tmp_path / "index.json").read_text() == "{}"
    with pytest.raises(ForbiddenError), watched(tmp_path / "inside"):
        (tmp_path / "index.json").write_text("{}")


def test_a_hang_is_seen():
    def read():
        with limited(0.1):
            while True:
                pass

    assert observed(read, [], 0).told.startswith("TimeoutError")


def test_each_line_that_only_one_input_reaches_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "CORPUS", tmp_path)
    good, bad = FORMATS["idx"].seeds()[0], b"\0\0\x08\3"
    corpus.keep("idx", [good, good + b"more", bad, bad[:2]], {"of some kind": b"x"})
    first = corpus.kept("idx")
    assert good in first.values()
    assert first["fault of some kind"] == b"x"
    assert len(first) < 5
    corpus.keep("idx", [], {})
    assert corpus.kept("idx") == first


def test_the_first_input_of_each_reader_is_valid():
    for reader, form in FORMATS.items():
        formats.warm(reader)
        assert formats.seen(reader, form.seeds()[0]).outcome == "read"
