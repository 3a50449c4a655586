"""The settings of a training run, its data, and the machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends import active
from scratchnet import machine
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.fashion_mnist import FashionMnistDataLoader
from scratchnet.data.identity import FASHION_MNIST
from scratchnet.data.loader import DataLoader
from scratchnet.layers import Linear, Module
from scratchnet.losses import softmax_loss
from scratchnet.optimizers import SGD, Optimizer
from scratchnet.optimizers.group import Group
from scratchnet.results.report import original
from scratchnet.results.words import counted
from scratchnet.training.learner import Learner
from scratchnet.training.objective import name_of_loss
from scratchnet.training.resume import made_by


def layers_of(net: Module) -> str:
    """Return 784-100-10 for linear layers one after the other; otherwise the network's own name.

    A network with other weights too, such as those of a convolution, has its own name.
    """
    linear = [each for each in net.modules() if isinstance(each, Linear)]
    if {id(each) for each in net.parameters() if each.ndim > 1} != {id(each.weight) for each in linear}:
        return type(net).__name__
    sizes = [each.in_features for each in linear] + [each.out_features for each in linear[-1:]]
    follow = [each.out_features for each in linear[:-1]] == sizes[1:-1]
    return "-".join(map(str, sizes)) if linear and follow else type(net).__name__


def tables(
    learner: Learner, train: DataLoader, valid: DataLoader | None, thing: str, task: str
) -> dict[str, dict[str, str]]:
    """Return names and values by title: everything that a reader needs to repeat the run.

    Args:
        learner: after training.
        train: its loader.
        valid: the validation loader, if there is one.
        thing: what a sample is called.
        task: what the outputs mean; empty if this is not known.
    """
    parameters = sum(each.data.size for each in learner.net.parameters())
    settings: dict[str, Any] = {
        "network": layers_of(learner.net),
        "parameters": f"{parameters:,}",
        "epochs": len(learner.history["duration"]),
        "batch size": getattr(train, "batch_size", ""),
        "optimizer": type(learner.optimizer).__name__,
        "learning rate": _of_groups(learner.optimizer, _rate),
        "other settings": _of_groups(learner.optimizer, _others),
        "clipping of the norm": learner.clip_grad_norm or "",
        "clipping of values": learner.clip_grad_value or "",
        "batches per update": learner.accumulate if learner.accumulate > 1 else "",
        "loss": name_of_loss(learner.loss),
        "task": "multi-label" if task == "multilabel" else task,
        "seed": getattr(train, "seed", ""),
        "epochs run": learner.replay.how,
    }
    data = {
        "training": f"{train.source or 'no name'}, {counted(train.num_samples, thing)}",
        "fingerprint": _fingerprint(train),
    }
    if valid is not None:
        data["validation"] = f"{valid.source or 'no name'}, {counted(valid.num_samples, thing)}"
        data["its fingerprint"] = _fingerprint(valid)
    on = {"device": active().device_name, "cores": machine.cores(), "BLAS": machine.blas()}
    told = {"Settings": settings, "Data": data, "Machine": made_by() | on}
    return {
        title: {name: str(value) for name, value in rows.items() if str(value)}
        for title, rows in told.items()
    }


def notices(learner: Learner, train: DataLoader, valid: DataLoader | None, thing: str) -> list[str]:
    """Return what a reader must know before the figures."""
    told = []
    whole = original.SAMPLES, original.VALID_SAMPLES
    validated = valid.num_samples if valid is not None else 0
    if isinstance(train, FashionMnistDataLoader) and train.source != FASHION_MNIST:
        name = train.source or "data of no name"
        told.append(f"The data are {name}: no figure here says anything of Fashion-MNIST.")
    elif train.source == FASHION_MNIST and (train.num_samples, validated) != whole:
        told.append(
            f"Only {counted(train.num_samples, thing)} of training and {validated:,} of "
            "validation: a part of Fashion-MNIST, whose figures are none of the whole."
        )
    if learner.batches_done:
        told.append(
            f"The training was broken off in epoch {learner.epochs}, after {learner.batches_done} of "
            f"{len(learner.train)} batches: curves and epochs end before it, all else is as it is now."
        )
    return told


def other_work(learner: Learner, train: DataLoader) -> list[str]:
    """Return where an epoch differs from the original's work; if nowhere, times can be compared."""
    apart = []
    if train.num_samples != original.SAMPLES:
        apart.append(f"{counted(train.num_samples, 'image')}, not {original.SAMPLES:,}")
    if (layers := layers_of(learner.net)) != original.LAYERS:
        apart.append(f"{layers}, not {original.LAYERS}")
    if (size := getattr(train, "batch_size", "unknown")) != original.BATCH_SIZE:
        apart.append(f"batch size {size}, not {original.BATCH_SIZE}")
    return apart


def same_recipe(learner: Learner, train: DataLoader) -> bool:
    """Whether losses and accuracies can be compared with the original's too."""
    optimizer, measures = learner.optimizer, learner.evaluator.measures if learner.evaluator else ()
    return (
        not other_work(learner, train)
        and train.source == FASHION_MNIST
        and {"train_loss", "valid_loss", "train_accuracy", "valid_accuracy"} == set(measures)
        and learner.loss is softmax_loss
        and type(optimizer) is SGD
        and optimizer.plain_rate is not None
        and optimizer.plain_rate.value == original.LEARNING_RATE
        and not (learner.clip_grad_norm or learner.clip_grad_value)
    )


def _of_groups(optimizer: Optimizer, words: Callable[[Group], str]) -> str:
    """Return words about each parameter group, and those that are the same only once."""
    return "; ".join(dict.fromkeys(words(each) for each in getattr(optimizer, "groups", [])))


def _rate(group: Group) -> str:
    """Return the learning rate. A function has no name that a reader would know."""
    return "a function of the step" if group.schedule else str(group.get("learning_rate", ""))


def _others(group: Group) -> str:
    """Return the other settings; nothing for plain gradient descent."""
    settings = {} if group.plain else group.settings
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _fingerprint(loader: DataLoader) -> str:
    return loader.fingerprint() if isinstance(loader, ArrayDataLoader) else ""
