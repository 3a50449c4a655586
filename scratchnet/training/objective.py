"""The loss of a batch: of one loss function or several, with or without sample weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from backends import LabelError, active, xp
from scratchnet.core.function import array_of, is_ours
from scratchnet.core.share import share
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions import maximum
from scratchnet.losses.arguments import operand
from scratchnet.losses.kinds import OF_CLASSES, opened
from scratchnet.variable import Variable

LossFunction: TypeAlias = Callable[..., Variable] | Sequence[Any] | Mapping[str, Any]
"""A function of outputs and targets; or a list or a dict of such functions, whose sum is the loss."""

_COUNTING = "ignore_index", "weight"
_TINY = np.finfo(np.float32).tiny


def loss_of(loss: LossFunction, outputs: Any, targets: Any, weights: Variable | None = None) -> Variable:
    """Return the loss of a batch, 0-d.

    Args:
        loss: a function of outputs and targets that returns the mean over the batch; or a list or a dict
            of functions, one for each output of the network. Their sum is the loss.
        outputs: what the network returns.
        targets: as the loader gives them.
        weights: (n,), one per sample, or of the shape of the losses of the elements. The loss is then
            sum(weights · losses) / sum(weights), where an ignored label has no weight, and the weight of
            a class is a factor of the weight. So weights of 1 change nothing. A loss function needs the
            argument `reduction="none"` for this.

    Raises:
        OperandError: there are no targets, or the loss does not return one number, or, with weights,
            the loss of each sample.
        ShapeError: the losses do not fit the outputs, or the weights do not fit the losses.
    """
    if callable(loss):
        return one_loss(loss, outputs, targets, weights)
    first, *others = (one_loss(*each, weights) for each in single_losses(loss, outputs, targets))
    return sum(others, first)


def summed_loss(
    loss: LossFunction, rows: int, outputs: Any, targets: Any, weights: Variable | None = None
) -> tuple[Variable, Any]:
    """Return the sum of the losses of some rows, and what their mean would be divided by.

    Unlike the mean, the sum is a number if no label counts. If each of several losses divides by another
    number, all shares of the batch add up these numbers first.

    Raises:
        LabelError: no label of the batch counts for one of several losses, unless this waits for a
            device.
    """
    if not callable(loss) and may_count_nothing(loss):
        return _sum_of_several(loss, rows, outputs, targets, weights)
    count = counted(loss, targets, weights)
    if callable(loss) and count is not None and weights is None:
        return one_loss(partial(loss, reduction="sum"), outputs, targets), count
    count = rows if count is None else count
    return loss_of(loss, outputs, targets, weights) * count, count


def check_mean(loss: LossFunction) -> None:
    """Raise `SettingError` if a loss is a sum over the batch, so that its parts have no common mean."""
    if not callable(loss):
        for each in loss.values() if isinstance(loss, Mapping) else loss:
            check_mean(each)
    elif opened(loss)[1].get("reduction") == "sum":
        raise SettingError(
            f'data_parallel: {name_of_loss(loss)} has reduction="sum", and a loss must be a mean over '
            "the batch; leave the reduction out, and multiply the learning rate by the batch size"
        )


def on_device(loss: LossFunction) -> LossFunction:
    """Return the loss with lists of weights as arrays on the device, so that no step copies them.

    Raises:
        OperandError: it is not a function, or such a list is not one of numbers.
    """
    if isinstance(loss, Mapping):
        return {name: on_device(each) for name, each in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [on_device(each) for each in loss]
    if not callable(loss):
        raise OperandError(
            f"the loss is a {type(loss).__name__}; give a function of outputs and targets, such as "
            "sn.softmax_loss, or a list or a dict of functions"
        )
    if not isinstance(loss, partial) or not is_ours(opened(loss)[0]):
        return loss
    lists = {
        name: operand(name_of_loss(loss), name, each)
        for name, each in loss.keywords.items()
        if name in ("weight", "pos_weight") and isinstance(each, (list, tuple))
    }
    inner: Any = on_device(loss.func)
    return partial(inner, *loss.args, **{**loss.keywords, **lists})


def single_losses(loss: LossFunction, outputs: Any, targets: Any) -> list[tuple[Any, Any, Any]]:
    """Return each loss function with its output and its targets.

    Raises:
        ShapeError: there are not as many outputs or targets as losses, or they have other names.
    """
    if callable(loss):
        return [(loss, outputs, targets)]
    parts = _parts(loss, outputs, targets)
    return [single for part in parts for single in single_losses(*part)]


def check_labels(loss: LossFunction, outputs: Any, targets: Any) -> None:
    """Raise `LabelError` if no label of a batch counts, unless this waits for a device."""
    for each, _, target in single_losses(loss, outputs, targets):
        counts = _counts_of_labels(each, target)
        if counts is not None:
            check_count(each, counts.sum())


def check_count(loss: LossFunction, count: Any) -> None:
    """Raise `LabelError` if the labels of a batch count 0, unless this waits for a device."""
    if active().first_false((count > 0).reshape(1)) is not None:
        raise LabelError(
            f"{name_of_loss(loss)}: no label of this batch counts: all are the ignore_index, or have a "
            "class weight of 0; leave such samples out, or shuffle them among others"
        )


def may_count_nothing(loss: LossFunction) -> bool:
    """Whether a batch may have no label that counts, for one of the losses."""
    if not callable(loss):
        return any(map(may_count_nothing, loss.values() if isinstance(loss, Mapping) else loss))
    function, given = opened(loss)
    return function in OF_CLASSES and any(given.get(name) is not None for name in _COUNTING)


def counted(loss: LossFunction, targets: Any, weights: Variable | None = None) -> Any:
    """Return what the mean of a batch was divided by, 0-d; None for the number of samples.

    Sample weights, class weights and ignored labels make it another number. A loss of the whole data set
    needs it to be exact. For several losses it is that of the sample weights alone.
    """
    counts = _counts_of_labels(loss, targets)
    if counts is None:
        return None if weights is None else weights.data.sum()
    if weights is None:
        return counts.sum()
    return (counts.reshape(len(weights), -1) * weights.data.reshape(len(weights), -1)).sum()


def name_of_loss(loss: Any) -> str:
    """Return the name of a loss function, or of each."""
    if isinstance(loss, Mapping):
        return ", ".join(f"{key}: {name_of_loss(each)}" for key, each in loss.items())
    if isinstance(loss, (list, tuple)):
        return ", ".join(map(name_of_loss, loss))
    function = opened(loss)[0]
    return getattr(function, "__name__", type(function).__name__)


def one_loss(loss: Any, outputs: Any, targets: Any, weights: Variable | None = None) -> Variable:
    """As `loss_of`, for one function."""
    if targets is None and is_ours(opened(loss)[0]):
        raise OperandError(
            f"{name_of_loss(loss)}: the loader gives no targets; give it targets, for an autoencoder "
            "the inputs again: ArrayDataLoader(inputs, inputs)"
        )
    if weights is None:
        found = loss(outputs, targets)
        if not isinstance(found, Variable) or found.size != 1:
            shape = f" of shape {found.shape}" if hasattr(found, "shape") else ""
            raise OperandError(
                f"{name_of_loss(loss)} returned a {type(found).__name__}{shape}; it must return one "
                "number for the batch, as a Variable: the mean of the losses of its samples"
            )
        return found
    return _weighted(loss, outputs, targets, weights)


def _sum_of_several(
    loss: LossFunction, rows: int, outputs: Any, targets: Any, weights: Variable | None
) -> tuple[Variable, Any]:
    """As `summed_loss`, for several losses that divide by different numbers."""
    mine, singles = share.get(), single_losses(loss, outputs, targets)
    found = [summed_loss(one, rows, output, target, weights) for one, output, target in singles]
    sums, counts = zip(*found, strict=True)
    whole = xp.zeros(len(counts), xp.float64)
    for place, count in enumerate(counts):
        whole[place] = count
    total: float = rows
    if mine is not None:
        whole, total = mine.sum(whole if mine.counts else xp.zeros_like(whole)), mine.total
    if weights is None:
        for (one, *_), count in zip(singles, whole, strict=True):
            check_count(one, count)
    parts = [
        each * (total / maximum(count, _TINY)).astype(each.dtype)
        for each, count in zip(sums, whole, strict=True)
    ]
    return sum(parts[1:], parts[0]), rows


def _parts(loss: Any, outputs: Any, targets: Any) -> list[tuple[Any, Any, Any]]:
    """Return each loss with its output and its targets."""
    if isinstance(loss, Mapping):
        for what, given in (("outputs", outputs), ("targets", targets)):
            if not isinstance(given, Mapping) or not loss.keys() <= given.keys():
                found = (
                    ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
                )
                raise ShapeError(
                    f"the losses are for {', '.join(loss)}, and the {what} are {found}; both must be "
                    "dicts with these names"
                )
        return [(each, outputs[name], targets[name]) for name, each in loss.items()]
    for what, given in (("outputs", outputs), ("targets", targets)):
        if not isinstance(given, (list, tuple)) or len(given) != len(loss):
            size = len(given) if isinstance(given, (list, tuple)) else f"one {type(given).__name__}"
            raise ShapeError(
                f"there are {len(loss)} losses, and the {what} are {size}; give one loss for each "
                "output, and as many targets, as a tuple"
            )
    return list(zip(loss, outputs, targets, strict=True))


def _weighted(loss: Any, outputs: Any, targets: Any, weights: Variable) -> Variable:
    from inspect import signature

    try:
        able = "reduction" in signature(loss).parameters
    except (TypeError, ValueError):
        able = False
    if not able:
        raise OperandError(
            f'{name_of_loss(loss)}: sample weights need the loss of each sample, by reduction="none"; '
            "give the function this argument, or leave the weights out"
        )
    losses = loss(outputs, targets, reduction="none")
    if losses.shape != weights.shape:
        if losses.shape[:1] != weights.shape:
            raise ShapeError(
                f"{name_of_loss(loss)}: weights of shape {weights.shape} and losses of shape "
                f"{losses.shape}; give one weight per sample"
            )
        losses = losses.reshape(len(weights), -1)
        weights = weights.reshape(len(weights), 1)
        if _counts_of_labels(loss, targets) is None:
            losses = losses.mean(axis=1, keepdims=True)
    total = counted(loss, targets, weights).astype(losses.dtype)
    return (losses * weights).sum() / maximum(total, _TINY)  # type: ignore[no-any-return]


def _counts_of_labels(loss: Any, targets: Any) -> Any:
    """Return how much each label counts in the mean, of the labels' shape; None if all count 1.

    An ignored label counts 0, any other the weight of its class.
    """
    if not may_count_nothing(loss):
        return None
    given = opened(loss)[1]
    labels = array_of(targets)
    if labels.dtype.kind == "f":
        return None
    ignored = given.get("ignore_index")
    known = xp.ones(labels.shape, bool) if ignored is None else labels != ignored
    if given.get("weight") is None:
        return known
    of_classes = xp.asarray(array_of(given["weight"]))
    return xp.where(known, xp.take(of_classes, xp.where(known, labels, 0)), 0)
