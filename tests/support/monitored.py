"""Random series of a monitored figure, and what Keras's callbacks make of them.

What Keras does is stored in tests/files/keras/counts.json. To store it again:

    KERAS_BACKEND=torch PYTHONPATH=.:tests/support python tests/files/keras/write.py
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "files" / "keras" / "counts.json"
RATE = 2.0**-4
SERIES, BATCHES = 300, 5
FREQUENCIES = [1, 2, 3, 5, 7, 11]
"""The figures are multiples of 1/16, which float32 has exactly: Keras compares in float32."""


def cases():
    """Return for each series its figures, and the settings of the callbacks by name."""
    draws = np.random.default_rng(18)
    for _ in range(SERIES):
        steps = draws.integers(-3, 4, draws.integers(6, 20))
        figures = (16 + np.abs(np.cumsum(steps))) / 16
        mode = str(draws.choice(["min", "max"]))
        common = {"mode": mode, "min_delta": float(draws.choice([0, 1e-4, 1 / 16, 2 / 16]))}
        baseline = draws.choice([np.nan, np.median(figures), figures[0], figures.min(), figures.max()])
        stopping = {
            **common,
            "patience": int(draws.integers(0, 5)),
            "baseline": None if np.isnan(baseline) else float(baseline),
            "start_from_epoch": int(draws.choice([0, 0, 1, 3])),
            "restore_best_weights": True,
        }
        reducing = {
            **common,
            "factor": float(draws.choice([0.5, 0.25])),
            "patience": int(draws.integers(0, 4)),
            "cooldown": int(draws.integers(0, 4)),
            "min_lr": float(draws.choice([0, RATE / 8])),
        }
        yield figures.tolist(), {"stopping": stopping, "reducing": reducing, "saving": {"mode": mode}}


class _Model:
    """As much of a Keras model as its callbacks use. The weights are the number of trained epochs."""

    def __init__(self):
        self.metrics, self.optimizer, self.learning_rate = [], self, RATE
        self.stop_training, self.weights, self.saved = False, 0, []

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights

    def save(self, path, overwrite):
        self.saved.append(path)


def _run(callback, figures):
    """Return the model after training with this callback, and the rate after each epoch."""
    model, rates = _Model(), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, figure in enumerate(figures):
        if model.stop_training:
            break
        callback.on_epoch_begin(epoch)
        model.weights = epoch + 1
        callback.on_epoch_end(epoch, {"figure": figure})
        rates.append(model.learning_rate)
    callback.on_train_end()
    return model, rates


def by_keras(keras):
    """Return what Keras's callbacks do, in a form for JSON."""
    found = []
    for figures, settings in cases():
        stopping = keras.callbacks.EarlyStopping("figure", **settings["stopping"])
        model, rates = _run(stopping, figures)
        reducing = keras.callbacks.ReduceLROnPlateau("figure", **settings["reducing"])
        saving = keras.callbacks.ModelCheckpoint(
            "{epoch}.keras", "figure", save_best_only=True, **settings["saving"]
        )
        found.append(
            {
                "epochs": len(rates),
                "best_epoch": stopping.best_epoch,
                "weights_of": model.weights,
                "rates": [RATE / rate for rate in _run(reducing, figures)[1]],
                "wait": reducing.wait,
                "saved": [int(path.partition(".")[0]) - 1 for path in _run(saving, figures)[0].saved],
            }
        )
    return {"keras": keras.__version__, "series": found, "batches": _batches(keras)}


def _batches(keras):
    """Return the batches after which a network is saved, counted from the first epoch's."""
    found = {}
    for frequency in FREQUENCIES:
        saving = keras.callbacks.ModelCheckpoint("{epoch} {batch} .keras", save_freq=frequency)
        model = _Model()
        saving.set_model(model)
        for epoch in range(4):
            saving.on_epoch_begin(epoch)
            for batch in range(BATCHES):
                saving.on_train_batch_end(batch, {})
            saving.on_epoch_end(epoch, {"val_loss": 1.0})
        places = [map(int, path.split()[:2]) for path in model.saved]
        found[str(frequency)] = [(epoch - 1) * BATCHES + batch - 1 for epoch, batch in places]
    return found


def stored():
    """Return what `by_keras` returned when it was stored."""
    return json.loads(FILE.read_text())
