"""minidl/training/run.py: how a run stops, and how it goes on as if it had never stopped."""

import io
import signal

import numpy as np
import pytest

import minidl.functional as F
from minidl import backend, nn, optim
from minidl.data import Dataset, Loader
from minidl.training import fit, load_checkpoint
from minidl.training.checkpoint import Content
from tests.training.runs import DATA, HELD_OUT, STEPS, At, Rows, Run, jitter, press_ctrl_c, stop, without_times

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
    assert said.err.splitlines()[-1].startswith(f"interrupted after step 10, 1 of 6 epochs finished; written to {path}")
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


class Watched:
    """Examples to validate on, in three batches, that count how often they are taken and may press Ctrl-C then."""

    classes = None

    def __init__(self, press=False):
        self.data = Dataset(np.tile(HELD_OUT.inputs, (60, 1)), np.tile(HELD_OUT.labels, 60))
        self.labels = self.data.labels
        self.taken = 0
        self._press = press

    def __len__(self):
        return len(self.data)

    def take(self, indices):
        self.taken += 1
        if self._press:
            signal.raise_signal(signal.SIGINT)
            self._press = False
        return self.data.take(indices)


def test_ctrl_c_at_the_last_batch_of_an_epoch_leaves_its_validation_out(tmp_path, capsys):
    path, watched = tmp_path / "run.npz", Watched()
    history = Run().fit(callbacks=[At(2 * STEPS, press_ctrl_c)], checkpoint=path, validation=watched)
    assert watched.taken == 3  # of the first epoch
    assert history.interrupted
    assert history.epochs == len(history.validation_loss) == 1
    assert len(history.step_loss) == 2 * STEPS
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"interrupted after step {2 * STEPS}, 1 of 6 epochs finished; written to")
    assert load_checkpoint(path).history.epochs == 1


def test_ctrl_c_in_a_validation_ends_it_after_its_batch(tmp_path):
    path, watched = tmp_path / "run.npz", Watched(press=True)
    history = Run().fit(checkpoint=path, validation=watched)
    assert watched.taken == 1
    assert history.interrupted
    assert history.epochs == 0
    assert len(load_checkpoint(path).history.step_loss) == STEPS


def noisy(outputs, labels):
    """A loss that draws random numbers also in a validation."""
    return F.cross_entropy(F.dropout(outputs, 0.1, True), labels)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("loss", [F.cross_entropy, noisy])
def test_a_validation_that_was_left_out_is_made_when_the_run_is_resumed(tmp_path, epochs, loss):
    straight = Run()
    options = {"epochs": epochs, "loss": loss}
    expected_history = straight.fit(**options, validation=Watched())
    expected = straight.state()

    path = tmp_path / "run.npz"
    Run().fit(**options, validation=Watched(), callbacks=[At(STEPS, press_ctrl_c)], checkpoint=path)
    for press in (True, True, False):  # interrupted in the validation, twice
        fresh, watched, seen = Run(seed=77), Watched(press), []
        history = fresh.fit(**options, validation=watched, callbacks=[Losses(seen)], checkpoint=path, resume=True)
        assert history.interrupted == press
    assert watched.taken == 3 * epochs
    np.testing.assert_equal(fresh.state(), expected)
    assert without_times(history) == without_times(expected_history)
    assert seen == [history.step_loss[n - 1] for n in history.steps]  # the first was made before the interruption


