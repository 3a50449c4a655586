"""`python -m benchmarks.mutants` plants 600 small faults, one at a time: how many do the tests not see?

It ends with 1 if more than 3 percent survive without a reason in reasons.json, or if a fault of
named.json survives. `--room` runs one room again, and replaces only its part of the record.
`--survivors` runs only what the record lists as survivors, after tests were added.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.mutants.judge import Judge, Verdict
from benchmarks.mutants.mutate import Mutant
from benchmarks.mutants.rooms import ROOMS, Room, possible
from benchmarks.mutants.tree import Tree
from benchmarks.report import MUTANTS, RESULTS

MOST_WITHOUT_REASON = 0.03
NAMED = "named"
"""What `--room` calls the named faults."""
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
    parser.add_argument("--room", choices=[*rooms, NAMED], action="append", help="only this one")
    parser.add_argument("--survivors", action="store_true", help="only those that the record lists")
    parser.add_argument("--patience", type=float, default=20, help="seconds above the usual time")
    parser.add_argument("--out", type=Path, default=RESULTS / MUTANTS, help="the record")
    parser.add_argument("--reasons", type=Path, default=_FOLDER / "reasons.json")
    parser.add_argument("--named", type=Path, default=_FOLDER / "named.json")
    asked = parser.parse_args(arguments)
    all_of = {name: possible(room, root) for name, room in rooms.items()}
    chosen = draw(all_of, asked.mutants, asked.seed)
    named = _named(json.loads(asked.named.read_text()), root)
    record = _begun(asked, bool(asked.room or asked.survivors))

    def judged(room: Room, mutants: list[Mutant]) -> tuple[list[tuple[Mutant, Verdict]], list[str]]:
        if not mutants:
            return [], []
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            judge = Judge(Tree(root, Path(folder)), room, asked.patience)
            pairs = [(each, _told(each, verdict)) for each, verdict in judge.judge(mutants)]
            return pairs, judge.unreliable

    for name in asked.room or [*rooms, NAMED]:
        if name == NAMED:
            pairs = [pair for room, faults in named.items() for pair in judged(room, faults)[0]]
            record[NAMED] = {each.change: verdict._asdict() for each, verdict in pairs}
        else:
            former = record["rooms"].get(name) if asked.survivors else None
            mutants = chosen[name] if former is None else _listed(former["survivors"], all_of[name])
            pairs, unreliable = judged(rooms[name], mutants)
            counts = Counter(verdict.how for _, verdict in pairs)
            if former:
                counts.update({how: former[how] for how in ("killed", "timed out")})
            record["rooms"][name] = {
                "possible": len(all_of[name]),
                "drawn": counts.total(),
                **{how: counts[how] for how in ("killed", "timed out", "survived")},
                "survivors": [_place(each) for each, verdict in pairs if verdict.how == "survived"],
                "unreliable_tests": unreliable,
            }
        _give_reasons(record, json.loads(asked.reasons.read_text()), all_of)
        asked.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if missing := [name for name in rooms if name not in record["rooms"]]:
        print(f"not yet in the record: {', '.join(missing)}; run each with --room")
    return _summary(record)


def _begun(asked: argparse.Namespace, goes_on: bool) -> dict[str, Any]:
    """Return the record so far, with today's date.

    Raises:
        SystemExit: the record is of another draw.
    """
    former = json.loads(asked.out.read_text()) if goes_on and asked.out.exists() else {}
    drawn = {"mutants": asked.mutants, "seed": asked.seed}
    if former and {name: former[name] for name in drawn} != drawn:
        raise SystemExit(
            f"{asked.out} is of another draw; give its --mutants and --seed, or run all rooms"
        )
    return {
        "date": date.today().isoformat(),
        **drawn,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": {name: version(name) for name in ("numpy", "pytest", "hypothesis")},
        "rooms": former.get("rooms", {}),
        NAMED: former.get(NAMED, {}),
    }


def _give_reasons(
    record: dict[str, Any], listed: list[dict[str, str]], all_of: dict[str, list[Mutant]]
) -> None:
    """Give each survivor its reason, or None, and name the reasons of code that has changed."""
    reasons = {_key(each): each["reason"] for each in listed}
    for room in record["rooms"].values():
        for each in room["survivors"]:
            each["reason"] = reasons.get(_key(each))
    known = {each.key for mutants in all_of.values() for each in mutants}
    record["stale_reasons"] = [list(key) for key in reasons if key not in known]


def draw(all_of: dict[str, list[Mutant]], count: int, seed: int) -> dict[str, list[Mutant]]:
    """Return mutants by room, drawn from all of them with the same chance each.

    Each has a SHA-256 of itself and the seed, and the smallest ones are drawn. So after a change of the
    code, nearly all mutants of other code are drawn as before.
    """
    alike: Counter[Key] = Counter()
    pairs = []
    for name, mutants in all_of.items():
        for each in mutants:
            alike[each.key] += 1
            text = repr((seed, each.key, alike[each.key]))
            pairs.append((sha256(text.encode()).digest(), name, each))
    drawn = sorted(pairs)[:count]
    return {name: [each for _, room, each in drawn if room == name] for name in all_of}


def _listed(survivors: list[dict[str, Any]], mutants: list[Mutant]) -> list[Mutant]:
    """Return the mutants that a record lists; of several with one key, those nearest to its lines.

    Raises:
        SystemExit: the code has changed.
    """
    found: list[Mutant] = []
    for each in survivors:
        same = [mutant for mutant in mutants if mutant.key == _key(each) and mutant not in found]
        if not same:
            raise SystemExit(f"{each['file']} has changed since the record; run without --survivors")
        found.append(min(same, key=lambda mutant: abs(mutant.line - each["line"])))
    return found


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


def _summary(record: dict[str, Any]) -> int:
    """Print the counts and what is left to do, and return the exit code."""
    survivors = []
    for name, room in record["rooms"].items():
        print(f"{name:12}" + ", ".join(f"{what} {number}" for what, number in list(room.items())[:5]))
        survivors += room["survivors"]
        for test in room["unreliable_tests"]:
            print(f"fails without a mutant, and was left out: {test}")
    without = [each for each in survivors if each["reason"] is None]
    drawn = sum(room["drawn"] for room in record["rooms"].values())
    alive = [name for name, verdict in record[NAMED].items() if verdict["how"] == "survived"]
    print(f"{len(survivors)} of {drawn} survived, {len(without)} without a reason")
    for each in without:
        print(f"  {each['file']}:{each['line']}: {each['change']}")
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
