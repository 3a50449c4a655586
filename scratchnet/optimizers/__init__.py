"""Optimizers: they move each parameter against its gradient, so that the loss becomes smaller.

Each name is imported when it is first used. `__init__.pyi` is the same table for type checkers.
"""

from scratchnet.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "adagrad": "Adagrad",
        "adam": "Adam AdamW NAdam",
        "clipping": "clip_grad_norm clip_grad_value",
        "lion": "Lion",
        "muon": "Muon",
        "optimizer": "Optimizer",
        "rmsprop": "RMSprop",
        "schedules": "schedules",
        "sgd": "SGD",
    },
)