class Losses:
    """Collects the last loss of each epoch."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch(self, state):
        self.seen.append(state.loss.item())


def test_after_a_validation_that_was_left_out_the_loader_goes_on_with_the_next_epoch():
    run = Run()
    run.fit(validation=Watched(press=True))
    assert (run.loader.epoch, run.loader.position) == (0, STEPS)
    history = run.fit(epochs=1)
    assert len(history.step_loss) == STEPS
    assert run.loader.epoch == 2


def test_ctrl_c_in_the_last_step_without_a_validation_interrupts_nothing():
    history = Run().fit(epochs=2, validation=None, callbacks=[At(2 * STEPS, press_ctrl_c)])
    assert history.epochs == 2
    assert not history.interrupted


# ---- callbacks


class Fails:
    """A callback that fails after a step, or after an epoch."""

    def __init__(self, step, method):
        self.step, self.method = step, method

    def on_step(self, state):
        if self.method == "on_step" and state.step == self.step:
            raise RuntimeError("nobody looks")

    def on_epoch(self, state):
        if self.method == "on_epoch" and state.step == self.step:
            raise RuntimeError("nobody looks")


@pytest.mark.parametrize(
    ("step", "method", "options"),
    [
        (3, "on_step", {"checkpoint_every": 3}),
        (STEPS, "on_step", {"checkpoint_every": STEPS}),
        (STEPS, "on_epoch", {}),
        (2 * STEPS, "on_epoch", {}),
        (10, "on_step", {"steps": 10}),
    ],
)
def test_a_callback_that_fails_loses_no_step_that_was_to_be_kept(tmp_path, step, method, options):
    straight = Run()
    straight.fit(epochs=3)
    path = tmp_path / "run.npz"
    with pytest.raises(RuntimeError, match="nobody looks"):
        Run().fit(epochs=3, checkpoint=path, callbacks=[Fails(step, method)], **options)
    assert len(load_checkpoint(path).history.step_loss) == step
    resumed = Run(seed=9)
    resumed.fit(epochs=3, checkpoint=path, resume=True)
    np.testing.assert_equal(resumed.state(), straight.state())


class Halves:
    """A callback that changes the run: after every epoch the rate, and a weight."""

    def on_epoch(self, state):
        state.optimizer.lr *= 0.5
        state.model.fc1.bias.data[...] *= 0.5


def test_what_a_callback_changes_is_kept(tmp_path):
    straight, path = Run(), tmp_path / "run.npz"
    straight.fit(epochs=4, schedule=None, callbacks=[Halves()])
    Run().fit(epochs=2, schedule=None, callbacks=[Halves()], checkpoint=path)
    resumed = Run(seed=9)
    resumed.fit(epochs=4, schedule=None, callbacks=[Halves()], checkpoint=path, resume=True)
    np.testing.assert_equal(resumed.state(), straight.state())


def test_a_checkpoint_is_written_once_unless_a_callback_changes_something(tmp_path, monkeypatch):
    written = []
    write = Content.write

    def count(self, path):
        written.append(path)
        write(self, path)

    monkeypatch.setattr(Content, "write", count)
    Run().fit(epochs=2, checkpoint=tmp_path / "run.npz", callbacks=[At(3, lambda state: None)])
    assert len(written) == 2
    Run().fit(epochs=2, checkpoint=tmp_path / "run.npz", schedule=None, callbacks=[Halves()])
    assert len(written) == 2 + 4


class Breaks:
    """A validation set that cannot be read, until somebody mends it."""

    labels = HELD_OUT.labels
    classes = None

    def __init__(self, broken):
        self._broken = broken

    def __len__(self):
        return len(HELD_OUT)

    def take(self, indices):
        if self._broken:
            raise OSError("the disk is gone")
        return HELD_OUT.take(indices)


def test_a_validation_that_fails_loses_no_step(tmp_path):
    straight = Run()
    straight.fit(epochs=2)
    path = tmp_path / "run.npz"
    with pytest.raises(OSError, match="the disk is gone"):
        Run().fit(epochs=2, checkpoint=path, validation=Breaks(True))
    assert len(load_checkpoint(path).history.step_loss) == STEPS
    resumed = Run(seed=9)
    history = resumed.fit(epochs=2, checkpoint=path, resume=True, validation=Breaks(False))
    np.testing.assert_equal(resumed.state(), straight.state())
    assert len(history.validation_loss) == 2


def test_changed_settings_are_refused_or_taken(tmp_path):
    path = tmp_path / "run.npz"
    Run().fit(epochs=1, checkpoint=path)
    other = Run()
    other.schedule.total_steps = 3
    with pytest.raises(ValueError, match="the total_steps of the schedule is 42 in the checkpoint and 3 here"):
        other.fit(epochs=2, checkpoint=path, resume=True)
    other.schedule.total_steps = 42
    with pytest.raises(ValueError, match="the loss is cross_entropy in the checkpoint and nll_loss here"):
        fit(other.model, other.optimizer, other.loader, F.nll_loss, epochs=2, schedule=other.schedule, resume=path)
    other.schedule.total_steps = 3
    history = other.fit(epochs=2, checkpoint=path, resume=True, allow_changes=True)
    assert history.step_rate[STEPS:] == [0.0] * STEPS


# ---- callbacks that fail, words that nobody takes


class Failing:
    """A callback that fails once: in a step, or at the end of an epoch."""

    def __init__(self, method, number):
        def fail(state):
            if number == (state.step if method == "on_step" else state.epoch):
                raise ValueError("the caller's own")

        setattr(self, method, fail)


@pytest.mark.parametrize(("method", "number"), [("on_step", 1), ("on_step", STEPS), ("on_step", 10), ("on_epoch", 1)])
def test_a_callback_that_fails_costs_no_step(tmp_path, method, number):
    straight = Run()
    expected_history = straight.fit(epochs=3)
    path = tmp_path / "run.npz"
    with pytest.raises(ValueError, match="the caller's own"):
        Run().fit(epochs=3, callbacks=[Failing(method, number)], checkpoint=path)
    assert len(load_checkpoint(path).history.step_loss) == (number if method == "on_step" else 2 * STEPS)
    fresh = Run(seed=77)
    history = fresh.fit(epochs=3, checkpoint=path, resume=True)
    np.testing.assert_equal(fresh.state(), straight.state())
    assert without_times(history) == without_times(expected_history)


def test_a_callback_that_fails_over_a_loss_that_is_not_finite_leaves_the_checkpoint_of_before(tmp_path):
    path = tmp_path / "run.npz"

    class Strict:
        def on_step(self, state):
            if state.step == STEPS + 2:
                for p in state.model.parameters():
                    p.data[...] = np.nan
            assert np.isfinite(state.loss.item()), "the caller's own"

    with pytest.raises(AssertionError, match="the caller's own"):
        Run().fit(epochs=3, callbacks=[Strict()], checkpoint=path)
    assert len(load_checkpoint(path).history.step_loss) == STEPS


def test_ctrl_c_leaves_its_history_also_where_nobody_hears_the_words(tmp_path, monkeypatch):
    for stream in (None, Deaf()):
        monkeypatch.setattr("sys.stderr", stream)
        history = Run().fit(callbacks=[At(10, press_ctrl_c)], checkpoint=tmp_path / "run.npz")
        assert history.interrupted


class Deaf(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_a_path_with_control_characters_does_not_steer_the_terminal(tmp_path, capsys):
    Run().fit(callbacks=[At(1, press_ctrl_c)], checkpoint=tmp_path / "\x1b[31mred")
    assert "\x1b" not in capsys.readouterr().err


# ---- checkpoints


@pytest.mark.parametrize("step", [1, 10, STEPS - 1, STEPS, 2 * STEPS + 3, 6 * STEPS - 1, 6 * STEPS])
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


class LookAt:
    """A callback that looks at a batch of the loader in every step and epoch, and keeps the iteration or drops it."""

    def __init__(self, loader, keeps):
        self.loader, self.keeps, self.kept = loader, keeps, []

    def on_step(self, state):
        look = iter(self.loader)
        next(look)
        if self.keeps:
            self.kept.append(look)

    on_epoch = on_step


@pytest.mark.parametrize("keeps", [True, False])
def test_a_callback_that_looks_at_a_batch_takes_nothing_from_the_training(tmp_path, keeps):
    def looking(run):
        return [LookAt(run.loader, keeps)]

    straight = Run()
    expected_history = straight.fit(epochs=3, callbacks=looking(straight))
    assert expected_history.steps == [STEPS, 2 * STEPS, 3 * STEPS]
    assert len(expected_history.validation_loss) == 3

    path = tmp_path / "run.npz"
    for step in (2, STEPS, STEPS + 3, 2 * STEPS + 1, 3 * STEPS):
        run = Run(seed=step if path.exists() else 0)
        history = run.fit(
            epochs=3, callbacks=[*looking(run), At(step, stop)], checkpoint=path, resume=path if path.exists() else None
        )
    np.testing.assert_equal(run.model.state_dict(), straight.model.state_dict())
    assert without_times(history) == without_times(expected_history)


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
    assert found == [0, 0, 3, 3, 3, 6, 6, 7, 9, 9, 9, 12, 12, 12]  # a callback finds that of its step
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


def test_a_part_in_evaluation_mode_is_not_put_into_training_by_a_resume(tmp_path):
    def made(frozen):
        backend.seed(0)
        model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
        if frozen:
            model[1].eval()
        rng = np.random.default_rng(0)
        data = Dataset(rng.normal(size=(12, 5)).astype(np.float32), np.arange(12) % 3)
        return model, optim.SGD(model, lr=0.1), Loader(data, 4, seed=0)

    path = tmp_path / "run.npz"
    fit(*made(True), epochs=1, checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="the mode of the module 1 is evaluation in the checkpoint and training here"):
        fit(*made(False), epochs=2, checkpoint=path, resume=True, progress=False)
    fit(*made(True), epochs=2, checkpoint=path, resume=True, progress=False)
    model, *rest = made(False)
    fit(model, *rest, epochs=1, checkpoint=path, progress=False)
    model.eval()  # all of it: fit lets all of it train
    fit(model, *rest, epochs=2, checkpoint=path, resume=True, progress=False)


def test_an_empty_path_to_resume_from_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    Run().fit(epochs=1, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="expected the path of a file or folder; got ''"):
        Run().fit(epochs=1, checkpoint=path, resume="")
    assert path.read_bytes() == before


def test_a_relative_checkpoint_stays_where_it_was_when_the_program_goes_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    leave = At(2, lambda state: monkeypatch.chdir(tmp_path / "elsewhere"))
    Run().fit(epochs=2, checkpoint="c.npz", callbacks=[leave])
    assert load_checkpoint(tmp_path / "c.npz").history.epochs == 2
    assert list((tmp_path / "elsewhere").iterdir()) == []
