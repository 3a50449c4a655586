"""`fit` of one Learner on several processes, or on one that divides its batches as several would."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager

from scratchnet.core.share import whole_batches
from scratchnet.errors import SettingError
from scratchnet.training import running
from scratchnet.training.objective import check_mean
from scratchnet.training.parallel.alike import check_alike
from scratchnet.training.parallel.group import Alone, Group
from scratchnet.training.parallel.shards import shards_for
from scratchnet.training.parallel.team import Team
from scratchnet.training.parallel.threads import threads_divided
from scratchnet.training.training import Training


@contextmanager
def team_for(learner: Training, epochs: int) -> Iterator[Team | None]:
    """Yield the team that trains within a with statement; None if batches are not divided.

    Args:
        learner: a Learner, whose `shards` is set.
        epochs: how many are to be trained, which must be the same on all processes.

    Raises:
        SettingError: another thread trains within the same `data_parallel`, the processes would train
            something else, or the loss is not a mean.
    """
    joined = running.current
    group = joined.group if joined else Group(Alone())
    former, mine = running.thread, get_ident() if group.size > 1 else None
    if mine and former not in (None, mine):
        raise SettingError(
            "fit: another thread is in fit within data_parallel, and their sums would be mixed up; "
            "train one network after the other"
        )
    learner.shards = shards_for(group.size, joined.shards if joined else None, learner.shards)
    if learner.shards == 1:
        yield None
        return
    token = running.together.set(group if group.size > 1 else None)
    running.thread = mine or former
    try:
        team = Team(group, learner.shards, learner.net, learner.optimizer.parameters)
        check_alike(group, learner, epochs)
        check_mean(learner.loss)
        with threads_divided(group, team.shards), whole_batches():
            yield team
    finally:
        running.thread = former
        running.together.reset(token)
