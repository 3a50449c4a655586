"""What a folder may hold after the power has failed, by the calls that changed it before.

A call is a tuple: ("names", {path: file or None}), ("write", file, position, content),
("truncate", file, size), or ("fsync", file or the path of a folder). A file is a number, and a folder is
`FOLDER`.
"""

import os
from collections import defaultdict
from itertools import chain, product
from math import prod
from random import Random

FOLDER = "a folder"


class Past:
    """What a log of calls has made of a folder: what is safe on the disk, and what is not yet."""

    def __init__(self, names, contents, log):
        self.names = dict(names)  # safe
        self.loose = defaultdict(list)  # by folder: changes of names
        self.versions = defaultdict(lambda: [b""], {key: [each] for key, each in contents.items()})
        for what, *given in log:
            getattr(self, f"_{what}")(*given)

    def _names(self, changed):
        self.loose[os.path.dirname(next(iter(changed)))].append(changed)

    def _write(self, number, at, part):
        last = self.versions[number][-1]
        self.versions[number].append(last[:at].ljust(at, b"\0") + part + last[at + len(part) :])

    def _truncate(self, number, size):
        self.versions[number].append(self.versions[number][-1][:size].ljust(size, b"\0"))

    def _fsync(self, what):
        if isinstance(what, str):
            for changed in self.loose.pop(what, ()):
                self.names.update(changed)
        else:
            self.versions[what] = self.versions[what][-1:]

    def now(self):
        """Return the files as the running system shows them, by path, with the folders."""
        names = dict(self.names)
        for changed in chain(*self.loose.values()):
            names.update(changed)
        return {
            path: each if each is FOLDER else self.versions[each][-1]
            for path, each in names.items()
            if each is not None
        }

    def possible(self, folder, most):
        """Yield the files that may be on the disk, by name relative to the folder."""
        loose = [*chain(*self.loose.values())]
        unsafe = [number for number, versions in self.versions.items() if len(versions) > 1]
        choices = [(False, True)] * len(loose) + [_contents(self.versions[each]) for each in unsafe]
        draw = Random(0)
        every = product(*choices)
        if prod(map(len, choices)) > most:
            every = ([draw.choice(each) for each in choices] for _ in range(most))
        for chosen in every:
            names = dict(self.names)
            for changed, happened in zip(loose, chosen, strict=False):
                names.update(changed if happened else {})
            content = {number: each[0] for number, each in self.versions.items()}
            content |= dict(zip(unsafe, chosen[len(loose) :], strict=True))
            yield {
                os.path.relpath(path, folder): content.get(each, b"")
                for path, each in names.items()
                if isinstance(each, int) and _has_parents(path, names, folder)
            }


def _contents(versions):
    """Return what a file may hold whose last versions were not fsynced."""
    safe, last = versions[0], versions[-1]
    kept = next((at for at, (a, b) in enumerate(zip(safe, last, strict=False)) if a != b), len(safe))
    kept = min(kept, len(last))
    rest = last[kept:]
    return [*{*versions, last[:kept], last[: kept + len(rest) // 2], last[:kept] + bytes(len(rest))}]


def _has_parents(path, names, folder):
    parent = os.path.dirname(path)
    return parent == folder or (names.get(parent) is FOLDER and _has_parents(parent, names, folder))
