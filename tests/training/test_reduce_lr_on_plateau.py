"""The learning rate is lowered if training no longer improves: as in Keras, also in a resumed run."""

import numpy as np
import pytest
from small_training import learner
from test_callbacks import Measured

import scratchnet as sn
from scratchnet.errors import SettingError

HALVED = {epoch: 0.1 / 2**n for n, epoch in enumerate((2, 4, 6, 8, 10, 13, 15), start=1)}
LOSSES = [1.0, 0.8, 0.9, 0.85, 0.8, 0.7, 0.75, 0.75, 0.75, 0.75, 0.75, 0.75, 0.6, 0.7, 0.7, 0.7]


def rates(settings, losses=LOSSES):
    training, seen = learner(), []
    training.evaluator = Measured(losses)
    training.fit(
        len(losses),
        lambda line: seen.append(training.optimizer.learning_rate),
        callbacks=[sn.ReduceLROnPlateau(**settings)],
    )
    return seen


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"patience": 2}, {3: 0.01, 7: 1e-3, 9: 1e-4, 11: 1e-5, 14: 1e-6}),
        ({"patience": 1, "factor": 0.5, "cooldown": 2}, HALVED),
        ({"patience": 3, "min_lr": 0.05}, {4: 0.05}),
        ({"patience": 2, "min_delta": 0.3}, {2: 0.01, 4: 0.001, 6: 1e-4, 8: 1e-5, 10: 1e-6, 14: 1e-7}),
    ],
)
def test_the_rate_falls_after_epochs_without_improvement(settings, changes):
    seen = rates(settings)
    rate, expected = 0.1, []
    for epoch in range(len(LOSSES)):
        rate = changes.get(epoch, rate)
        expected.append(rate)
    np.testing.assert_allclose(seen, expected)


def test_a_resumed_run_goes_on_counting(tmp_path):
    whole = rates({"patience": 2})
    first, second = learner(), learner()
    first.evaluator, second.evaluator = Measured(LOSSES), Measured(LOSSES)
    first.fit(7, None, tmp_path / "c", callbacks=[sn.ReduceLROnPlateau(patience=2)])
    second.resume(tmp_path / "c")
    second.fit(1, None, callbacks=[sn.ReduceLROnPlateau(patience=2)])
    np.testing.assert_allclose(second.optimizer.learning_rate, whole[7])
    assert whole[7] != whole[6]


@pytest.mark.parametrize(
    "settings", [{"factor": 1}, {"patience": -1}, {"cooldown": 0.5}, {"min_lr": np.nan}]
)
def test_wrong_settings_are_named(settings):
    with pytest.raises(SettingError, match=f"{next(iter(settings))} is"):
        sn.ReduceLROnPlateau(**settings)


def test_a_schedule_is_not_changed():
    training = learner()
    training.optimizer.learning_rate = sn.schedules.constant(0.1)
    with pytest.raises(SettingError, match="learning rate is a schedule"):
        training.fit(1, None, callbacks=[sn.ReduceLROnPlateau("train_loss")])
