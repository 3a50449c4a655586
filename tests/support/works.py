"""All that the library writes: each work with what is there before it, and with its reader."""

import io
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import data_works as data
import numpy as np
from needed import needs
from noisy import learner
from processes import run

import scratchnet as sn
from scratchnet.results.plots.saving import save_figure
from scratchnet.results.report import gathered, page

OLD, NEW = ({"w": np.full(700, number, "float32")} for number in (1, 2))
OLD_PICTURES = {
    "f.png": b"\x89PNG\r\n tEXtSoftware\0scratchnet 0",
    "f.svg": b"<dc:creator><cc:Agent><dc:title>scratchnet 0",
    "f.dot": b"digraph scratchnet {\n  graph [nodesep=",
}
PAGE = (
    b'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    b'<meta name="generator" content="scratchnet 0">%s</html>'
)


class Work(NamedTuple):
    """A work in a folder."""

    do: Callable[[Path], object]
    read: Callable[[Path], object]
    """Return what a reader finds. It is an error if a file is there and not whole."""
    prepare: Callable[[Path], object] = lambda folder: None
    steps: tuple[object, ...] = ()
    """What a reader may find apart from what is there before and after the work."""
    name: str = "f"
    """What an error names."""
    is_log: bool = False
    """It grows line by line, and is not forced to the disk."""


def file_of(read):
    """Return a reader of the file f, which finds None if it is not there."""
    return lambda folder: read(folder / "f") if (folder / "f").exists() else None


# Models and checkpoints


def save(state):
    return lambda folder: sn.save(folder / "f", state)


def weights(path):
    return sn.load(path)["w"].tobytes()


@cache
def ended_process():
    return run("sh", "-c", "echo $$").stdout.strip()


def after_a_kill(folder):
    save(OLD)(folder)
    (folder / f".f.{ended_process()}-00.part").write_bytes(b"part")


def trained(path):
    training = learner(size=40)
    if path.exists():
        training.resume(path)
    return training


def save_checkpoint(folder):
    training = trained(folder / "f")
    training.fit(1, None)
    training.save(folder / "f")


def fit(folder):
    trained(folder / "f").fit(1, None, folder / "f")


def epochs(path):
    training = learner(size=40)
    training.resume(path)
    return training.epochs


def epoch(path):
    return sn.load_metadata(path)["epoch"]


def fit_with(callback):
    return lambda folder: learner(size=40).fit(2, None, callbacks=[callback(folder / "f")])


# Logs


def appending(path):
    return sn.CSVLogger(path, append=True)


def lines(path):
    content = path.read_text()
    assert content.endswith("\n")
    return content.count("\n")


def scalars(folder):
    """Return the number of scalars in the event files."""
    needs("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    number = 0
    for file in (folder / "f").glob("*"):
        content = file.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            if len(content) < size + 16:  # readers stop there
                break
            number += len(Event.FromString(content[12 : size + 12]).summary.value)
            content = content[size + 16 :]
    return number


# Results


def write_page(folder):
    page.write_report(folder / "f", None)


def old_page(folder):
    (folder / "f").mkdir()
    (folder / "f" / page.PAGE).write_bytes(PAGE % b"old")


def page_of(folder):
    path = folder / "f" / page.PAGE
    if not path.exists():
        return None
    content = path.read_bytes()
    assert content in (PAGE % b"old", PAGE % b"new")
    return content


@cache
def figure():
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    figure.add_subplot().plot([1, 2])
    return figure


def plot(name):
    return lambda folder: save_figure(figure(), folder / name)


def old_files(folder):
    for name, content in OLD_PICTURES.items():
        (folder / name).write_bytes(content)


def picture(name, check):
    def read(folder):
        path = folder / name
        if not path.exists() or path.read_bytes() == OLD_PICTURES[name]:
            return path.exists()
        check(path.read_bytes())
        return "new"

    return read


def check_png(content):
    from PIL import Image

    Image.open(io.BytesIO(content)).load()


@cache
def drawing():
    return sn.draw((sn.Variable(np.ones(3), requires_grad=True) * 2).sum())


def draw(folder):
    drawing().save(folder / "f.dot")


def check_dot(content):
    assert content.decode() == drawing().dot


WORKS = {
    "model": Work(save(NEW), file_of(weights)),
    "model over an older": Work(save(NEW), file_of(weights), save(OLD)),
    "model after a kill": Work(save(NEW), file_of(weights), after_a_kill),
    "checkpoint": Work(save_checkpoint, file_of(epochs)),
    "checkpoint over an older": Work(save_checkpoint, file_of(epochs), save_checkpoint),
    "fit": Work(fit, file_of(epochs), steps=(0,)),
    "fit over an older": Work(fit, file_of(epochs), save_checkpoint, (1,)),
    "ModelCheckpoint": Work(fit_with(sn.ModelCheckpoint), file_of(epoch), steps=("0",)),
    "CSVLogger": Work(fit_with(sn.CSVLogger), file_of(lines), steps=(1, 2), is_log=True),
    "CSVLogger, appending": Work(
        fit_with(appending), file_of(lines), fit_with(appending), (4,), is_log=True
    ),
    "TensorBoard": Work(fit_with(sn.TensorBoard), scalars, steps=(*range(10),), is_log=True),
    "report": Work(write_page, page_of),
    "report over an older": Work(write_page, page_of, old_page),
    "PNG": Work(plot("f.png"), picture("f.png", check_png)),
    "SVG over an older": Work(plot("f.svg"), picture("f.svg", ElementTree.fromstring), old_files),
    "DOT": Work(draw, picture("f.dot", check_dot)),
    "cache": Work(data.read_cached, data.entries, name="parsed"),
    "download": Work(data.fetch, data.downloaded, steps=(("images",),)),
    "index": Work(sn.index_files, data.rows_of_index, data.rows("a", 5), name=""),
    "index over an older": Work(sn.index_files, data.rows_of_index, data.an_old_index, name=""),
}


def surround(monkeypatch, folder):
    """Let the works find what they need, and write a short page."""
    data.surround(monkeypatch, folder)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # `Disk` sees those in its folder
    monkeypatch.setattr(gathered, "gather", lambda learner: None)
    monkeypatch.setattr(page, "_render", lambda report: PAGE % b"new")
