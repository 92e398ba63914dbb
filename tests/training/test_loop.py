"""minidl/training.py: the loop by hand, and what one forgets by hand."""

import signal

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn, optim
from minidl.data import Dataset, Loader, Mapped, digits
from minidl.training.loop import History, TrainingState, evaluate, fit, load_checkpoint
from tests.arrays import host

RANDOM = np.random.default_rng(0)
DATA = Dataset(RANDOM.normal(size=(26, 6)).astype(np.float32), RANDOM.integers(0, 3, size=26))
HELD_OUT = Dataset(RANDOM.normal(size=(9, 6)).astype(np.float32), RANDOM.integers(0, 3, size=9))
STEPS = 7  # batches of 4 out of 26


class Run:
    """All that a program makes before it trains; with a seed of its own, as a process of its own would have it."""

    def __init__(self, seed=0, lr=0.1):
        backend.seed(seed)
        self.model = nn.Sequential(
            [
                ("fc1", nn.Linear(6, 8)),
                ("act1", nn.Tanh()),
                ("drop", nn.Dropout(0.25)),
                ("fc2", nn.Linear(8, 3)),
            ]
        ).to(backend.current())
        self.optimizer = optim.SGD(self.model, lr=lr, momentum=0.9, layer_rate=optim.LayerSpecific())
        self.loader = Loader(DATA, batch_size=4)
        self.schedule = optim.CosineLR(self.optimizer, total_steps=6 * STEPS)

    def fit(self, epochs=6, **options):
        options = {"validation": HELD_OUT, "schedule": self.schedule, **options}
        return fit(self.model, self.optimizer, self.loader, epochs=epochs, **options)

    def state(self):
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "loader": self.loader.state_dict(),
            "random": backend.random_state(),
        }


def without_times(history):
    return {**history.as_dict(), "seconds": None, "open_seconds": None}


class Rows:
    """The examples of DATA, from a source that is no Dataset."""

    labels = DATA.labels
    classes = None

    def __len__(self):
        return len(DATA)

    def take(self, indices):
        return DATA.take(indices)


def jitter(inputs, rng):
    return inputs + rng.normal(size=inputs.shape).astype(np.float32)


class At:
    """A callback that does something after one step."""

    def __init__(self, step, action):
        self.step = step
        self.action = action

    def on_step(self, state):
        if state.step == self.step:
            self.action(state)


def stop(state):
    state.stop = True


def press_ctrl_c(state):
    signal.raise_signal(signal.SIGINT)


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


# ---- Ctrl-C


@pytest.mark.parametrize("steps", [1, STEPS - 1, STEPS, STEPS + 1, 2 * STEPS, 2 * STEPS + 3])
def test_so_many_steps_are_made_and_then_more(tmp_path, steps):
    path, whole = tmp_path / "c.npz", Run()
    whole.fit(epochs=None, steps=steps + 5)
    expected = whole.state()
    history = Run().fit(epochs=None, steps=steps, checkpoint=path)
    assert len(history.step_loss) == steps
    assert history.epochs == steps // STEPS
    assert not history.interrupted
    rest = Run(seed=1)
    for _ in range(2):  # the second time there is nothing left to do
        history = rest.fit(epochs=None, steps=steps + 5, checkpoint=path, resume=True)
        assert len(history.step_loss) == steps + 5
        np.testing.assert_equal(rest.state(), expected)


def test_steps_and_epochs_end_the_training_with_what_comes_first():
    assert len(Run().fit(epochs=2, steps=3 * STEPS).step_loss) == 2 * STEPS
    assert len(Run().fit(epochs=2, steps=STEPS + 1).step_loss) == STEPS + 1


def test_ctrl_c_stops_after_the_step_and_tells_how_to_go_on(tmp_path, capsys):
    path = tmp_path / "run.npz"
    history = Run().fit(callbacks=[At(10, press_ctrl_c)], checkpoint=path)
    assert history.interrupted
    assert len(history.step_loss) == 10
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"interrupted after step 10, 1 of 6 epochs finished; written to {path}")
    assert f"checkpoint={str(path)!r}, resume=True" in said.err
    assert len(load_checkpoint(path).history.step_loss) == 10


def test_ctrl_c_without_a_checkpoint_keeps_the_model(capsys):
    run = Run()
    history = run.fit(callbacks=[At(3, press_ctrl_c)])
    assert history.interrupted
    assert "the model keeps what it learned" in capsys.readouterr().err
    assert run.optimizer.step_count == 3


