"""minidl/training/changes.py: what a run takes from a checkpoint whose parts were others, and goes on with."""

import numpy as np
import pytest

from minidl import nn, optim
from minidl.data import Dataset, Loader
from minidl.training import fit, load_checkpoint, save_checkpoint
from minidl.training.changes import loader_state, schedule_state
from tests.training.runs import DATA, At, Run, stop

LONGER = Dataset(np.tile(DATA.inputs, (2, 1)), np.tile(DATA.labels, 2))


def at(position, data=DATA, batch_size=4, **options):
    """The state of a Loader within its epoch 3."""
    loader = Loader(data, batch_size, seed=7, **options)
    return {**loader.state_dict(), "epoch": 3, "next_epoch": 4, "position": position}


@pytest.mark.parametrize(
    ("saved", "here", "position"),
    [
        (at(3), Loader(DATA, 4), 3),
        (at(3), Loader(DATA, 4, shuffle=False), 3),
        (at(3), Loader(DATA, 6), 2),  # 12 examples are behind
        (at(3), Loader(DATA, 5), 2),  # whole batches only: 10 of the 12
        (at(3), Loader(DATA, 24), 0),
        (at(3), Loader(DATA, 1), 12),
        (at(0), Loader(DATA, 5), 0),
        (at(7), Loader(DATA, 5), 6),  # the epoch was handed out
        (at(6, drop_last=True), Loader(DATA, 5), 6),
        (at(6), Loader(DATA, 4, drop_last=True), 5),  # and this one was not
        (at(3), Loader(LONGER, 4), 3),
        (at(10, LONGER), Loader(DATA, 4), 6),
        (at(13, LONGER), Loader(DATA, 4), 7),
    ],
)
def test_a_loader_goes_on_behind_as_many_examples(saved, here, position):
    own = here.state_dict()
    state = loader_state(saved, here)
    here.load_state_dict(state)
    assert here.position == position
    assert (here.epoch, here.seed) == (3, 7)
    assert {key: state[key] for key in ("examples", "batch_size", "shuffle", "drop_last", "data")} == {
        key: own[key] for key in ("examples", "batch_size", "shuffle", "drop_last", "data")
    }
    assert len(list(here)) == len(here) - position


def test_another_batch_size_hands_out_what_was_not_yet_seen():
    first, second = Loader(DATA, 4, seed=1), Loader(DATA, 2, seed=5)
    batches = iter(first)
    seen = [next(batches)[0] for _ in range(3)]
    second.load_state_dict(loader_state(first.state_dict(), second))
    seen += [inputs for inputs, _ in second]
    assert sorted(np.concatenate(seen)[:, 0].tolist()) == sorted(DATA.inputs[:, 0].tolist())


def chained(optimizer, n):
    return optim.ChainedScheduler([optim.StepLR(optimizer, 2, 0.5) for _ in range(n)])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda o: chained(o, 1), lambda o: chained(o, 2)),
        (lambda o: chained(o, 3), lambda o: chained(o, 2)),
        (lambda o: chained(o, 2), lambda o: optim.StepLR(o, 2, 0.25)),
        (lambda o: optim.StepLR(o, 2, 0.25), lambda o: chained(o, 2)),
    ],
)
def test_another_number_of_schedules_goes_on_from_the_same_step(first, second):
    one, two = (optim.SGD(nn.Linear(2, 2), lr=lr) for lr in (0.5, 1.0))
    saved, schedule = first(one), second(two)
    for _ in range(5):
        saved.step()
    schedule.load_state_dict(schedule_state(saved.state_dict(), schedule, new_rate=False))
    assert schedule.step_count == 5
    assert two.lr == 0.5 / 16
    schedule.load_state_dict(schedule_state(saved.state_dict(), second(optim.SGD(nn.Linear(2, 2), lr=2.0)), True))
    assert two.lr == 2.0 / 16


def test_a_schedule_where_there_was_none_begins(tmp_path):
    path = tmp_path / "run.npz"
    run = Run()
    run.fit(epochs=1, schedule=None, checkpoint=path)
    other = Run()
    other.schedule = optim.LinearLR(other.optimizer, 0.5, total_iters=10)
    history = other.fit(epochs=2, checkpoint=path, resume=True, allow_changes=True)
    np.testing.assert_allclose(history.step_rate[7:10], [0.05, 0.055, 0.06])


