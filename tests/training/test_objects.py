"""minidl/training/objects.py: what is made alike is told alike, in every process; what is made otherwise is not."""

import os
import pathlib
import subprocess
import sys
import time
import types

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.training import fit
from minidl.training.description import describe, differences, kinds, settings
from minidl.training.instructions import PYTHON
from minidl.training.objects import MOST, Certainty, Told
from tests.training.programs import CASES, COUNTERS, made


def described(source, lines_before=0):
    """What the run of a program is compared by, if nobody has seen it begin."""
    parts = made(source, lines_before).run()
    return {**kinds(*parts[:4]), **settings(*parts)}


@pytest.mark.parametrize(("source", "before", "after"), CASES.values(), ids=CASES.keys())
def test_one_change_is_told_and_none_where_there_is_none(source, before, after):
    told = described(source)
    assert differences(told, described(source)) == []
    assert differences(told, described(source, lines_before=7)) == []
    assert before in source
    assert differences(told, described(source.replace(before, after)), only_shared=True) != []


def test_a_change_is_told_by_name():
    def change(name):
        source, before, after = CASES[name]
        return differences(described(source), described(source.replace(before, after)))

    assert change("a number of the module") == ["the GAMMA of the loss is 2.0 in the checkpoint and 3.0 here"]
    assert change("a number that a helper reads") == [
        "the K of the weigh of the loss is 2.0 in the checkpoint and 3.0 here"
    ]
    assert change("a loss inside a loss") == [
        "the inner of the loss is CrossEntropyLoss(ignore_index=-100, label_smoothing=0.1, reduction='mean', "
        "weight=None) in the checkpoint and CrossEntropyLoss(ignore_index=-100, label_smoothing=0.2, reduction='mean', "
        "weight=None) here"
    ]
    [helper] = change("a helper method of a model")
    assert helper.startswith("the code of the scaled of the class Net in Python")
    assert change("mapped in mapped") == [
        "the transform of the source of the data set is ToFloat(scale=0.5) in the checkpoint and ToFloat(scale=0.25) "
        "here"
    ]
    assert change("one hook more")[0] == "the list of hooks is none in the checkpoint and double here"


