"""Read a pass of data in many files on several ranks: python stream_files.py INDEX.

Rank 0 prints the rows of each batch, and by how many kB the memory of each rank has grown.
"""

import json
import sys
from itertools import chain
from resource import RUSAGE_SELF, getrusage

from mpi4py import MPI

import scratchnet as sn
from scratchnet.core.share import part
from scratchnet.training.parallel.group import Group
from scratchnet.training.parallel.rows import OwnLoop


def memory() -> int:
    return getrusage(RUSAGE_SELF).ru_maxrss


group = Group(MPI.COMM_WORLD)
part.set(OwnLoop(group))
rows, early = [], 0
for number, (_, targets) in enumerate(sn.StreamingDataLoader(sys.argv[1], 64, window=100)):
    rows.append(targets.data.tolist())
    if number == 20:
        early = memory()
grown = memory() - early
found = group.gather(json.dumps(rows).encode(), "the rows")
growths = group.gather(str(grown).encode(), "the memory")
if group.rank == 0:
    for parts in zip(*map(json.loads, found), strict=True):
        print([*chain(*parts)])
    print([int(each) for each in growths])
