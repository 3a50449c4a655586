"""The losses: each measures with one number how wrong the output of a network is."""

from scratchnet.losses.binary import binary_cross_entropy, binary_cross_entropy_with_logits, hinge_loss
from scratchnet.losses.classification import nll_loss, plain_softmax_loss, softmax_loss
from scratchnet.losses.probabilities import kl_divergence
from scratchnet.losses.regression import huber_loss, l1_loss, mse_loss
from scratchnet.losses.similarity import cosine_similarity, triplet_margin_loss

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_similarity",
    "hinge_loss",
    "huber_loss",
    "kl_divergence",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "plain_softmax_loss",
    "softmax_loss",
    "triplet_margin_loss",
]
