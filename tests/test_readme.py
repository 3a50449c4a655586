"""The README's Python, run as printed."""

import re
from pathlib import Path

from benchmarks import report

ROOT = Path(__file__).parent.parent


def test_every_python_block_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_DATA", "synthetic")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 7
    namespace = {}
    for block in blocks:
        exec(block, namespace)
    out = capsys.readouterr().out
    assert out.startswith("[4. 6. 8.]\n6.0\nepoch:  0 duration:")
    assert (tmp_path / "curves.png").exists()
    assert namespace["history"]["valid_accuracy"][-1] > 0.8


def test_the_readme_s_tables_are_made_from_the_records():
    readme = (ROOT / "README.md").read_text()
    assert report.with_tables(readme, report.records()) == readme
