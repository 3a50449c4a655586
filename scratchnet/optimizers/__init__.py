"""Optimizers: they move each parameter against its gradient, so that the loss becomes smaller."""

from scratchnet.optimizers import schedules
from scratchnet.optimizers.adagrad import Adagrad
from scratchnet.optimizers.adam import Adam, AdamW, NAdam
from scratchnet.optimizers.clipping import clip_grad_norm, clip_grad_value
from scratchnet.optimizers.lion import Lion
from scratchnet.optimizers.muon import Muon
from scratchnet.optimizers.optimizer import Optimizer
from scratchnet.optimizers.rmsprop import RMSprop
from scratchnet.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
    "clip_grad_value",
    "schedules",
]
