"""The check that all processes train the same: network, data, settings and versions."""

from __future__ import annotations

import json

from scratchnet.errors import SettingError
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
    texts = group.gather(json.dumps(_facts(learner, epochs)).encode(), "the comparison of all processes")
    first, *others = map(json.loads, texts)
    for rank, facts in enumerate(others, start=1):
        for name in first | facts:  # other versions may have other facts
            theirs, value = facts.get(name, "none"), first.get(name, "none")
            if theirs != value:
                shown = f": {theirs} and {value}" if name not in _DIGESTS else ""
                fix = _FIXES.get(name, "give all processes the same")
                raise SettingError(
                    f"data_parallel: rank {rank} and rank 0 differ in the {name}{shown}; {fix}"
                )


_DIGESTS = "state of the network", "state of the optimizer", "training data", "validation data"
_FIXES = {
    "state of the network": "give all processes the same seed, for example rng=0, or load the same file",
    "training data": "give all processes the same data",
    "validation data": "give all processes the same data",
}


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
