"""The check that all processes train the same: network, data, settings and versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backends import to_host
from scratchnet.data.batches import Batch, named_arrays
from scratchnet.errors import DataError, SettingError
from scratchnet.files import digest_of
from scratchnet.optimizers.state import settings_of
from scratchnet.training.generators import states_of
from scratchnet.training.parallel.group import Group
from scratchnet.training.resume import made_by
from scratchnet.training.training import Training


def check_alike(group: Group, learner: Training, epochs: int) -> None:
    """Raise an error on every process if one of them would train something else.

    Raises:
        SettingError: a process has other weights, data, settings or versions. The message names it.
    """
    if group.size == 1:
        return
    _compare(group.gather_json(_facts(learner, epochs), "the comparison of all processes"), "", _FIXES)


def agreed_figures(
    group: Group, learner: Training, figures: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    """Return the seconds and the figures of an epoch, as rank 0 has measured them.

    Raises:
        SettingError: a process has other weights or settings now, for example because a callback has
            changed them there alone.
    """
    numbers = {name: float(value) for name, value in figures.items()}
    if group.size == 1:
        return learner.seconds, numbers
    facts = {"settings of the optimizer": repr(settings_of(learner.optimizer.groups))}
    if group.adds_on_host:  # otherwise all weights would be copied from the devices
        facts["state of the network"] = digest_of(learner.net.state_dict())
    given = group.gather_json([learner.seconds, numbers, facts], "the figures of an epoch")
    fixes = dict.fromkeys(facts, "make changes during training on all ranks")
    _compare([mine for _, _, mine in given], f"after epoch {learner.epochs}, ", fixes)
    seconds, numbers, _ = given[0]
    return seconds, numbers


def check_batch(group: Group, batch: Batch) -> None:
    """Raise `DataError` on every process if a loader gives one of them another batch.

    Args:
        group: the processes.
        batch: the whole batch.
    """
    if group.size == 1:
        return
    arrays = {name: to_host(each.data) for name, each in named_arrays("", tuple(batch))}
    first, *others = group.gather(digest_of(arrays).encode(), "the comparison of the data")
    for rank, mine in enumerate(others, start=1):
        if mine != first:
            raise DataError(
                f"data_parallel: the loader gave rank {rank} another batch than rank 0; give all the "
                "same batches, for example by a seed"
            )


_DIGESTS = {
    "network", "state of the network", "state of the optimizer", "training data", "validation data",
    "generators",
}  # fmt: skip
"""Facts that are too long for a line."""

_FIXES = {
    "state of the network": "give all processes the same seed, for example rng=0, or load the same file",
    "training data": "give all processes the same data",
    "validation data": "give all processes the same data",
}


def _compare(given: Sequence[Mapping[str, str]], when: str, fixes: Mapping[str, str]) -> None:
    """Raise `SettingError` for the first fact in which a rank differs from rank 0.

    Args:
        given: the facts of each rank, by name. Other versions may have other facts.
        when: when they were compared, for the message.
        fixes: what to do, by the name of the fact.
    """
    first, *others = given
    for rank, facts in enumerate(others, start=1):
        for name in {**first, **facts}:
            theirs, value = facts.get(name, "none"), first.get(name, "none")
            if theirs != value:
                shown = f": {theirs} and {value}" if name not in _DIGESTS else ""
                fix = fixes.get(name, "give all processes the same")
                raise SettingError(
                    f"data_parallel: {when}rank {rank} and rank 0 differ in the {name}{shown}; {fix}"
                )


def _facts(learner: Training, epochs: int) -> dict[str, str]:
    """Return what must be the same in all processes, as text by name."""
    optimizer = learner.optimizer.state_dict()
    arrays = {name: each for name, each in optimizer.items() if hasattr(each, "dtype")}
    valid = None if learner.evaluator is None else learner.evaluator.valid
    facts = {f"version of {name}": text for name, text in made_by().items()}
    facts |= {
        "network": repr(learner.net),
        "state of the network": digest_of(learner.net.state_dict()),
        "optimizer": type(learner.optimizer).__name__,
        "settings of the optimizer": repr(settings_of(learner.optimizer.groups)),
        "state of the optimizer": digest_of(arrays),
        "training data": repr(learner.train.state_dict()),
        "validation data": "" if valid is None else repr(valid.state_dict()),
        "number of batches": repr(len(learner.train)),
        "progress": f"{learner.epochs} epochs and {learner.batches_done} batches",
        "number of epochs to train": repr(epochs),
        "number of shards": repr(learner.shards),
        "accumulate": repr(learner.accumulate),
        "clip_grad_norm": repr(learner.clip_grad_norm),
        "clip_grad_value": repr(learner.clip_grad_value),
        "generators": repr(sorted(states_of(learner.net.generators()).items())),
    }
    return facts
