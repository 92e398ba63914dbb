"""minidl/training/loop.py: the loop by hand, and what one forgets by hand."""

import re

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn, optim
from minidl.data import Dataset, Loader, Mapped, digits
from minidl.training import TrainingState, evaluate, fit, load_checkpoint
from tests.arrays import host
from tests.training.runs import DATA, RANDOM, STEPS, At, Rows, Run, press_ctrl_c, stop, without_times

# ---- the loop


def test_fit_is_the_loop_one_would_write_by_hand():
    by_hand = Run()
    losses = []
    for _ in range(3):
        for inputs, labels in by_hand.loader:
            loss = F.cross_entropy(by_hand.model(md.Tensor(inputs)), labels)
            by_hand.optimizer.zero_grad()
            loss.backward()
            by_hand.optimizer.step()
            by_hand.schedule.step()
            losses.append(float(host(loss)))
    expected = by_hand.state()

    run = Run()
    history = run.fit(epochs=3)
    np.testing.assert_equal(run.state(), expected)
    assert history.step_loss == losses


def test_the_history_tells_every_step_and_epoch():
    history = Run().fit(epochs=3)
    assert history.epochs == 3
    assert history.steps == [STEPS, 2 * STEPS, 3 * STEPS]
    assert len(history.step_loss) == len(history.step_rate) == 3 * STEPS
    assert history.step_rate[0] == 0.1  # the rate of a step is the one it was made with
    assert history.rates == [history.step_rate[n - 1] for n in history.steps]
    np.testing.assert_allclose(history.train_loss[0], np.mean(history.step_loss[:STEPS]))
    assert len(history.validation_loss) == len(history.validation_accuracy) == len(history.seconds) == 3
    assert all(s > 0 for s in history.seconds)
    assert not history.interrupted


def test_one_seed_gives_one_run():
    histories = [without_times(Run(seed).fit(epochs=2)) for seed in (1, 1, 2)]
    assert histories[0] == histories[1] != histories[2]


def test_the_digits_are_learned():
    backend.seed(0)
    train, validation, test = digits()
    model = md.nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)).to(backend.current())
    history = fit(model, optim.SGD(model, lr=0.1, momentum=0.9), Loader(train, 32), epochs=5, validation=validation)
    assert history.validation_accuracy[-1] > 0.93
    assert evaluate(model, test).accuracy > 0.93


def test_a_regression_has_losses_and_no_accuracy():
    backend.seed(0)
    inputs = RANDOM.normal(size=(32, 3)).astype(np.float32)
    data = Dataset(inputs, inputs @ np.array([[1.0], [2.0], [-1.0]], dtype=np.float32))
    model = nn.Linear(3, 1).to(backend.current())
    history = fit(model, optim.SGD(model, lr=0.2), Loader(data, 8), F.mse_loss, epochs=40, validation=data)
    assert history.validation_loss[-1] < 1e-3 < history.validation_loss[0]
    assert history.validation_accuracy == []
    assert evaluate(model, data, loss=F.mse_loss).accuracy is None


def test_a_model_left_in_evaluation_mode_is_trained_in_training_mode():
    run = Run()
    run.model.eval()
    modes = []
    run.fit(epochs=2, callbacks=[At(STEPS + 1, lambda state: modes.append(run.model.drop.training))])
    assert modes == [True]
    assert run.model.training


def normed():
    backend.seed(0)
    parts = [("fc1", nn.Linear(6, 8)), ("norm", nn.BatchNorm1d(8)), ("drop", nn.Dropout(0.5)), ("fc2", nn.Linear(8, 3))]
    return nn.Sequential(parts).to(backend.current())


def test_a_part_that_was_put_into_evaluation_mode_stays_in_it():
    model = normed()
    model.norm.requires_grad_(False).eval()
    model.drop.eval()
    before = {name: array for name, array in model.state_dict().items() if name.startswith("norm.")}
    modes = []
    watch = At(STEPS + 1, lambda state: modes.append([module.training for module in model.modules()]))
    for _ in range(2):
        fit(model, optim.SGD(model, lr=0.1), Loader(DATA, 4), epochs=2, validation=DATA, callbacks=[watch])
        evaluate(model, DATA)
    frozen = [True, True, False, False, True]  # the whole and its four parts
    assert modes == [frozen, frozen]
    assert [module.training for module in model.modules()] == frozen
    after = model.state_dict()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


