"""After a resume, the optimizer has the settings that were just asked for, or there is an error."""

import numpy as np
import pytest
from noisy import Noisy, learner, outcome

import scratchnet as sn
from scratchnet.errors import CheckpointError, SettingError
from scratchnet.training import resume


def sgd(net, rate=0.1, **settings):
    return sn.SGD(net.parameters(), rate, **settings)


def with_optimizer(make):
    """Return a learner with this optimizer of its network."""
    net = Noisy()
    data = learner(net)
    return sn.Learner(data.train, net, make(net), data.loss, data.evaluator, capture=False)


def saved(path, make=sgd, epochs=1, **options):
    training = with_optimizer(make)
    training.fit(epochs, None, path, **options)
    return training


def two_groups(net, second=0.2):
    first, *rest = net.parameters()
    return sn.SGD([{"parameters": [first]}, {"parameters": rest, "learning_rate": second}], 0.1)


@pytest.mark.guarantee("After a resume, the optimizer has the settings asked for, or it is an error.")
@pytest.mark.parametrize(
    ("make", "other", "message"),
    [
        (sgd, lambda net: sgd(net, 0.01), r"learning_rate 0\.1, and this one with 0\.01"),
        (sgd, lambda net: sgd(net, weight_decay=1e-4), r"weight_decay 0\.0, and this one with 0\.0001"),
        (sgd, lambda net: sgd(net, momentum=0.9), r"momentum 0\.0, and this one with 0\.9"),
        (
            lambda net: sn.Adam(net.parameters(), 0.1),
            lambda net: sn.Adam(net.parameters(), 0.1, betas=(0.8, 0.999)),
            r"betas \[0\.9, 0\.999\], and this one with \[0\.8, 0\.999\]",
        ),
        (
            two_groups,
            lambda net: two_groups(net, 0.3),
            r"learning_rate 0\.2 in group 1, and this one with 0\.3",
        ),
    ],
)
def test_a_setting_that_differs_is_an_error_and_changes_nothing(backend, tmp_path, make, other, message):
    saved(tmp_path / "c", make)
    again = with_optimizer(other)
    before, settings = outcome(again), again.optimizer.state_dict()
    expected = rf'c: its optimizer began with {message}; give resume optimizer_settings="given"'
    with pytest.raises(CheckpointError, match=expected) as caught:
        again.resume(tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert outcome(again) == before
    assert again.optimizer.state_dict() == settings
    with_optimizer(make).resume(tmp_path / "c")


@pytest.mark.guarantee("After a resume, the optimizer has the settings asked for, or it is an error.")
def test_the_two_ways_out(backend, tmp_path):
    first = saved(tmp_path / "c", lambda net: sgd(net, momentum=0.9))
    buffers = {k: v.tobytes() for k, v in first.optimizer.state_dict().items() if k.startswith("state")}
    for ours, rate in (("given", 0.01), ("saved", 0.1)):
        again = with_optimizer(lambda net: sgd(net, 0.01, momentum=0.9))
        again.resume(tmp_path / "c", optimizer_settings=ours)
        assert again.optimizer.learning_rate == rate
        state = again.optimizer.state_dict()
        assert {k: v.tobytes() for k, v in state.items() if k.startswith("state")} == buffers
        again.fit(1, None, tmp_path / "c")
        assert again.optimizer.learning_rate == rate
        (tmp_path / "c").rename(tmp_path / ours)
        saved(tmp_path / "c", lambda net: sgd(net, momentum=0.9))
    with_optimizer(lambda net: sgd(net, 0.01, momentum=0.9)).resume(tmp_path / "given")
    with_optimizer(lambda net: sgd(net, 0.1, momentum=0.9)).resume(tmp_path / "saved")
    with pytest.raises(CheckpointError, match=r"began with learning_rate 0\.01"):
        with_optimizer(lambda net: sgd(net, 0.1, momentum=0.9)).resume(tmp_path / "given")


def test_a_rate_that_changed_during_the_run_is_no_conflict(tmp_path):
    first = saved(
        tmp_path / "c",
        epochs=3,
        callbacks=[sn.ReduceLROnPlateau("duration", patience=1, mode="max", min_delta=1e9)],
    )
    assert first.optimizer.learning_rate == pytest.approx(1e-3)
    again = with_optimizer(sgd)
    again.resume(tmp_path / "c")
    assert again.optimizer.learning_rate == first.optimizer.learning_rate
    asked = with_optimizer(lambda net: sgd(net, first.optimizer.learning_rate))
    asked.resume(tmp_path / "c")  # it asks for just this
    assert asked.optimizer.learning_rate == first.optimizer.learning_rate
    first.optimizer.learning_rate = 5.0
    first.resume(tmp_path / "c")  # back to the file, in the same learner
    assert first.optimizer.learning_rate == again.optimizer.learning_rate


def test_a_rate_that_a_program_sets_before_the_first_epoch_is_what_it_asks_for(tmp_path):
    first, same = with_optimizer(sgd), with_optimizer(lambda net: sgd(net, 0.05))
    first.optimizer.learning_rate = 0.05
    first.fit(1, None, tmp_path / "c")
    same.resume(tmp_path / "c")
    other = with_optimizer(sgd)
    with pytest.raises(CheckpointError, match=r"learning_rate 0\.05, and this one with 0\.1"):
        other.resume(tmp_path / "c")
    other.optimizer.learning_rate = 0.05
    other.resume(tmp_path / "c")


def test_a_schedule_is_that_of_the_new_optimizer(tmp_path):
    def scheduled(net):
        return sgd(net, sn.schedules.constant(0.3))

    saved(tmp_path / "number")
    saved(tmp_path / "schedule", scheduled)
    with_optimizer(scheduled).resume(tmp_path / "schedule")
    for file, make, rate in (("number", scheduled, 0.3), ("schedule", sgd, 0.1)):
        again = with_optimizer(make)
        with pytest.raises(CheckpointError, match="its learning rate is a"):
            again.resume(tmp_path / file)
        again.resume(tmp_path / file, optimizer_settings="given")
        rate_now = again.optimizer.learning_rate
        assert (rate_now(0) if callable(rate_now) else rate_now) == rate
        again.fit(1, None)
        assert again.epochs == 2


def test_another_optimizer_is_refused_whatever_is_given(tmp_path):
    saved(tmp_path / "c")
    for ours in (None, "given", "saved"):
        with pytest.raises(CheckpointError, match="load it with the optimizer that saved it"):
            with_optimizer(lambda net: sn.Adam(net.parameters(), 0.1)).resume(tmp_path / "c", ours)
        with pytest.raises(CheckpointError):
            with_optimizer(two_groups).resume(tmp_path / "c", ours)
    with pytest.raises(SettingError, match='optimizer_settings is True; it must be "given", "saved"'):
        with_optimizer(sgd).resume(tmp_path / "c", True)


def test_a_file_without_the_first_settings_still_loads(tmp_path):
    training = saved(tmp_path / "c")
    state = resume.state_of(training)
    del state["first settings"]
    resume.save_training(tmp_path / "c", state, {})
    again = with_optimizer(lambda net: sgd(net, 0.01))
    again.resume(tmp_path / "c")
    assert again.optimizer.learning_rate == 0.1
    state["optimizer"] = {"learning_rate": 0.8}  # version 0.1
    resume.save_training(tmp_path / "c", state, {})
    for ours, rate in ((None, 0.8), ("saved", 0.8), ("given", 0.01)):
        again = with_optimizer(lambda net: sgd(net, 0.01))
        again.resume(tmp_path / "c", ours)
        assert again.optimizer.learning_rate == rate


def test_the_settings_of_a_user_s_optimizer_are_compared_too(tmp_path):
    class Mine(sn.Optimizer):
        def __init__(self, parameters, pace):
            super().__init__(parameters, learning_rate=0.1, pace=pace)

        def step(self):
            for group in self.groups:
                for each in group.parameters:
                    each.data = each.data - group["learning_rate"] * group["pace"] * each.grad

    def mine(pace):
        return lambda net: Mine(net.parameters(), np.float64(pace))

    saved(tmp_path / "c", mine(1))
    with pytest.raises(CheckpointError, match=r"pace 1\.0, and this one with 2\.0"):
        with_optimizer(mine(2)).resume(tmp_path / "c")


@pytest.mark.guarantee("After a resume, the optimizer has the settings asked for, or it is an error.")
@pytest.mark.parametrize(
    ("name", "value"), [("accumulate", 2), ("clip_grad_norm", 0.5), ("clip_grad_value", 0.1)]
)
def test_clipping_and_accumulation_are_those_asked_for_or_an_error(tmp_path, name, value):
    def training(**settings):
        net = Noisy()
        data = learner(net)
        return sn.Learner(
            data.train, net, sgd(net), data.loss, data.evaluator, capture=False, **settings
        )

    training(**{name: value}).fit(1, None, tmp_path / "c")
    again = training()
    former = getattr(again, name)
    with pytest.raises(
        CheckpointError, match=f"its Learner had {name} {value}, and this one has {former}"
    ):
        again.resume(tmp_path / "c")
    assert (again.epochs, getattr(again, name)) == (0, former)
    again.resume(tmp_path / "c", optimizer_settings="given")
    assert (again.epochs, getattr(again, name)) == (1, former)
    third = training()
    third.resume(tmp_path / "c", optimizer_settings="saved")
    assert getattr(third, name) == value
    training(**{name: value}).resume(tmp_path / "c")


@pytest.mark.parametrize(
    "own", [{"net": 1}, {"accumulate": 0}, {"accumulate": 1.5}, {"clip_grad_norm": "1"}]
)
def test_settings_of_a_learner_made_by_hand_are_refused(tmp_path, own):
    saved(tmp_path / "c")
    given = resume.read_training(tmp_path / "c")
    resume.save_training(tmp_path / "c", {**given.state, "learner settings": own}, given.settings)
    for how in (None, "saved"):
        with pytest.raises(CheckpointError, match="its Learner has the setting"):
            with_optimizer(sgd).resume(tmp_path / "c", optimizer_settings=how)
