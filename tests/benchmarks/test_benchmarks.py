"""The benchmark suite: what it says about its figures, and how it reacts to wrong arguments."""

import json

import pytest
from processes import shell

from benchmarks import scaling
from benchmarks.compare import RecordError, changes, read
from benchmarks.figures import figure
from benchmarks.report import table
from scratchnet.results.words import duration


def scratchnet(*arguments):
    """Run a command. Return its exit code, output and errors."""
    # In a worker of xdist, nothing would be measured.
    environment = {"SCRATCHNET_DATA": "synthetic", "PYTEST_XDIST_WORKER": None}
    done = shell(*map(str, arguments), environment=environment)
    return done.returncode, done.stdout, done.stderr


def test_bench_without_the_repository_says_where_the_suite_is(command, monkeypatch):
    monkeypatch.setattr(
        "scratchnet.cli.bench.find_spec", lambda name: None if name == "benchmarks" else 1
    )
    code, _, error = command("bench", "--quick")
    assert code == 2
    assert error.count("\n") == 1
    assert "the benchmark suite is a part of the repository, not of the installed package" in error


def test_a_figure_is_a_median_and_its_spread():
    found = figure("epoch", "ours", [5.0, 1.0, 3.0, 2.0, 4.0], accuracy=0.9)
    assert (found["median"], found["quartiles"], found["rounds"]) == (3.0, [2.0, 4.0], 5)
    assert (found["min"], found["max"], found["accuracy"]) == (1.0, 5.0, 0.9)
    assert [duration(s) for s in (4.3, 0.9999, 0.1424, 0.00215, 1.6e-5, 3e-7)] == [
        "4.30 s", "1.00 s", "142 ms", "2.15 ms", "16.0 µs", "0.30 µs",
    ]  # fmt: skip


def test_slower_is_what_lies_apart_from_the_recorded_spread():
    then = [figure("layer", name, [1.0, 1.1, 1.2], backend="numpy") for name in "abc"]
    now = [
        figure("layer", "a", [1.1, 1.2, 1.3], backend="numpy"),  # within the spread
        figure("layer", "b", [2.0, 2.2, 2.4], backend="numpy"),
        figure("layer", "c", [0.5, 0.55, 0.6], backend="numpy"),
        figure("layer", "a", [9.0], backend="cupy"),  # nothing to compare with
    ]
    found = changes(now, then)
    assert [each.mark for each in found] == ["", "slower", "faster"]
    assert found[1].ratio == pytest.approx(2.0)


def points(backend, times):
    return [{"axis": "batch size", "at": at, "backend": backend, "median": t} for at, t in times.items()]


@pytest.mark.parametrize(
    ("cpu", "gpu", "told"),
    [
        ({32: 1, 64: 1, 128: 1}, {32: 4, 64: 2, 128: 0.5}, "cupy wins from about 91 on"),
        ({32: 1, 64: 1}, {32: 0.5, 64: 0.1}, "cupy wins from the smallest on, 32"),
        ({32: 1, 64: 1}, {32: 5, 64: 3}, "numpy wins up to the largest, 64"),
        ({32: 1, 64: 1}, {32: 0.5, 64: 3}, "numpy wins at the largest, 64"),
        ({32: 1}, {64: 1}, "not measured on both"),
    ],
)
def test_the_crossover_lies_where_the_other_backend_begins_to_win(cpu, gpu, told):
    assert scaling.crossovers(points("numpy", cpu) + points("cupy", gpu)) == {"batch size": told}


def test_a_point_of_the_scaling_is_measured_on_every_backend(backend, monkeypatch):
    data = scaling.load("synthetic", 200)
    found = list(scaling.points(data, {"batch size": (50,), "samples": (100, 10_000)}, rounds=2))
    assert [(each["axis"], each["at"]) for each in found] == [("batch size", 50), ("samples", 100)]
    assert all(each["backend"] == backend and each["median"] > 0 for each in found)
    assert all(len(line) for line in scaling.growth(found))
    header, rows = table(found)
    assert [len(row) for row in rows] == [len(header)] * 2


FIGURE = '{"group": "layer", "what": "x", "median": 1, "quartiles": [1, 1]}'
NO_FIGURES = (
    '{"what": "x"}', FIGURE.replace(": 1,", ": 0,"), FIGURE.replace(": 1,", ': "1",'),
    FIGURE.replace("[1, 1]", "null"), FIGURE.replace("[1, 1]", "[1]"),
)  # fmt: skip
NO_RECORDS = (
    "", "{", "[]", "{}", '{"figures": 3}', f'{{"figures": [{FIGURE}]}}',
    *(f'{{"machine": "m", "figures": [{each}]}}' for each in NO_FIGURES),
)  # fmt: skip


@pytest.mark.parametrize("content", NO_RECORDS)
def test_what_is_no_record_is_told(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=r"record\.json"):
        read(path)


def test_a_record_may_tell_of_a_failure(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(f'{{"machine": "m", "figures": [{FIGURE}, {{"what": "y", "error": "broken"}}]}}')
    assert len(read(path)["figures"]) == 2


def test_the_suite_from_the_command_line(tmp_path):
    out = tmp_path / "records"
    only = "--", "-k", "Add or import"
    code, lines, error = scratchnet("bench", "--quick", "--backend", "numpy", "--out", out, *only)
    assert (code, error) == (0, "")
    for what in ("Add, forward", "Add, backward", "import numpy", "import scratchnet"):
        assert sum(what in line for line in lines.splitlines()) == 1
    (path,) = out.glob("*.json")
    assert f"recorded in {path}" in lines
    record = json.loads(path.read_text())
    assert record["quick"]
    assert record["libraries"]["numpy"]
    assert record["figures"][0]["rounds"] > 1
    assert "| function | Add, forward | numpy |" in path.with_suffix(".md").read_text()

    code, lines, _ = scratchnet("bench", "--quick", "--backend", "numpy", "--compare", path, *only)
    assert code == 0
    assert "now over then" in lines
    assert "4 figures compared" in lines
    assert "not recorded" in lines


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--backend", "abacus"], "unknown backend 'abacus'; known are numpy, cupy"),
        (["--compare", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--rounds", "3"], "No such option"),
        (["--out", __file__, "--quick"], "File exists"),
    ],
)
def test_wrong_arguments_are_a_line(arguments, told):
    code, lines, error = scratchnet("bench", *arguments)
    assert (code, lines) == (2, "")
    assert told in error
    assert error.count("\n") == 1