def test_all_but_one_part_may_be_in_evaluation_mode():
    model = normed()
    model.eval()
    model.fc2.train()
    before = model.state_dict()["norm.running_mean"]
    fit(model, optim.SGD(model, lr=0.1), Loader(DATA, 4), epochs=1)
    np.testing.assert_array_equal(model.state_dict()["norm.running_mean"], before)
    model.eval()  # and all of it is no choice of parts
    fit(model, optim.SGD(model, lr=0.1), Loader(DATA, 4), epochs=1)
    assert all(module.training for module in model.modules())
    assert not np.array_equal(model.state_dict()["norm.running_mean"], before)


def test_no_step_waits_for_the_gpu(standin):
    waits = []

    class Count:
        def on_step(self, state):
            waits.append(len(standin.synchronizations()))

    with backend.using("cupy"):
        Run().fit(epochs=2, validation=None, callbacks=[Count()])
    assert set(waits[:STEPS]) == {waits[0]}
    assert waits[STEPS] == waits[STEPS - 1] + 1  # at the end of the epoch, for the losses
    assert set(waits[STEPS:]) == {waits[STEPS]}


# ---- schedules


def plateau(run):
    return optim.ReduceLROnPlateau(run.optimizer, factor=0.5, patience=0, threshold=0.02)


def one_cycle(run):
    return optim.OneCycleLR(run.optimizer, 0.3, epochs=6, steps_per_epoch=STEPS)


def test_a_plateau_is_looked_for_after_every_epoch_in_the_validation_loss():
    run = Run()
    history = run.fit(schedule=plateau(run))
    by_hand = optim.ReduceLROnPlateau(optim.SGD([nn.Parameter(np.zeros(1))], lr=0.1), "min", 0.5, 0, 0.02)
    expected = []
    for loss in history.validation_loss:
        expected.append(by_hand.last_lr)
        by_hand.step(loss)
    assert history.rates == expected
    assert len(set(expected)) > 1
    assert run.optimizer.lr == by_hand.last_lr


@pytest.mark.parametrize("make", [plateau, one_cycle])
@pytest.mark.parametrize("step", [3, 2 * STEPS, 4 * STEPS + 1])
def test_a_run_with_a_schedule_that_remembers_is_resumed_bit_for_bit(tmp_path, make, step):
    straight = Run()
    straight.schedule = make(straight)
    whole = straight.fit()
    first = Run()
    first.schedule = make(first)
    first.fit(checkpoint=tmp_path / "run.npz", callbacks=[At(step, press_ctrl_c)])
    resumed = Run(seed=9)
    resumed.schedule = make(resumed)
    history = resumed.fit(checkpoint=tmp_path / "run.npz", resume=True)
    np.testing.assert_equal(resumed.state(), straight.state())
    assert without_times(history) == without_times(whole)
    assert resumed.optimizer.momentum == straight.optimizer.momentum


def test_a_plateau_needs_a_validation_loss_that_falls():
    run = Run()
    for options in (
        {"schedule": plateau(run), "validation": None},
        {"schedule": optim.ReduceLROnPlateau(run.optimizer, mode="max")},
    ):
        with pytest.raises(
            ValueError, match="fit: ReduceLROnPlateau is stepped with the validation loss, which should"
        ):
            run.fit(**options)


# ---- callbacks


