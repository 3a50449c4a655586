"""`python -m benchmarks.mutants` plants 600 small faults, one at a time: how many do the tests not see?

It ends with 1 if more than 3 percent survive without a reason in reasons.json, or if a fault of
named.json survives. `--survivors` runs only those that the record lists, after tests were added, and
takes those that no longer survive out of the record.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

from benchmarks.mutants.judge import Judge, Verdict
from benchmarks.mutants.mutate import Mutant
from benchmarks.mutants.rooms import ROOMS, Room, possible
from benchmarks.mutants.tree import Tree
from benchmarks.report import MUTANTS, RESULTS

MOST_WITHOUT_REASON = 0.03
_FOLDER = Path(__file__).parent
_ROOT = _FOLDER.parent.parent

Key: TypeAlias = tuple[str, str, str]


def main(arguments: Sequence[str], root: Path = _ROOT, rooms: dict[str, Room] = ROOMS) -> int:
    """Draw the mutants, judge them and the named faults, and write the record.

    Args:
        arguments: those of the command line.
        root: the repository.
        rooms: the files and their tests.

    Returns:
        0, or 1 if too many survive without a reason.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("--mutants", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--room", choices=rooms, help="only this one; nothing is recorded")
    parser.add_argument("--survivors", action="store_true", help="only those that the record lists")
    parser.add_argument("--patience", type=float, default=20, help="seconds above the usual time")
    parser.add_argument("--out", type=Path, default=RESULTS / MUTANTS, help="the record")
    parser.add_argument("--reasons", type=Path, default=_FOLDER / "reasons.json")
    parser.add_argument("--named", type=Path, default=_FOLDER / "named.json")
    asked = parser.parse_args(arguments)
    start = perf_counter()
    all_of = {name: possible(room, root) for name, room in rooms.items()}
    reasons = {_key(each): each["reason"] for each in json.loads(asked.reasons.read_text())}
    before = json.loads(asked.out.read_text()) if asked.survivors else None
    chosen = _listed(before, all_of) if before else draw(all_of, asked.mutants, asked.seed)
    named = {} if asked.room else _named(json.loads(asked.named.read_text()), root)
    if asked.room:
        chosen = {asked.room: chosen.get(asked.room, [])}
    unreliable: list[str] = []

    def judged(room: Room, mutants: list[Mutant]) -> list[tuple[Mutant, Verdict]]:
        if not mutants:
            return []
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            judge = Judge(Tree(root, Path(folder)), room, asked.patience)
            pairs = [(each, _told(each, verdict)) for each, verdict in judge.judge(mutants)]
            unreliable.extend(judge.unreliable)
        return pairs

    faults = [pair for room, mutants in named.items() for pair in judged(room, mutants)]
    found = {name: judged(room, chosen.get(name, [])) for name, room in rooms.items()}
    stale = sorted(reasons.keys() - {each.key for mutants in all_of.values() for each in mutants})
    record = {
        "date": date.today().isoformat(),
        "seed": before["seed"] if before else asked.seed,
        "seconds": round(perf_counter() - start),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": {name: version(name) for name in ("numpy", "pytest", "hypothesis")},
        "rooms": _rooms(found, all_of, before),
        "survivors": [
            {**_place(each), "reason": reasons.get(each.key)}
            for mutants_of_room in found.values()
            for each, verdict in mutants_of_room
            if verdict.how == "survived"
        ],
        "named": {each.change: verdict._asdict() for each, verdict in faults},
        "stale_reasons": stale,
        "unreliable_tests": unreliable,
    }
    if not asked.room:
        asked.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return _summary(record)


def draw(all_of: dict[str, list[Mutant]], count: int, seed: int) -> dict[str, list[Mutant]]:
    """Return mutants by room, drawn from all of them with the same chance each."""
    pairs = [(name, each) for name, mutants in all_of.items() for each in mutants]
    drawn = random.Random(seed).sample(pairs, min(count, len(pairs)))
    return {name: [each for room, each in drawn if room == name] for name in all_of}


def _listed(record: dict[str, Any], all_of: dict[str, list[Mutant]]) -> dict[str, list[Mutant]]:
    """Return the survivors of a record."""
    wanted = Counter(_key(each) for each in record["survivors"])
    chosen: dict[str, list[Mutant]] = {}
    for name, mutants in all_of.items():
        for each in mutants:
            if wanted[each.key]:
                wanted[each.key] -= 1
                chosen.setdefault(name, []).append(each)
    if missing := list(wanted.elements()):
        raise SystemExit(f"{missing[0][0]} has changed since the record; run without --survivors")
    return chosen


def _named(listed: Iterable[dict[str, Any]], root: Path) -> dict[Room, list[Mutant]]:
    """Return the named faults by the tests that must see them. The change of each is its name.

    Raises:
        SystemExit: the code has changed, so that a fault no longer fits.
    """
    found: dict[Room, list[Mutant]] = {}
    for each in listed:
        source = (root / each["file"]).read_bytes()
        old = each["old"].encode()
        if source.count(old) != 1:
            raise SystemExit(
                f"named.json: {each['name']!r} no longer fits {each['file']}; change its text"
            )
        start = source.index(old)
        line = source.count(b"\n", 0, start) + 1
        code = source.splitlines()[line - 1].decode().strip()
        fault = Mutant(each["file"], line, code, each["name"], start, start + len(old), each["new"])
        found.setdefault(Room((), tuple(each["tests"])), []).append(fault)
    return found


def _rooms(
    found: dict[str, list[tuple[Mutant, Verdict]]],
    all_of: dict[str, list[Mutant]],
    before: dict[str, Any] | None,
) -> dict[str, dict[str, int]]:
    """Return the counts of each room, with those of an earlier record for what was not run again."""
    counts: dict[str, dict[str, int]] = {}
    for name, mutants in all_of.items():
        counted = Counter(verdict.how for _, verdict in found.get(name, ()))
        if before:
            earlier = before["rooms"][name]
            counted.update({how: earlier[how] for how in ("killed", "timed out")})
        kinds = {how: counted[how] for how in ("killed", "timed out", "survived")}
        counts[name] = {"possible": len(mutants), "drawn": counted.total(), **kinds}
    return counts


def _summary(record: dict[str, Any]) -> int:
    """Print the counts and what is left to do, and return the exit code."""
    for name, counts in record["rooms"].items():
        print(f"{name:12}{counts}")
    without = [each for each in record["survivors"] if each["reason"] is None]
    drawn = sum(counts["drawn"] for counts in record["rooms"].values())
    alive = [name for name, verdict in record["named"].items() if verdict["how"] == "survived"]
    print(f"{len(record['survivors'])} of {drawn} survived, {len(without)} without a reason")
    for each in without:
        print(f"  {each['file']}:{each['line']}: {each['change']}")
    for name in record["unreliable_tests"]:
        print(f"fails without a mutant, and was left out: {name}")
    for name in alive:
        print(f"a named fault survived: {name}")
    for file, code, change in record["stale_reasons"]:
        print(f"reasons.json: nothing in {file} is now {code!r} with {change!r}; remove its reason")
    return int(len(without) > MOST_WITHOUT_REASON * drawn or bool(alive))


def _place(mutant: Mutant) -> dict[str, Any]:
    return {"file": mutant.file, "line": mutant.line, "code": mutant.code, "change": mutant.change}


def _key(listed: dict[str, Any]) -> Key:
    return listed["file"], listed["code"], listed["change"]


def _told(mutant: Mutant, verdict: Verdict) -> Verdict:
    """Print a verdict as it comes, because the whole takes an hour."""
    print(f"{verdict.how}: {mutant.file}:{mutant.line}: {mutant.change} {verdict.by}", flush=True)
    return verdict


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda number, _: sys.exit(128 + number)
    )  # so that children are killed
    sys.exit(main(sys.argv[1:]))