@pytest.mark.parametrize("stopped", [7, 10, 14])
@pytest.mark.parametrize(("batch_size", "data"), [(4, LONGER), (2, DATA), (7, DATA), (26, DATA), (60, LONGER)])
def test_epochs_stay_epochs_with_other_batches(tmp_path, stopped, batch_size, data):
    path = tmp_path / "run.npz"
    Run().fit(epochs=3, checkpoint=path, callbacks=[At(stopped, stop)])
    done = load_checkpoint(path).history
    open_at = stopped - (done.steps[-1] if done.steps else 0)
    other = Run()
    other.loader = Loader(data, batch_size)
    with pytest.raises(ValueError, match="does not fit"):
        other.fit(epochs=3, checkpoint=path, resume=True)
    history = other.fit(epochs=3, checkpoint=path, resume=True, allow_changes=True)
    behind = min(open_at * 4 // batch_size, len(other.loader) - 1) if open_at not in (0, 7) else 0
    assert history.epochs == 3
    assert len(history.validation_loss) == 3
    left = (3 - done.epochs) * len(other.loader) - behind
    assert len(history.step_loss) == stopped + left
    assert (other.loader.epoch, other.loader.position) == (3, 0)


def test_steps_are_counted_together(tmp_path):
    path = tmp_path / "run.npz"
    Run().fit(epochs=1, checkpoint=path)
    other = Run()
    other.loader = Loader(DATA, 2)
    history = other.fit(steps=10, epochs=None, checkpoint=path, resume=True, allow_changes=True)
    assert len(history.step_loss) == 10


def test_settings_of_all_kinds_are_taken_at_once(tmp_path):
    path = tmp_path / "run.npz"
    Run().fit(epochs=1, checkpoint=path)
    other = Run(lr=0.4)
    other.model.drop.p = 0.5
    other.loader = Loader(LONGER, 13, transform=lambda inputs, rng: inputs)
    other.schedule = chained(other.optimizer, 2)
    other.optimizer.layer_rate = None
    history = fit(
        other.model,
        other.optimizer,
        other.loader,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        epochs=2,
        schedule=other.schedule,
        checkpoint=path,
        resume=True,
        allow_changes=True,
    )
    assert len(history.step_loss) == 7 + 4
    assert history.step_rate[7] == 0.4 * 0.25**3
    again = load_checkpoint(path)  # which is then a checkpoint of the run as it is now
    again.resume(other.model, other.optimizer, other.loader, other.schedule, validation="none")
    assert again.kinds["lr of the optimizer"] == "0.4"


def test_other_shapes_are_refused_whatever_is_allowed(tmp_path):
    path = tmp_path / "run.npz"
    first = nn.Linear(6, 3)
    save_checkpoint(path, first, optim.SGD(first, momentum=0.9))
    other = nn.Linear(6, 4)
    with pytest.raises(
        ValueError, match=r"(?s)nothing was changed.*weight: the model has shape \(4, 6\), the state \(3, 6\)"
    ):
        load_checkpoint(path).resume(other, optim.SGD(other, momentum=0.9), allow_changes=True)


@pytest.mark.parametrize(
    ("method", "first", "second"),
    [
        (optim.SGD, {"momentum": 0.9}, {}),
        (optim.SGD, {}, {"momentum": 0.9}),
        (optim.RMSprop, {"centered": True}, {"momentum": 0.5}),
        (optim.AdaGrad, {}, {"denominator": "layer"}),
        (optim.AdaGrad, {"denominator": "layer"}, {}),
    ],
)
def test_what_a_method_remembers_anew_begins_at_0(tmp_path, method, first, second):
    path = tmp_path / "run.npz"
    run, other = Run(), Run()
    run.optimizer, other.optimizer = method(run.model, **first), method(other.model, **second)
    run.fit(epochs=1, schedule=None, checkpoint=path)
    with pytest.raises(ValueError, match="does not fit"):
        other.fit(epochs=2, schedule=None, checkpoint=path, resume=True)
    load_checkpoint(path).resume(other.model, other.optimizer, other.loader, allow_changes=True)
    saved, taken = run.optimizer.state_dict(), other.optimizer.state_dict()
    for name, value in taken.items():
        np.testing.assert_array_equal(value, saved.get(name, 0))
    history = other.fit(epochs=2, schedule=None, checkpoint=path, resume=True, allow_changes=True)
    assert history.epochs == 2


def test_the_state_of_another_model_is_refused_by_name(tmp_path):
    path = tmp_path / "run.npz"
    run = Run()
    run.fit(epochs=1, schedule=None, checkpoint=path)
    smaller = optim.SGD(run.model.fc1, lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"the saved state does not fit this SGD: .*not known here 'fc1.bias/steps'"):
        load_checkpoint(path).resume(run.model, smaller, run.loader, allow_changes=True)
