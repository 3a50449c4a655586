"""Stub until the real one is merged."""

from functools import partial

from scratchnet.losses import nll_loss, plain_softmax_loss, softmax_loss


def accuracy(outputs, targets):
    return (outputs.argmax(axis=-1) == targets).mean(dtype=outputs.dtype)


accuracy.mean_over_samples = True


def for_loss(loss):
    while isinstance(loss, partial):
        loss = loss.func
    return {"accuracy": accuracy} if loss in (softmax_loss, plain_softmax_loss, nll_loss) else {}


def named(name, loss=None):
    return accuracy


def fitting(m, loss):
    return m
