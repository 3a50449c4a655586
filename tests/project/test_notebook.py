"""The tutorial: the notebook and its text are the same, and it runs from top to bottom."""

import os
import re
import sys
from pathlib import Path

import pytest
from needed import needs
from processes import LIMIT

jupytext = needs("jupytext", "dev")
nbclient = needs("nbclient", "dev")
nbformat = needs("nbformat", "dev")

ROOT = Path(__file__).parents[2]
NOTEBOOK, TEXT = (ROOT / "notebooks" / f"from_scratch.{suffix}" for suffix in ("ipynb", "py"))


def outputs(notebook):
    """Return each output of each cell, with the cell's text."""
    return [(cell.source, each) for cell in notebook.cells for each in cell.get("outputs", ())]


def test_the_notebook_is_its_text_and_what_came_of_it():
    notebook = nbformat.read(NOTEBOOK, 4)
    text = jupytext.read(TEXT)
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in text.cells
    ]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    assert {each.output_type for _, each in outputs(notebook)} == {
        "stream",
        "display_data",
        "execute_result",
    }
    pictures = [source for source, each in outputs(notebook) if "image/png" in each.get("data", {})]
    assert len(pictures) == 8
    assert "Fashion-MNIST: 60,000 images to train on" in str(outputs(notebook))
    durations = [int(ms) for ms in re.findall(r"duration: *(\d+)ms", str(outputs(notebook)))]
    assert len(durations) == 10
    assert max(durations) < 4300  # the original's time, which the text mentions


def test_it_runs_from_top_to_bottom(backend, real_data, tmp_path, monkeypatch):
    """Run all of it on NumPy, and its quick form elsewhere, with no line changed."""
    monkeypatch.setenv("SCRATCHNET_BACKEND", backend)
    monkeypatch.setenv("SCRATCHNET_DATA", str(real_data))
    others = [each for each in sys.path if backend == "strict" or not each.endswith("strict")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(others))  # its last cell trains on all backends
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.delenv("SCRATCHNET_QUICK", raising=False)
    if backend != "numpy":
        monkeypatch.setenv("SCRATCHNET_QUICK", "1")
    notebook = nbformat.read(NOTEBOOK, 4)
    nbclient.NotebookClient(
        notebook, timeout=LIMIT, startup_timeout=LIMIT, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    said = "".join(each.text for _, each in outputs(notebook) if each.output_type == "stream")
    assert "gradcheck says the same: True" in said
    losses = dict(re.findall(r"^(\w+) +loss (\d\.\d+) +an epoch in", said, re.MULTILINE))
    losses = {name: float(loss) for name, loss in losses.items()}
    assert {"numpy", backend} <= losses.keys()
    assert losses == pytest.approx(dict.fromkeys(losses, losses["numpy"]), rel=1e-4)
    assert losses["numpy"] < (0.5 if backend == "numpy" else 2)  # a network that knows nothing: 2.3


@pytest.mark.parametrize("before", ["", "import matplotlib.pyplot as plt; plt.figure(); plt.close()"])
def test_a_picture_at_the_end_of_a_cell_is_shown_once(before, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    cell = nbformat.v4.new_code_cell(
        f"import scratchnet as sn\n{before}\nsn.plot_weights(sn.Classifier(4, 0))"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbclient.NotebookClient(
        notebook, timeout=LIMIT, startup_timeout=LIMIT, kernel_name="python3"
    ).execute()
    ((_, shown),) = outputs(notebook)
    assert set(shown.data) == {"text/plain", "image/png"}
