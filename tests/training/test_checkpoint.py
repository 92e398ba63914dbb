"""minidl/training/checkpoint.py: what is needed to go on bit for bit, and nothing half done."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn, optim
from minidl.data import Dataset, Loader
from minidl.data.transforms import ToFloat
from minidl.files.arrays import load_arrays, save_arrays
from minidl.training.checkpoint import load_checkpoint, save_checkpoint
from minidl.training.history import History
from tests.arrays import device, host

RANDOM = np.random.default_rng(0)
DATA = Dataset(RANDOM.normal(size=(24, 6)).astype(np.float32), RANDOM.integers(0, 3, size=24))


def make(seed=0, hidden=5, activation=nn.Tanh, method=optim.SGD, batch_size=4, lr=0.1, scale=None, **options):
    """A model, its optimizer, its schedule and a loader, as a fresh process would make them."""
    backend.seed(seed)
    model = nn.Sequential(
        [
            ("fc1", nn.Linear(6, hidden)),
            ("act1", activation()),
            ("drop", nn.Dropout(0.3)),
            ("fc2", nn.Linear(hidden, 3)),
        ]
    ).to(backend.current())
    if method is optim.SGD:
        options = {"momentum": 0.9, **options}
    optimizer = method(model, lr=lr, **options)
    if scale is not None:
        optimizer.scale(*scale)
    return model, optimizer, Loader(DATA, batch_size), optim.InvLR(optimizer, gamma=0.1, power=0.75)


def run(model, optimizer, loader, schedule, epochs=1):
    losses = []
    for _ in range(epochs):
        for inputs, labels in loader:
            loss = F.cross_entropy(model(md.Tensor(inputs)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(host(loss)))
    return losses


def everything(model, optimizer, loader, schedule):
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "loader": loader.state_dict(),
        "schedule": schedule.state_dict(),
        "random": backend.random_state(),
    }


def saved(folder, **options):
    parts = make(**options)
    run(*parts)
    path = folder / "run.npz"
    save_checkpoint(path, *parts, history=History())
    return path, parts


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (optim.SGD, {"nesterov": True}),
        (optim.SGD, {"momentum": 0.0}),
        (optim.SGD, {"layer_rate": optim.LayerSpecific(), "weight_decay": 0.01}),
        (optim.AdaGrad, {}),
        (optim.AdaGrad, {"denominator": "layer"}),
        (optim.Adam, {}),
        (optim.AdamW, {"layer_rate": optim.TrustRatio(), "scale": ("*.bias", 2.0, 0.0)}),
        (optim.RMSprop, {"momentum": 0.5, "centered": True}),
    ],
)
def test_fresh_objects_go_on_bit_for_bit(tmp_path, method, options):
    path, straight = saved(tmp_path, method=method, **options)
    expected = run(*straight, epochs=2)

    fresh = make(seed=99, method=method, **options)
    load_checkpoint(path).resume(*fresh)
    assert run(*fresh, epochs=2) == expected
    np.testing.assert_equal(everything(*fresh), everything(*straight))


def test_the_history_comes_back(tmp_path):
    model, optimizer, loader, schedule = make()
    history = History(interrupted=True)
    history.add_step(device(np.float32(0.1)), 0.5)
    history.open_seconds = 2.5
    history.end_epoch(1.5, 0.75)
    history.add_step(device(np.float32(0.3)), 0.25)
    save_checkpoint(tmp_path / "run.npz", model, optimizer, loader, schedule, history)
    found = load_checkpoint(tmp_path / "run.npz").resume(model, optimizer, loader, schedule)
    assert not found.interrupted
    history.interrupted = False
    assert found == history


def test_weights_alone_can_be_saved_and_read(tmp_path):
    model, *_ = make()
    save_checkpoint(tmp_path / "weights.npz", model)
    checkpoint = load_checkpoint(tmp_path / "weights.npz")
    assert checkpoint.optimizer is checkpoint.schedule is checkpoint.loader is None
    other, *_ = make(seed=5)
    other.load_state_dict(checkpoint.model)
    np.testing.assert_equal(other.state_dict(), model.state_dict())


def test_a_checkpoint_is_plain_numpy(tmp_path):
    path, parts = saved(tmp_path)
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["model/fc1.weight"], parts[0].state_dict()["fc1.weight"])
        assert "optimizer/fc1.weight/velocity" in file


def test_a_checkpoint_goes_on_on_the_other_backend(tmp_path, standin):
    with backend.using("numpy"):
        path, (model, _, loader, _) = saved(tmp_path)
    with backend.using("cupy"):
        fresh = make(seed=5)
        load_checkpoint(path).resume(*fresh)
        assert fresh[0].fc1.weight.device == "cupy"
        np.testing.assert_equal(fresh[0].state_dict(), model.state_dict())
        np.testing.assert_array_equal(fresh[2].order(3), loader.order(3))
        assert len(run(*fresh)) == len(loader)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"hidden": 7}, r"nothing was changed.*fc1\.weight: the model has shape \(7, 6\), the state \(5, 6\)"),
        ({"activation": nn.ReLU}, "the module act1 is Tanh in the checkpoint and ReLU here"),
        ({"method": optim.Adam}, "the optimizer is SGD in the checkpoint and Adam here"),
        ({"momentum": 0.5}, "the momentum of the optimizer is 0.9 in the checkpoint and 0.5 here"),
        ({"layer_rate": optim.LayerSpecific()}, "the layer rate is Uniform in the checkpoint and LayerSpecific here"),
        ({"batch_size": 5}, "batch_size=4; this Loader has 5"),
        ({"lr": 0.5}, "the lr of the optimizer is 0.1 in the checkpoint and 0.5 here"),
        ({"scale": ("*.bias", 2.0)}, "the scale of fc1.bias is missing in the checkpoint and lr=2.0, decay=1.0 here"),
    ],
)
def test_another_model_method_or_loader_is_refused_and_nothing_changes(tmp_path, other, words):
    path, _ = saved(tmp_path)
    parts = make(seed=3, **other)
    run(*parts)
    before = everything(*parts)
    with pytest.raises(ValueError, match=rf"(?s)run\.npz does not fit.*{words}"):
        load_checkpoint(path).resume(*parts)
    np.testing.assert_equal(everything(*parts), before)


def test_other_multipliers_of_single_parameters_are_refused(tmp_path):
    path, _ = saved(tmp_path, scale=("fc2.*", 2.0, 0.0))
    load_checkpoint(path).resume(*make(scale=("fc2.*", 2.0, 0.0)))
    with pytest.raises(ValueError, match=r"scale of fc2.weight is lr=2.0, decay=0.0 in the checkpoint and lr=3.0"):
        load_checkpoint(path).resume(*make(scale=("fc2.*", 3.0, 0.0)))
    with pytest.raises(ValueError, match=r"scale of fc2.bias is lr=2.0, decay=0.0 in the checkpoint and missing"):
        load_checkpoint(path).resume(*make(scale=("fc2.*", 1.0, 1.0)))


def test_joined_schedules_come_back(tmp_path):
    def joined(seed):
        model, optimizer, loader, _ = make(seed)
        parts = [optim.LinearLR(optimizer, total_iters=8), optim.CosineLR(optimizer, 30)]
        return model, optimizer, loader, optim.SequentialLR(optimizer, parts, [8])

    straight, fresh = joined(0), joined(99)
    run(*straight)
    save_checkpoint(tmp_path / "run.npz", *straight)
    expected = run(*straight, epochs=2)
    load_checkpoint(tmp_path / "run.npz").resume(*fresh)
    assert run(*fresh, epochs=2) == expected
    np.testing.assert_equal(everything(*fresh), everything(*straight))


def test_a_missing_or_additional_schedule_is_refused(tmp_path):
    path, (model, optimizer, loader, schedule) = saved(tmp_path)
    with pytest.raises(ValueError, match="the schedule is InvLR in the checkpoint and missing here"):
        load_checkpoint(path).resume(model, optimizer, loader)
    save_checkpoint(path, model, optimizer, loader)
    with pytest.raises(ValueError, match="the schedule is missing in the checkpoint and InvLR here"):
        load_checkpoint(path).resume(model, optimizer, loader, schedule)


def test_random_streams_that_cannot_be_restored_change_nothing(tmp_path):
    path, _ = saved(tmp_path)
    arrays, meta = load_arrays(path, kind="checkpoint")
    meta["random"]["dropout"] = {"bit_generator": "MT19937"}
    save_arrays(path, arrays, kind="checkpoint", meta=meta)
    parts = make(seed=3)
    before = everything(*parts)
    with pytest.raises(ValueError, match=r"run\.npz does not fit, nothing was changed"):
        load_checkpoint(path).resume(*parts)
    np.testing.assert_equal(everything(*parts), before)


@pytest.mark.parametrize("length", [0, 10, 1000, -1])
def test_a_truncated_checkpoint_is_refused_by_name(tmp_path, length):
    path, _ = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"run\.npz is damaged"):
        load_checkpoint(path)


def test_foreign_files_are_refused_by_name(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, weight=np.ones(3))
    with pytest.raises(ValueError, match=r"other\.npz is not a checkpoint written by minidl"):
        load_checkpoint(path)
    save_arrays(path, {}, kind="race")
    with pytest.raises(ValueError, match=r"other\.npz is a race; expected a checkpoint"):
        load_checkpoint(path)
    save_arrays(path, {}, kind="checkpoint")
    with pytest.raises(ValueError, match=r"other\.npz is not a checkpoint this version can read"):
        load_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="none"):
        load_checkpoint(tmp_path / "none.npz")


def changed(folder, change):
    """A checkpoint whose arrays and meta somebody changed."""
    path, _ = saved(folder)
    arrays, meta = load_arrays(path, kind="checkpoint")
    change(arrays, meta)
    save_arrays(path, arrays, kind="checkpoint", meta=meta)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays, meta: meta.update(kinds=["module"]), "kinds: expected entries by name"),
        (lambda arrays, meta: meta.update(kinds={"optimizer": 3}), "kinds, optimizer: expected a text; got 3"),
        (lambda arrays, meta: meta.update(random={"host": {}}), "random: it has no entry 'dropout'"),
        (lambda arrays, meta: meta.update(optimizer=[1]), "optimizer: expected entries by name or null"),
        (
            lambda arrays, meta: meta.update(optimizer=None),
            "its array 'optimizer/.*' belongs to no part that was saved",
        ),
        (lambda arrays, meta: meta.update(model=None), "model: expected entries by name; got None"),
        (lambda arrays, meta: meta.update(more=1), "its entry 'more' is not known here"),
        (lambda arrays, meta: arrays.update({"other/w": np.ones(2)}), "its array 'other/w' belongs to no part"),
        (lambda arrays, meta: arrays.pop("history/step_loss"), "it has no array 'step_loss'"),
        (lambda arrays, meta: arrays.update({"history/step_loss": np.ones(7)}), "expected 'step_rate' of shape"),
        (lambda arrays, meta: arrays.update({"history/step_loss": np.array(["a"])}), "floating numbers as 'step_loss'"),
        (lambda arrays, meta: meta["history"].update(steps=[-1]), "the history's entries do not fit each other"),
    ],
)
def test_a_checkpoint_with_other_entries_is_refused_by_file_and_entry(tmp_path, change, words):
    path = changed(tmp_path, change)
    with pytest.raises(ValueError, match=rf"run\.npz is not a checkpoint this version can read.*{words}"):
        load_checkpoint(path)


@pytest.mark.parametrize("part", ["optimizer", "schedule"])
@pytest.mark.parametrize("count", [-1, 2.5, "3", None])
def test_a_number_of_steps_that_is_none_is_refused_and_nothing_changes(tmp_path, part, count):
    path = changed(tmp_path, lambda arrays, meta: meta[part].update(step_count=count))
    parts = make(seed=3)
    before = everything(*parts)
    with pytest.raises(ValueError, match=r"run\.npz does not fit, nothing was changed: the saved 'step_count'"):
        load_checkpoint(path).resume(*parts)
    np.testing.assert_equal(everything(*parts), before)


def test_too_little_memory_while_resuming_is_no_misfit_and_changes_nothing(tmp_path, monkeypatch):
    def full(state):
        raise MemoryError

    path, _ = saved(tmp_path)
    parts = make(seed=3)
    before = everything(*parts)
    checkpoint = load_checkpoint(path)
    with monkeypatch.context() as patched:
        patched.setattr(parts[2], "load_state_dict", full)
        with pytest.raises(MemoryError):
            checkpoint.resume(*parts)
    np.testing.assert_equal(everything(*parts), before)


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path, parts = saved(tmp_path)
    before = path.read_bytes()

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr("minidl.files.writing.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(path, *parts)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---- other settings


OTHER_SETTINGS = {
    "dropout": (lambda parts: setattr(parts[0].drop, "p", 0.5), "the p of the module drop is 0.3 .* and 0.5 here"),
    "frozen": (
        lambda parts: parts[0].fc1.requires_grad_(False),
        "the parameter fc1.weight is float32, trained in the checkpoint and float32, frozen here",
    ),
    "schedule": (lambda parts: setattr(parts[3], "gamma", 0.2), "the gamma of the schedule is 0.1 .* and 0.2 here"),
    "power": (lambda parts: setattr(parts[3], "power", 1.0), "the power of the schedule is 0.75 .* and 1.0 here"),
    "layer rate": (
        lambda parts: setattr(parts[1], "layer_rate", optim.LARS(0.1)),
        r"the rule of the layer rate is LARS\(eta=0.2, .* and LARS\(eta=0.1",
    ),
    "transform": (
        lambda parts: parts.__setitem__(2, Loader(DATA, 4, transform=ToFloat(0.5))),
        r"the transform of the loader is ToFloat\(scale=1.0\) .* and ToFloat\(scale=0.5\) here",
    ),
    "float64": (lambda parts: parts[0].double(), "the parameter fc1.weight is float32, trained .* float64, trained"),
}


def made():
    model, optimizer, _, schedule = make(layer_rate=optim.LARS(0.2))
    return model, optimizer, Loader(DATA, 4, transform=ToFloat(1.0)), schedule


@pytest.mark.parametrize(("change", "words"), OTHER_SETTINGS.values(), ids=OTHER_SETTINGS.keys())
def test_other_settings_are_refused_by_name_or_taken_if_that_is_said(tmp_path, change, words):
    path = tmp_path / "run.npz"
    save_checkpoint(path, *made(), loss=F.cross_entropy)
    load_checkpoint(path).resume(*made(), loss=F.cross_entropy)
    parts = list(made())
    change(parts)
    before = everything(*parts)
    with pytest.raises(ValueError, match=rf"(?s)does not fit, nothing was changed: .*{words}.*say allow_changes=True"):
        load_checkpoint(path).resume(*parts)
    np.testing.assert_equal(everything(*parts), before)
    if parts[0].fc1.weight.dtype == np.float32:
        load_checkpoint(path).resume(*parts, allow_changes=True)
        run(*parts)


def test_another_loss_is_refused_if_the_loss_was_saved(tmp_path):
    path = tmp_path / "run.npz"
    save_checkpoint(path, *make(), loss=F.cross_entropy)
    load_checkpoint(path).resume(*make())  # a loop of one's own need not say
    with pytest.raises(ValueError, match="the loss is cross_entropy in the checkpoint and nll_loss here"):
        load_checkpoint(path).resume(*make(), loss=F.nll_loss)
    save_checkpoint(path, *make())
    load_checkpoint(path).resume(*make(), loss=F.nll_loss)


@pytest.mark.parametrize(
    "other",
    [
        Dataset(DATA.inputs, DATA.labels[::-1].copy()),
        Dataset(DATA.inputs + 1, DATA.labels),
        Dataset(DATA.inputs.astype(np.float64), DATA.labels),
    ],
)
def test_other_data_of_as_many_examples_are_refused(tmp_path, other):
    path, _ = saved(tmp_path)
    model, optimizer, _, schedule = make()
    parts = model, optimizer, Loader(other, 4), schedule
    with pytest.raises(ValueError, match=r"run\.npz does not fit.*Loader: the state was taken with other data"):
        load_checkpoint(path).resume(*parts)
    load_checkpoint(path).resume(*parts, allow_changes=True)
    assert parts[2].epoch == 1


def test_with_changes_allowed_another_schedule_goes_on_from_the_same_step(tmp_path):
    path, straight = saved(tmp_path)
    model, optimizer, loader, _ = make()
    schedule = optim.StepLR(optimizer, 4, 0.5)
    with pytest.raises(
        ValueError, match="the schedule is InvLR in the checkpoint and StepLR here; nothing was changed"
    ):
        load_checkpoint(path).resume(model, optimizer, loader, schedule)
    load_checkpoint(path).resume(model, optimizer, loader, schedule, allow_changes=True)
    assert schedule.step_count == straight[3].step_count == 6
    assert optimizer.lr == 0.1 * 0.5
    load_checkpoint(path).resume(model, optimizer, loader, allow_changes=True)
    assert optimizer.lr == straight[1].lr


def test_what_does_not_fit_is_refused_whatever_is_allowed(tmp_path):
    path, _ = saved(tmp_path)
    for other in ({"hidden": 7}, {"method": optim.Adam}):
        parts = make(seed=3, **other)
        before = everything(*parts)
        with pytest.raises(ValueError, match=r"run\.npz does not fit, nothing was changed"):
            load_checkpoint(path).resume(*parts, allow_changes=True)
        np.testing.assert_equal(everything(*parts), before)


@pytest.mark.parametrize("scheduled", [True, False])
def test_another_rate_is_refused_or_taken(tmp_path, scheduled):
    def parts(**options):
        model, optimizer, loader, schedule = make(**options)
        return (model, optimizer, loader, schedule) if scheduled else (model, optimizer, loader)

    path, straight = tmp_path / "run.npz", parts()
    run(*straight, *(() if scheduled else (Unchanged(),)))
    straight[1].lr *= 0.5  # whatever becomes of it in the training, the rate that was asked for is the same
    save_checkpoint(path, *straight)
    load_checkpoint(path).resume(*parts(seed=9))
    load_checkpoint(path).resume(*straight)
    other = parts(lr=0.5)
    with pytest.raises(ValueError, match=r"the lr of the optimizer is 0.1 in the checkpoint and 0.5 here; nothing was"):
        load_checkpoint(path).resume(*other)
    load_checkpoint(path).resume(*other, allow_changes=True)
    assert other[1].lr == (other[3].rate(6) if scheduled else 0.5)
    if scheduled:
        assert other[3].base_lr == other[1].initial_lr == 0.5
    save_checkpoint(path, *other)  # from here on it is the other run
    load_checkpoint(path).resume(*parts(lr=0.5))
    with pytest.raises(ValueError, match=r"the lr of the optimizer is 0.5 in the checkpoint and 0.1 here; nothing was"):
        load_checkpoint(path).resume(*parts())


class Unchanged:
    """In place of a schedule."""

    def step(self):
        pass


def test_an_older_checkpoint_is_compared_by_what_it_says_in_todays_words(tmp_path):
    path, straight = saved(tmp_path)
    arrays, meta = load_arrays(path, kind="checkpoint")
    del meta["described"], meta["kinds"]["lr of the optimizer"]
    meta["settings"] = {
        "p of the module drop": "0.3",
        "gamma of the schedule": "0.1",
        "parameter fc1.weight": "float32, trained",
        "loss": "loss with (0.5)",
        "code of the loss in Python 3.11": "0123456789abcdef",
        "transform of the loader": "Compose(transforms=(ToFloat(scale=0.5)))",
        "rule of the layer rate": "Rate(factor=2.0)",
    }
    save_arrays(path, arrays, kind="checkpoint", meta=meta)
    expected = run(*straight)
    fresh = make(seed=99)
    load_checkpoint(path).resume(*fresh, loss=lambda y, t: F.cross_entropy(y, t))
    assert run(*fresh) == expected
    other = make()
    other[0].drop.p = 0.5
    with pytest.raises(ValueError, match=r"the p of the module drop is 0.3 in the checkpoint and 0.5 here"):
        load_checkpoint(path).resume(*other)
    with pytest.raises(ValueError, match=r"the lr of the optimizer is 0.1 in the checkpoint and 0.5 here"):
        load_checkpoint(path).resume(*make(lr=0.5))  # it has the rate before the schedule


def test_a_checkpoint_from_before_settings_were_saved_is_resumed(tmp_path):
    path, straight = saved(tmp_path)
    arrays, meta = load_arrays(path, kind="checkpoint")
    del meta["described"], meta["loader"]["data"], meta["optimizer"]["initial_lr"]
    del meta["kinds"]["lr of the optimizer"]
    save_arrays(path, arrays, kind="checkpoint", meta=meta)
    expected = run(*straight)
    fresh = make(seed=99)
    load_checkpoint(path).resume(*fresh)
    assert run(*fresh) == expected


def test_exchanged_arguments_are_named(tmp_path):
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model, lr=0.1)
    with pytest.raises(TypeError, match=r"save_checkpoint\(path, model, optimizer\): expected a model.*; got 'c\.npz'"):
        save_checkpoint(model, "c.npz")
    save_checkpoint(tmp_path / "c.npz", model, optimizer)
    with pytest.raises(TypeError, match=r"checkpoint\.resume\(model, optimizer, .*: expected a model, .*; got SGD"):
        load_checkpoint(tmp_path / "c.npz").resume(optimizer, model)