def test_callbacks_see_steps_and_epochs():
    seen = []

    class Watch:
        def on_step(self, state):
            assert isinstance(state, TrainingState)
            seen.append(("step", state.epoch, state.step, round(state.loss.item(), 6)))

        def on_epoch(self, state):
            seen.append(("epoch", state.epoch, state.step, state.evaluation.loss))

    history = Run().fit(epochs=2, callbacks=[Watch()])
    steps = [("step", i // STEPS, i + 1, round(x, 6)) for i, x in enumerate(history.step_loss)]
    epochs = [("epoch", i, n, history.validation_loss[i]) for i, n in enumerate(history.steps)]
    assert seen == [*steps[:STEPS], epochs[0], *steps[STEPS:], epochs[1]]


def test_a_callback_may_have_only_one_of_the_two_methods():
    class EarlyStopping:
        def on_epoch(self, state):
            state.stop = state.epoch == 1

    history = Run().fit(epochs=5, callbacks=[EarlyStopping()])
    assert history.epochs == 2
    assert not history.interrupted


def test_a_callback_can_stop_within_an_epoch():
    history = Run().fit(callbacks=[At(10, stop)])
    assert history.epochs == 1
    assert len(history.step_loss) == 10
    assert not history.interrupted


def test_stopping_at_the_last_step_of_an_epoch_finishes_the_epoch():
    history = Run().fit(callbacks=[At(2 * STEPS, stop)])
    assert history.epochs == 2
    assert len(history.validation_loss) == 2


# ---- a loss that is no number


class Poisoned(nn.Module):
    """Multiplies by NaN (or infinity) from its n-th call on."""

    def __init__(self, n, value):
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.calls, self.n, self.value = 0, n, value

    def forward(self, x):
        self.calls += 1
        return self.fc(x) * (self.value if self.calls >= self.n else 1.0)


def poisoned(n=9, value=float("nan"), **options):
    backend.seed(0)
    model = Poisoned(n, value).to(backend.current())
    seen = []
    fit(
        model,
        optim.SGD(model, lr=10.0),
        Loader(DATA, 4),
        lambda outputs, labels: F.mean(outputs),
        epochs=3,
        callbacks=[At(9, lambda state: seen.append(9)), At(10, lambda state: seen.append(10))],
        **options,
    )


def test_a_nan_ends_the_training_with_its_step_and_rate(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(FloatingPointError, match="loss became nan at step 9 with lr=10; try a smaller rate"):
        poisoned(checkpoint=path)
    assert load_checkpoint(path).history.epochs == 1  # the last good one is kept


def test_an_infinite_loss_too():
    with pytest.raises(FloatingPointError, match=r"loss became -?inf at step 9"):
        poisoned(value=float("inf"))


def test_a_nan_is_never_written_to_a_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(FloatingPointError, match="at step 9"):
        poisoned(checkpoint=path, checkpoint_every=2)
    assert len(load_checkpoint(path).history.step_loss) == 8


def test_a_batch_whose_labels_are_all_ignored_does_not_end_the_training(tmp_path):
    """Its loss, the mean of nothing, is NaN, and its gradient 0."""
    labels = DATA.labels.copy()
    labels[:8] = -100
    data = Dataset(DATA.inputs, labels)
    for loss in (F.cross_entropy, lambda y, t: F.nll_loss(F.log_softmax(y, axis=1), t)):
        run = Run()
        run.loader = Loader(data, 4, shuffle=False)
        history = run.fit(epochs=2, loss=loss, validation=data, checkpoint=tmp_path / "run.npz")
        assert np.isnan(history.step_loss).tolist() == [True, True, *[False] * 5] * 2
        np.testing.assert_allclose(history.train_loss[0], np.mean(history.step_loss[2:7]))
        assert np.isfinite(history.validation_loss).all()
        assert all(np.isfinite(w).all() for w in run.model.state_dict().values())
        np.testing.assert_equal(load_checkpoint(tmp_path / "run.npz").history.as_dict(), history.as_dict())


def test_a_loss_that_is_no_tensor_is_refused():
    run = Run()
    with pytest.raises(TypeError, match=r"fit: expected loss\(outputs, labels\) to be a Tensor with one number; got 0"):
        run.fit(loss=lambda outputs, labels: 0)


def test_in_anomaly_mode_a_nan_is_found_at_once():
    with md.detect_anomaly(), pytest.raises((FloatingPointError, md.GraphError)) as caught:
        poisoned(n=3)
    assert "step 3" in str(caught.value) or "a loss that is nan" in str(caught.value)


def test_any_source_is_validated_on():
    run = Run()
    doubled = Mapped(Rows(), lambda inputs, rng: inputs * 2)
    history = run.fit(epochs=1, validation=doubled)
    expected = evaluate(run.model, Dataset(DATA.inputs * 2, DATA.labels))
    assert history.validation_loss == [expected.loss]
    assert history.validation_accuracy == [expected.accuracy]


# ---- progress


def test_fit_says_a_line_an_epoch_where_there_is_no_terminal(capsys):
    history = Run().fit(epochs=3)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    said = f"loss {history.train_loss[-1]:.4f}  validation {history.validation_accuracy[-1]:.2%}"
    assert re.search(rf"{re.escape(said)}  \d+\.\d s", lines[-1])


def test_a_training_that_ends_within_an_epoch_says_where(capsys):
    Run().fit(steps=STEPS + 1)
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"step {STEPS + 1}/{STEPS + 1}")


def test_of_many_epochs_about_a_hundred_are_told_and_the_last(capsys):
    Run().fit(epochs=250)
    lines = capsys.readouterr().err.splitlines()
    assert 80 <= len(lines) <= 100
    assert lines[-1].startswith("epoch 250/250")


def test_fit_is_silent_if_asked(capsys):
    Run().fit(epochs=2, progress=False)
    assert capsys.readouterr() == ("", "")
