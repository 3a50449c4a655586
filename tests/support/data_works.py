"""The works of `works.WORKS` that write data sets and their caches, with their readers."""

import hashlib
import io
from functools import cache
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from data_files import COUNT, idx

import scratchnet as sn
from scratchnet.data import cache as cached_files
from scratchnet.data import download, sources
from scratchnet.data.readers import read_idx_pair
from scratchnet.data.streaming.index import read_index


@cache
def samples():
    """The content of a pair of IDX files, with their samples."""
    rng = np.random.default_rng(0)
    pixels, labels = (
        rng.integers(0, 256, (COUNT, 28, 28), np.uint8),
        rng.integers(0, 10, COUNT, np.uint8),
    )
    return pixels, {"images": idx(pixels), "labels": idx(labels)}


def read_cached(folder):
    pixels, contents = samples()
    for name, content in contents.items():
        if not (folder.parent / name).exists():
            (folder.parent / name).write_bytes(content)
    found = cached_files.cached(read_idx_pair, *(folder.parent / name for name in contents))
    np.testing.assert_array_equal(found.pixels, pixels)


def entries(folder):
    found = [*folder.rglob("*.zip")]
    for each in found:
        with ZipFile(each) as members:
            assert members.testzip() is None
            assert len(members.namelist()) == 3
    return len(found)


class Answer(NamedTuple):
    raw: io.BytesIO
    status_code: int = 200

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Session(Answer):
    def get(self, url, **_):
        return Answer(io.BytesIO(samples()[1][url.rpartition("/")[2]]))


def fetch(folder):
    sources.fetch(folder / "f")


def downloaded(folder):
    contents = {each.name: each.read_bytes() for each in (folder / "f").glob("[!.]*")}
    assert contents.items() <= samples()[1].items()
    return tuple(sorted(contents))


def rows(name, number):
    return lambda folder: np.savez(folder / name, inputs=np.ones((number, 3)), targets=np.ones(number))


def an_old_index(folder):
    rows("a", 5)(folder)
    sn.index_files(folder)
    rows("b", 6)(folder)


def rows_of_index(folder):
    path = folder / "index.json"
    return read_index(path).rows.sum() if path.exists() else None


def surround(monkeypatch, folder):
    """Let the works find small files, a server without a network, and a cache in the folder."""
    monkeypatch.setattr(cached_files, "_WORTH_IT", 0)
    monkeypatch.setenv("SCRATCHNET_CACHE", str(folder / "cache"))
    official = {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in samples()[1].items()
    }
    monkeypatch.setattr(sources, "OFFICIAL", official)
    monkeypatch.setattr(sources, "MIRRORS", ("https://mirror/",))
    monkeypatch.setattr(download, "session", lambda: Session(io.BytesIO()))
