"""Runs the text of the tutorial and keeps what came of it in the notebook: `make notebook`."""

from pathlib import Path

import jupytext
import nbclient
import nbformat

TEXT = Path(__file__).with_name("from_scratch.py")


def run(text: Path) -> nbformat.NotebookNode:
    """The notebook of a text, with all outputs; nothing in it tells one run from the next but those."""
    notebook = jupytext.read(text)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    surroundings = {"metadata": {"path": str(text.parent)}}
    nbclient.NotebookClient(notebook, record_timing=False, resources=surroundings).execute()
    return notebook


if __name__ == "__main__":
    nbformat.write(run(TEXT), TEXT.with_suffix(".ipynb"))