def test_other_processes_tell_the_same():
    program = """
from tests.training.programs import CASES, COUNTERS, made
from minidl.training.description import describe
for name, source in {**{name: case[0] for name, case in CASES.items()}, **COUNTERS}.items():
    print(name, sorted(describe(*made(source).run()).items()))
"""
    found = set()
    for seed in ("1", "2"):  # of the order of sets
        root = str(pathlib.Path(md.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        found.add(run.stdout)
    assert len(found) == 1


@pytest.fixture(autouse=True)
def _on_numpy():
    """The programs are written for NumPy's arrays."""
    with md.using("numpy"):
        yield


def train(source, path, epochs, resume):
    program = made(source, lines_before=epochs)
    model, optimizer, loader, schedule, loss, validation = program.run()
    options = {"callbacks": getattr(program, "callbacks", ()), "checkpoint": path, "progress": False}
    if validation != "none":
        options["validation"] = validation

    def go_on(epochs, resume):
        return fit(model, optimizer, loader, loss, schedule=schedule, epochs=epochs, resume=resume, **options)

    go_on(epochs, resume)
    return go_on


@pytest.mark.parametrize("source", COUNTERS.values(), ids=COUNTERS.keys())
def test_what_changes_in_the_training_is_no_setting(tmp_path, source):
    path = tmp_path / "run.npz"
    go_on = train(source, path, 2, None)
    go_on(3, True)  # with the same objects
    train(source, path, 4, True)  # as another process
    history = train(source, path, 5, True)(6, True)
    assert history.epochs == 6


@pytest.mark.parametrize(
    "name",
    [
        "a number of the module",
        "a helper of a helper",
        "a list",
        "a list around",
        "weights of a loss in a closure",
        "a loss two inside",
        "a list of losses",
        "a helper method",
        "a helper method of a model",
        "a hook",
        "one hook more",
        "a hook of the optimizer",
        "a layer rate's whole number",
        "a rate's helper",
        "an optimizer's helper",
        "an optimizer's integer",
        "a schedule's list",
        "a transform of one's own",
        "mapped in mapped",
        "the validation's inputs",
        "no validation",
    ],
)
def test_a_run_with_one_change_is_refused_and_nothing_is_changed(tmp_path, name):
    path = tmp_path / "run.npz"
    source, before, after = CASES[name]
    train(source, path, 1, None)
    train(source, path, 2, True)
    written = path.read_bytes()
    with pytest.raises(ValueError, match=r"run\.npz does not fit.*say allow_changes=True"):
        train(source.replace(before, after), path, 3, True)
    assert path.read_bytes() == written


# ---- bounds


def test_long_things_are_told_shortly_and_quickly():
    table = {i: [i, {"a": np.ones(3)}] for i in range(100_000)}
    things = [nn.ReLU() for _ in range(10_000)]
    large = np.ones((1000, 50_000), np.float32)

    def loss(outputs, labels):
        return F.cross_entropy(outputs, labels) * table[0][0] * len(things) * large[0, 0]

    start = time.perf_counter()
    told = describe(nn.Linear(3, 3), loss=loss)
    assert time.perf_counter() - start < 5
    assert len(told) <= MOST + 20
    assert max(len(fact.text) for fact in told.values()) < 200


def test_a_large_model_leaves_room_for_the_loss():
    told = describe(nn.Sequential(*(nn.Conv2d(2, 2, 3) for _ in range(200))), loss=F.nll_loss)
    assert len(told) > MOST
    assert told["loss"].text == "nll_loss"


def test_a_long_chain_of_objects_is_followed_so_far():
    chain = None
    for _ in range(10_000):
        chain = types.SimpleNamespace(next=chain)
    told = Told()
    told.tell("chain", chain, read=frozenset({"next"}))
    assert 10 < len(told.entries) < 100


def test_what_is_told_elsewhere_is_named_only():
    model = nn.Sequential(nn.Dropout(0.25))
    told = Told(elsewhere=[model])
    told.tell("model", model)
    assert {what: fact.text for what, fact in told.entries.items()} == {"model": "Sequential"}


CONFIGURATIONS = (
    "@dataclasses.dataclass(order=True)\nclass Config:\n    gamma: float\n    beta: float\n    epochs: int\n"
    "    again: bool\ncfg = Config(2.0, 0.5, 3, False)\n",
    "class Config:\n    def __init__(self, gamma, beta, epochs, again):\n"
    "        self.gamma, self.beta, self.epochs, self.again = gamma, beta, epochs, again\n"
    "cfg = Config(2.0, 0.5, 3, False)\n",
    "cfg = types.SimpleNamespace(gamma=2.0, beta=0.5, epochs=3, again=False)\n",
    "cfg = dict(gamma=2.0, beta=0.5, epochs=3, again=False)\n",
)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_of_a_configuration_is_told_what_the_code_reads_of_it_wherever_it_does(configuration):
    net = "class Net(nn.Module):\n    def forward(self, x):\n        return x * cfg.gamma\n"
    loss = "def loss(y, t):\n    return y * cfg.beta\n"
    source = f"import dataclasses, types\n{configuration}{net}{loss}"
    if "dict(" in configuration:
        source = source.replace("cfg.gamma", "cfg['gamma']").replace("cfg.beta", "cfg['beta']")

    def told(text):
        told, program = Told(), made(text)
        told.tell_options("net", program.Net())
        told.tell("loss", program.loss)
        return {what: fact.text for what, fact in told.entries.items()}

    for option, other in (("2.0", "3.0"), ("0.5", "0.25")):
        assert told(source) != told(source.replace(option, other))
    assert told(source) == told(source.replace("3, False", "4, True").replace("3, again=False", "4, again=True"))


def test_a_counter_in_a_dict_hides_no_setting_beside_it():
    program = made(
        "cfg = {'gamma': 2.0, 'seen': 0}\ndef loss(y, t):\n    cfg['seen'] += 1\n    return y * cfg['gamma']\n"
    )
    begun = describe(nn.ReLU(), loss=program.loss)
    program.loss(1.0, 1.0)
    told = settings(nn.ReLU(), loss=program.loss, begun=begun)
    assert told["entry 'gamma' of the cfg of the loss"] == "2.0"
    assert "entry 'seen' of the cfg of the loss" not in told


def test_how_certain_it_is_that_something_is_a_setting():
    program = made(
        "class Net(nn.Module):\n    def __init__(self, size=3):\n        super().__init__()\n"
        "        self.size, self.scale, self.n, self.calls, self.seen, self.table = size, 2.0, 3, 0, [], [1]\n"
        "    def forward(self, x):\n        self.calls += 1\n"
        "        return x * self.scale * self.n * self.seen * self.table[0]\n"
    )
    told = Told()
    told.tell_options("net", program.Net())
    assert {what.removesuffix(" of the net"): fact.certainty for what, fact in told.entries.items()} == {
        f"code of the forward of the class Net in {PYTHON}": Certainty.CERTAIN,
        "size": Certainty.CERTAIN,
        "scale": Certainty.CERTAIN,
        "training": Certainty.CERTAIN,
        "n": Certainty.LIKELY,
        "seen": Certainty.LIKELY,
        "table": Certainty.LIKELY,
        "calls": Certainty.POSSIBLE,
    }
