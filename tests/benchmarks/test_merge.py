"""Records of `make gpu` are merged, and the README shows the result. No measurement is lost."""

import json

import pytest

from benchmarks import report
from benchmarks.compare import RecordError
from benchmarks.figures import figure
from benchmarks.merge import merged

CLUSTERS = "clusters of forward_backward at once"


def record(day=1, machine="NVIDIA H100", quick=False, **tables):
    """Return a record in which everything was measured on that day of January."""
    stamp = {"measured": f"2026-01-{day:02}T12:00:00.000000+00:00"}
    made = {"figures": [each | stamp for each in tables.pop("figures", [])]}
    for table in ("facts", "results", "parts", "attempts"):
        made[table] = {name: each | stamp for name, each in tables.pop(table, {}).items()}
    return {"machine": machine, "system": "Linux", "date": stamp["measured"], "quick": quick} | made


def epoch(what, seconds):
    return figure("epoch", what, [seconds] * 3, data="Fashion-MNIST")


def part(outcome, why=""):
    return {"outcome": outcome, "why": why}


def test_the_newest_of_each_thing_stays_in_any_order():
    records = [
        record(1, figures=[epoch("theirs", 9.0)]),
        record(3, figures=[epoch("ours", 3.0)], facts={CLUSTERS: {"value": 3, "unit": ""}}),
        record(2, figures=[epoch("ours", 2.0)], facts={CLUSTERS: {"value": 2, "unit": ""}}),
    ]
    found = merged(records)
    assert {each["what"]: each["median"] for each in found["figures"]} == {"ours": 3, "theirs": 9}
    assert found["facts"][CLUSTERS]["value"] == 3
    assert found["date"] == records[1]["date"]
    assert json.dumps(found) == json.dumps(merged(records[::-1]))
    assert json.dumps(found) == json.dumps(merged([found, *records[:2]]))


def test_a_failure_stays_until_the_same_succeeds_and_costs_no_figure():
    good = record(1, figures=[epoch("ours", 3.0)], attempts={"launches": part("done")})
    broken = record(2, attempts={"launches": part("failed", "broken")})
    fixed = record(3, attempts={"launches": part("done")})
    told = [(each["what"], each["error"]) for each in report.failures(merged([good, broken]))]
    assert told == [("launches", "broken")]
    assert merged([good, broken])["figures"] == good["figures"]
    assert report.failures(merged([fixed, good, broken])) == []


