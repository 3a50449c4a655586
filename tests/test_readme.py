"""The README: its network learns, and its tables are those of the records. tests/test_docs.py runs its blocks."""

from pages import ROOT, follow

from benchmarks import report


def test_the_readme_s_network_learns_and_is_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRATCHNET_DATA", "synthetic")
    namespace, printed = follow(ROOT / "README.md")
    assert printed.startswith("[4. 6. 8.]\n6.0\nepoch:  0 duration:")
    assert (tmp_path / "curves.png").exists()
    assert namespace["history"]["valid_accuracy"][-1] > 0.8


def test_the_readme_s_tables_are_made_from_the_records():
    readme = (ROOT / "README.md").read_text()
    assert report.with_tables(readme, report.records()) == readme