def test_a_second_ctrl_c_interrupts_at_once(tmp_path):
    path = tmp_path / "run.npz"

    def press_twice(state):
        press_ctrl_c(state)
        press_ctrl_c(state)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Run().fit(callbacks=[At(10, press_twice)], checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is before
    assert load_checkpoint(path).history.epochs == 1  # that of the last full epoch


def test_ctrl_c_in_the_last_step_interrupts_nothing():
    history = Run().fit(epochs=2, callbacks=[At(2 * STEPS, press_ctrl_c)])
    assert history.epochs == 2
    assert not history.interrupted


# ---- checkpoints


@pytest.mark.parametrize("step", [1, 10, STEPS - 1, STEPS, 2 * STEPS + 3, 6 * STEPS - 1])
@pytest.mark.parametrize("how", [press_ctrl_c, stop])
def test_six_epochs_are_six_epochs_also_when_interrupted_and_resumed(tmp_path, step, how):
    straight = Run()
    expected_history = straight.fit()
    expected = straight.state()

    path = tmp_path / "run.npz"
    Run().fit(callbacks=[At(step, how)], checkpoint=path)
    fresh = Run(seed=77)  # other weights, other order, other dropout, until it is resumed
    history = fresh.fit(checkpoint=path, resume=True)

    np.testing.assert_equal(fresh.state(), expected)
    assert without_times(history) == without_times(expected_history)
    assert len(history.seconds) == 6


def test_a_run_can_be_resumed_again_and_again(tmp_path):
    straight = Run()
    straight.fit(epochs=2)
    path = tmp_path / "run.npz"
    Run().fit(epochs=2, callbacks=[At(1, stop)], checkpoint=path)
    for step in (2, 5, STEPS + 1, STEPS + 4):
        Run(seed=step).fit(epochs=2, callbacks=[At(step, stop)], checkpoint=path, resume=True)
    last = Run(seed=99)
    last.fit(epochs=2, checkpoint=path, resume=True)
    np.testing.assert_equal(last.state(), straight.state() | {"random": last.state()["random"]})
    np.testing.assert_equal(last.state()["model"], straight.state()["model"])


def test_the_checkpoint_of_an_epoch_resumes_at_the_next(tmp_path):
    straight = Run()
    straight.fit(epochs=4)
    expected = straight.state()
    path = tmp_path / "run.npz"
    Run().fit(epochs=2, checkpoint=path)
    longer = Run(seed=5)
    assert longer.fit(epochs=4, resume=path).epochs == 4
    np.testing.assert_equal(longer.state(), expected)
    assert load_checkpoint(path).history.epochs == 2  # resume=path writes nothing unless told where


def test_a_finished_run_is_not_trained_further(tmp_path):
    path = tmp_path / "run.npz"
    done = Run()
    done.fit(epochs=2, checkpoint=path)
    again = Run(seed=5)
    assert again.fit(epochs=2, checkpoint=path, resume=True).epochs == 2
    np.testing.assert_equal(again.model.state_dict(), done.model.state_dict())


def test_checkpoints_every_so_many_steps(tmp_path):
    path = tmp_path / "run.npz"
    found = []

    class Look:
        def on_step(self, state):
            found.append(len(load_checkpoint(path).history.step_loss) if path.exists() else 0)

    Run().fit(epochs=2, checkpoint=path, checkpoint_every=3, callbacks=[Look()])
    assert found == [0, 0, 0, 3, 3, 3, 6, 7, 7, 9, 9, 9, 12, 12]
    assert len(load_checkpoint(path).history.step_loss) == 14


def test_a_checkpoint_of_another_model_is_refused_and_nothing_is_changed(tmp_path):
    path = tmp_path / "run.npz"
    Run().fit(epochs=1, checkpoint=path)
    backend.seed(3)
    model = nn.Linear(6, 3).to(backend.current())
    before = model.state_dict()
    with pytest.raises(
        ValueError, match=r"run\.npz does not fit: the model is Sequential in the checkpoint and Linear"
    ):
        fit(model, optim.SGD(model, lr=0.1), Loader(DATA, 4), epochs=2, resume=path)
    np.testing.assert_equal(model.state_dict(), before)


def test_a_truncated_checkpoint_is_refused_and_nothing_is_changed(tmp_path):
    path = tmp_path / "run.npz"
    Run().fit(epochs=1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    run = Run(seed=3)
    before = run.state()
    with pytest.raises(ValueError, match=r"run\.npz is damaged"):
        run.fit(checkpoint=path, resume=True)
    np.testing.assert_equal(run.state(), before)


def test_what_cannot_be_resumed_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*run\.npz to resume; leave out resume=True to begin"):
        Run().fit(checkpoint=tmp_path / "run.npz", resume=True)
    with pytest.raises(ValueError, match="resume=True goes on from `checkpoint`; give its path"):
        Run().fit(resume=True)
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        Run().fit(resume=tmp_path / "elsewhere.npz")


@pytest.mark.parametrize("workers", [0, 2])
def test_augmented_training_is_resumed_bit_for_bit_with_any_number_of_workers(tmp_path, workers):
    class Augmented(Run):
        def __init__(self, workers, seed=0):
            super().__init__(seed)
            self.loader = Loader(Rows(), 4, seed=seed, transform=jitter, workers=workers)

    straight = Augmented(0)
    history = straight.fit(epochs=3)
    path = tmp_path / "run.npz"
    Augmented(2).fit(epochs=3, callbacks=[At(STEPS + 3, press_ctrl_c)], checkpoint=path)
    resumed = Augmented(workers, seed=5)
    assert without_times(resumed.fit(epochs=3, checkpoint=path, resume=True)) == without_times(history)
    np.testing.assert_equal(resumed.state(), straight.state())


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


def test_in_anomaly_mode_a_nan_is_found_at_once():
    with md.detect_anomaly(), pytest.raises((FloatingPointError, md.GraphError)) as caught:
        poisoned(n=3)
    assert "step 3" in str(caught.value) or "produced NaN" in str(caught.value)


def test_any_source_is_validated_on():
    run = Run()
    doubled = Mapped(Rows(), lambda inputs, rng: inputs * 2)
    history = run.fit(epochs=1, validation=doubled)
    expected = evaluate(run.model, Dataset(DATA.inputs * 2, DATA.labels))
    assert history.validation_loss == [expected.loss]
    assert history.validation_accuracy == [expected.accuracy]


# ---- arguments


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "fit: epochs: expected a whole number of at least 1; got 0"),
        ({"epochs": 2.0}, ValueError, "epochs: expected a whole number"),
        ({"steps": 0}, ValueError, "fit: steps: expected a whole number of at least 1; got 0"),
        ({"epochs": None}, ValueError, "say how long to train: epochs=, steps= or both"),
        ({"validation": (1, 2)}, TypeError, "expected a Dataset as validation; got tuple"),
        ({"checkpoint_every": 5}, ValueError, "needs a path, checkpoint="),
        ({"checkpoint": "a.npz", "checkpoint_every": 0}, ValueError, "a whole number of at least 1"),
        ({"callbacks": [print]}, TypeError, r"objects with on_step\(state\) or on_epoch\(state\)"),
        ({"callbacks": [At]}, TypeError, r"objects with on_step\(state\) or on_epoch\(state\)"),
        (
            {"validation": Dataset(np.zeros((0, 6)), np.zeros(0))},
            ValueError,
            "the validation data set is empty; leave it out",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_the_first_step(options, error, words):
    run = Run()
    before = run.state()
    with pytest.raises(error, match=words):
        run.fit(**options)
    np.testing.assert_equal(run.state(), before)


def test_a_data_set_in_place_of_a_loader_is_refused():
    run = Run()
    with pytest.raises(TypeError, match=r"expected a Loader; got Dataset: Loader\(dataset, batch_size=32\) makes one"):
        fit(run.model, run.optimizer, DATA, epochs=1)


def test_an_optimizer_of_another_model_is_refused():
    run = Run()
    with pytest.raises(ValueError, match="updates none of this model's parameters"):
        fit(run.model, Run().optimizer, run.loader, epochs=1)


def test_fit_is_silent_where_there_is_no_terminal(capsys):
    assert isinstance(Run().fit(epochs=1), History)
    assert capsys.readouterr() == ("", "")


def test_fit_shows_a_bar_if_asked(capsys):
    Run().fit(epochs=2, progress=True)
    assert "epoch 2/2" in capsys.readouterr().err