@pytest.mark.parametrize("outcome", ["running", "ended", "skipped"])
def test_what_was_cut_off_does_not_replace_what_came_to_its_end(outcome):
    suite = {"passed": 900, "failed": 0, "error": 0, "whole": True}
    whole = record(1, parts={"suite": part("done")}, results={"suite": suite})
    cut = record(
        2, parts={"suite": part(outcome)}, results={"suite": suite | {"passed": 3, "whole": False}}
    )
    found = merged([whole, cut])
    assert found["parts"]["suite"]["outcome"] == "done"
    assert found["results"]["suite"]["passed"] == 900
    assert merged([cut])["parts"]["suite"]["outcome"] == outcome
    assert "3 tests passed, 0 failed before the run was ended" in report.with_tables("", [cut])


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"machine": "NVIDIA H200"}, "of several machines"), ({"quick": True}, "merge whole ones"),
        ({"machine": ""}, "several machines"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_is_told(other, told):
    with pytest.raises(RecordError, match=told):
        merged([record(), record(**other)])


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A separate README and folder of records, with the record of the GPU."""
    readme = tmp_path / "README.md"
    readme.write_text(report.README.read_text())
    monkeypatch.setattr(report, "README", readme)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    return tmp_path / "results" / "nvidia-h100.json"


def written(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def test_records_are_merged_into_the_gpu_s_own_and_the_readme_shows_it(kept, tmp_path):
    predicted = {CLUSTERS: {"value": 9.0, "predicted": [16, 16], "unit": ""}}
    first = record(1, figures=[epoch("ours", 3.0)], attempts={"step": part("failed", "broken")})
    second = record(2, figures=[epoch("theirs", 9.0)], facts=predicted)
    for content in (first, second):
        assert report.main(["--merge", written(tmp_path / "new.json", content)]) == 0
    assert len(json.loads(kept.read_text())["figures"]) == 2
    text = report.README.read_text()
    assert "| ours | Fashion-MNIST | NVIDIA H100 | 3.00 s |" in text
    assert f"| {CLUSTERS} | 16 | 9 |" in text
    assert "| attempt | step |  | failed | broken |" in kept.with_suffix(".md").read_text()
    assert kept.with_name("epochs.png").exists()


def without(content, *place):
    """Return the record without one thing, which is at that place in it."""
    content = json.loads(json.dumps(content))
    within = content
    for name in place[:-1]:
        within = within[name]
    del within[place[-1]]
    return content


WHOLE = record(
    figures=[
        epoch("ours", 3.0),
        figure("floor", "ours", [1.0] * 3, threads=1, over_products=[1.0, 1.1, 1.2]),
        figure("scaling", "ours", [1.0] * 3, axis="samples", at=9, backend="numpy"),
    ],
    results={"suite": {"passed": 1, "failed": 0, "error": 0, "whole": True}},
    facts={CLUSTERS: {"value": 9.0, "predicted": [16, 16], "unit": ""}},
    parts={"suite": part("done")},
)
BROKEN = {
    **{
        " ".join(map(str, place)): without(WHOLE, *place)
        for place in [
            ("date",), ("system",), ("facts",), ("figures", 0, "data"), ("figures", 0, "rounds"),
            ("figures", 0, "measured"), ("figures", 1, "threads"), ("figures", 1, "over_products"),
            ("figures", 2, "backend"), ("figures", 2, "axis"), ("results", "suite", "failed"),
            ("facts", CLUSTERS, "value"), ("facts", CLUSTERS, "measured"), ("parts", "suite", "outcome"),
        ]
    },
    "facts as a list": WHOLE | {"facts": [1, 2]}, "no parts": WHOLE | {"parts": None},
    "no moment": WHOLE | {"facts": {"a": {"value": 3, "unit": "", "measured": 5}}},
    "a long name": WHOLE | {"machine": "x" * 300},
    "a formula": WHOLE | {"figures": [epoch("$x^$ {", 1.0) | {"measured": WHOLE["date"]}]},
    "a fact is a number": WHOLE | {"facts": {"a": 3}}, "a list": [], "no GPU": WHOLE | {"machine": ""},
    "of the suite": {"machine": "a CPU", "date": "2026-01-01", "system": "Linux", "figures": []},
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_record_is_named_and_nothing_is_written(kept, tmp_path, capsys, broken):
    before = report.README.read_text()
    good, bad = (written(tmp_path / f"{name}.json", content) for name, content in
                 (("good", WHOLE), ("bad", BROKEN[broken])))  # fmt: skip
    assert report.main(["--merge", good, bad]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"benchmarks.report: {bad}: ")
    assert told.count("\n") == 1
    assert list(kept.parent.iterdir()) == []
    assert report.README.read_text() == before


def test_what_stands_beside_it_is_looked_at_before_anything_is_written(kept, tmp_path, capsys):
    path, deep = written(tmp_path / "new.json", WHOLE), tmp_path / "deep.json"
    deep.write_text("[" * 200_000)
    other = kept.with_name("other.json")
    other.write_text("{")
    for arguments, told in (["--merge", path], other), (["--merge", str(deep)], deep), ([], other):
        assert report.main(arguments) == 2
        assert capsys.readouterr().err.startswith(f"benchmarks.report: {told}: is no JSON")
    other.unlink()
    report.README.unlink()
    assert report.main(["--merge", path]) == 2
    assert f"{report.README}: No such file" in capsys.readouterr().err
    assert list(kept.parent.iterdir()) == []


def test_the_whole_one_is_not_broken(kept, tmp_path):
    assert report.main(["--merge", written(tmp_path / "whole.json", WHOLE)]) == 0
    assert json.loads(kept.read_text()) == WHOLE
