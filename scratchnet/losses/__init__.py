"""The losses: each measures with one number how wrong the output of a network is.

Each name is imported when it is first used. `__init__.pyi` is the same table for type checkers.
"""

from scratchnet.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "binary": "binary_cross_entropy binary_cross_entropy_with_logits hinge_loss",
        "classification": "nll_loss plain_softmax_loss softmax_loss",
        "probabilities": "kl_divergence",
        "regression": "huber_loss l1_loss mse_loss",
        "similarity": "cosine_similarity triplet_margin_loss",
    },
)
