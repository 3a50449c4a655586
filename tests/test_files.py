"""A file is written completely or not at all, and is safe on the disk before it has its name."""

import os

import pytest

from scratchnet.files import write_whole


@pytest.mark.guarantee("content-before-name")
@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="here a folder cannot be opened")
def test_content_and_name_are_forced_to_the_disk_in_that_order(tmp_path, monkeypatch):
    """Simulate a power failure: the disk has what was forced to it, and perhaps no more."""
    path, done = tmp_path / "c", []
    path.write_bytes(b"old")

    def note(call, what=None):
        there = {each.suffix or "c": each for each in tmp_path.iterdir()}
        for name, place in {"folder": tmp_path, **there}.items():
            if what is not None and os.path.samestat(os.fstat(what), place.stat()):
                call = f"{call} {name}"
        done.append((call, {name: each.read_bytes() for name, each in there.items()}))

    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (note("fsync", file), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (note("replace"), replace(*paths)))
    write_whole(path, lambda file: file.write(b"new"))
    assert done == [
        ("fsync .part", {"c": b"old", ".part": b"new"}),
        ("replace", {"c": b"old", ".part": b"new"}),
        ("fsync folder", {"c": b"new"}),
    ]
