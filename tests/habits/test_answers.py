"""minidl/habits: every line of its tables is typed, and what the error says to write is run."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import pydoc
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn, optim
from minidl.backend import choice
from minidl.habits.answers import PLACES, ROOMS, answer
from minidl.habits.differences import DIFFERENCES
from minidl.habits.function_names import MODULES
from minidl.habits.option_names import LEFT_OUT, RENAMED
from minidl.habits.training_names import NEAR
from tests.arrays import tensor


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a line sets for the whole process, such as how arrays are printed, ends with its test."""
    default = choice._process_default
    with np.printoptions():
        yield
    choice._process_default = default


class Cube(md.Function):
    """x^3: what a student writes first."""

    saves_inputs = True

    def forward(self, x: Any) -> Any:
        return x * x * x

    def backward(self, grad_out: Any, x: Any) -> Any:
        return 3 * x * x * grad_out


def names() -> dict[str, Any]:
    """What the lines of the tables are about."""
    md.seed(0)
    x = tensor(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32), True)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    optimizer = optim.SGD(model, lr=0.1)
    dataset = md.data.Dataset(np.ones((2, 3), np.float32), np.array([0, 2]))
    return {
        "md": md, "F": F, "nn": nn, "optim": optim, "np": np, "Cube": type("Cube", (Cube,), {}),
        "x": x, "y": x.detach() + 1, "z": md.ones(2, 4), "b": md.ones(2, 2), "p": md.full((2, 3), 0.5),
        "t": md.ones(2, 3), "u": md.full((2, 3), 2.0), "mask": x.detach() > 2, "w": nn.Parameter(md.ones(2, 3)),
        "labels": md.tensor([0, 1]), "array": np.ones(3), "images": md.ones(2, 4, 4, 4),
        "model": model, "optimizer": optimizer, "schedule": optim.StepLR(optimizer, 10), "dataset": dataset,
        "loader": md.data.Loader(dataset, 2), "hook": lambda *_: None, "f": F.sin, "root": ".",
    }  # fmt: skip


def run(line: str) -> None:
    """Run a line, unless it needs a GPU that is not there."""
    if "cupy" in line and "==" not in line and backend.current() == "numpy":
        pytest.skip("moves to a GPU")
    exec(line, names())


ENTRIES = {
    f"{place}.{name}": (place, name, *entry)
    for place, tables in PLACES.items()
    for table in tables
    for name, entry in table.items()
    if not (place == "minidl.functional" and name in ("t",))
}


@pytest.mark.parametrize(("place", "name", "typed", "write"), ENTRIES.values(), ids=ENTRIES)
def test_the_habit_is_answered_by_a_line_that_runs(place: str, name: str, typed: str, write: str) -> None:
    with pytest.raises((AttributeError, TypeError)) as caught:
        exec(typed, names())
    assert str(caught.value).endswith(f": write {write}")
    run(write)


@pytest.mark.parametrize(("line", "theirs", "ours", "write"), DIFFERENCES, ids=lambda text: text)
def test_what_differs_silently_runs(line: str, theirs: str, ours: str, write: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(line, names())
    exec(write, names())


def test_a_name_that_another_room_has_is_found_there() -> None:
    for line, found in {
        "md.relu": "F.relu", "nn.relu": "F.relu", "F.Linear": "nn.Linear", "md.Linear": "nn.Linear",
        "md.SGD": "md.optim.SGD", "optim.ADAM": "md.optim.Adam", "nn.Relu": "nn.ReLU", "md.digits": "md.data.digits",
        "nn.kaiming_normal_": "nn.init.kaiming_normal_", "optim.no_grad": "md.no_grad",
    }.items():  # fmt: skip
        with pytest.raises(AttributeError, match=f": write {re.escape(found)}$"):
            exec(line, names())
        exec(found, names())


def test_rooms_list_what_is_public() -> None:
    for room in ROOMS:
        module = importlib.import_module(room)
        assert room == "minidl.nn.init" or all(hasattr(module, name) for name in module.__all__)


def test_no_table_has_a_name_that_is_there() -> None:
    """It would never be answered."""
    modules = {"minidl": md, "minidl.functional": F, "minidl.nn": nn, "minidl.nn.init": nn.init, "minidl.optim": optim}
    for place, module in modules.items():
        for table in PLACES[place]:
            assert [name for name in table if hasattr(module, name)] == []
    x = md.ones(2)
    assert [name for name in PLACES["Tensor"][0] if hasattr(x, name)] == []


def test_other_functions_of_numpys_are_named() -> None:
    with pytest.raises(AttributeError, match=r": write np.histogram\(x.numpy\(\)\)$"):
        md.histogram


@pytest.mark.parametrize(("module", "write"), MODULES.items(), ids=MODULES)
def test_modules_of_pytorchs_are_answered(module: str, write: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(module)
    assert str(caught.value) == f"No module named {module!r}: write {write}"
    exec(write, {})
    assert importlib.util.find_spec("minidl.nothing") is None


def test_names_that_nobody_knows_stay_as_they_were() -> None:
    for line, message in {
        "md.fitt": "module 'minidl' has no attribute 'fitt'",
        "md.__path_of__": "module 'minidl' has no attribute '__path_of__'",
        "x.foo": "'Tensor' object has no attribute 'foo'",
        "optimizer.foo": "'SGD' object has no attribute 'foo'",
        "model.foo": "Sequential has no attribute 'foo'; it holds 0, 1, 2",
    }.items():
        with pytest.raises(AttributeError) as caught:
            exec(line, names())
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("line", "write"),
    [
        ("from minidl import cat", "md.concatenate([x, y], axis=0)"),
        ("from minidl.nn import functional", "import minidl.functional as F"),
        ("from minidl.optim import Adadelta", "optim.RMSprop(model.parameters())"),
        ("from minidl.data import DataLoader", "md.data.Loader(dataset, batch_size=2, shuffle=False)"),
    ],
)
def test_what_is_imported_by_habit_is_answered_too(line: str, write: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(line, {})
    assert str(caught.value).endswith(f": write {write}")
    run(write)


# ---- options

OPTIONS = {
    "x.sum(dim=1)": "F.sum(x, axis=1)",
    "x.mean(dim=1, keepdim=True)": "F.mean(x, axis=1, keepdims=True)",
    "x.std(dim=0, unbiased=True)": "F.std(x, axis=0, ddof=1)",
    "x.var(0, correction=1)": "F.var(x, axis=0, ddof=1)",
    "x.mean(-1, keepdim=True)": "F.mean(x, axis=-1, keepdims=True)",
    "x.max(dim=1)": "F.max(x, axis=1)",
    "md.max(x, y)": "F.maximum(x, y)",
    "md.min(x, y)": "F.minimum(x, y)",
    "optim.Adagrad(model, lr=0.1, lr_decay=0)": "md.optim.AdaGrad(model, lr=0.1)",
    "x.argmax(dim=1)": "F.argmax(x, axis=1)",
    "x.any(dim=1)": "F.any(x, axis=1)",
    "x.squeeze(dim=0)": None,
    "x.clip(min=0, max=1)": "F.clip(x, low=0, high=1)",
    "x.flatten(start_dim=0)": "F.flatten(x, start_axis=0)",
    "F.softmax(x, dim=1)": "F.softmax(x, axis=1)",
    "F.log_softmax(x, dim=-1)": "F.log_softmax(x, axis=-1)",
    "F.relu(x, inplace=True)": "F.relu(x)",
    "F.dropout(x, 0.2, True, inplace=True)": "F.dropout(x, p=0.2)",
    "F.norm(x, p=1, dim=1)": "F.norm(x, ord=1, axis=1)",
    "F.flip(x, dims=(0, 1))": "F.flip(x, axis=(0, 1))",
    "F.logsumexp(x, dim=1)": "F.logsumexp(x, axis=1)",
    "md.concatenate([x, y], dim=0)": "F.concatenate([x, y], axis=0)",
    "md.stack([x, y], dim=1)": "F.stack([x, y], axis=1)",
    "md.sort(x, dim=1, descending=True)": "F.sort(x, axis=1)",
    "md.zeros(2, 3, device='cpu')": "md.zeros(2, 3)",
    "md.randn(3, device='cpu')": "md.randn(3)",
    "md.linspace(0, 1, steps=5)": "md.linspace(0, 1, num=5)",
    "md.triu(x, diagonal=1)": "F.triu(x, k=1)",
    "md.flip(x, dims=[0])": "F.flip(x, axis=[0])",
    "md.randint(0, 10, (3,), device='cpu')": "md.randint(0, high=10, size=(3,))",
    "md.arange(0, 10, 2, device='cpu')": "md.arange(0, stop=10, step=2)",
    "md.zeros(2, dtype=np.float64, device='cpu')": "md.zeros(2, dtype=np.float64)",
    "nn.LeakyReLU(0.2, inplace=True)": "nn.LeakyReLU(0.2)",
    "nn.ReLU(inplace=True)": "nn.ReLU()",
    "nn.ReLU(True)": "nn.ReLU()",
    "nn.Dropout(0.5, inplace=True)": "nn.Dropout(0.5)",
    "nn.Conv2d(1, 4, 3, padding_mode='reflect')": "nn.Conv2d(1, 4, 3)",
    "nn.MaxPool2d(2, return_indices=True)": "nn.MaxPool2d(2)",
    "nn.Softmax(axis=1)": "nn.Softmax(dim=1)",
    "nn.Flatten(start_axis=1)": "nn.Flatten(start_dim=1)",
    "optim.Adam(model.parameters(), lr=0.1, amsgrad=True)": "md.optim.Adam(model.parameters(), lr=0.1)",
    "optim.SGD(params=model.parameters(), lr=0.1)": "md.optim.SGD(model.parameters(), lr=0.1)",
    "optim.SGD(model, lr=0.1, fused=True)": "md.optim.SGD(model, lr=0.1)",
    "optim.StepLR(optimizer, 10, last_epoch=-1)": "md.optim.StepLR(optimizer, 10)",
    "optim.CosineLR(optimizer, T_max=10, eta_min=0.1)": "md.optim.CosineLR(optimizer, total_steps=10, min_lr=0.1)",
    "md.data.Loader(dataset, batch_size=2, num_workers=2)": "md.data.Loader(dataset, batch_size=2, workers=2)",
    "md.data.Loader(dataset, 2, pin_memory=True)": "md.data.Loader(dataset, 2)",
    "md.load(root, map_location='cpu', weights_only=True)": "md.load(path)",
    "x.size()": "x.shape",
    "x.size(0)": "x.shape[0]",
    "md.transpose(x, 0, 1)": "F.swapaxes(x, 0, 1)",
}


@pytest.mark.parametrize(("typed", "write"), OPTIONS.items(), ids=OPTIONS)
def test_an_option_of_pytorchs_is_answered(typed: str, write: str | None) -> None:
    with pytest.raises(TypeError) as caught:
        exec(typed, names())
    said = re.search(r": write ([^;]*)", str(caught.value))
    assert said is not None
    assert write is None or said[1] == write
    if write not in (None, "md.load(path)"):
        exec(said[1], names())


def test_an_op_of_ones_own_is_answered_with_its_own_name() -> None:
    class Square(Cube):
        pass

    with pytest.raises(AttributeError, match=r"'Square' object has no attribute 'apply': write Square\(\)\(x\)$"):
        Square.apply(md.ones(2))  # type: ignore[attr-defined]


def test_an_option_that_nobody_knows_is_pythons_business() -> None:
    for line in ("nn.Linear(2, 3, foo=1)", "optim.SGD(model, foo=1)", "F.sum(x, foo=1)", "F.relu(x, dim=1)"):
        with pytest.raises(TypeError) as caught:
            exec(line, names())
        assert "write" not in str(caught.value)


def test_what_comes_only_near_is_in_a_table_and_says_so() -> None:
    named = {name for tables in PLACES.values() for table in tables for name in table}
    assert named >= NEAR
    with pytest.raises(AttributeError, match=r"; the nearest there is: write nn.SiLU\(\)$"):
        nn.Mish


def test_the_tables_of_options_do_not_overlap() -> None:
    assert not RENAMED.keys() & LEFT_OUT.keys()


# ---- what must not be disturbed


def test_hasattr_is_false_and_getattr_takes_its_default() -> None:
    x = md.ones(2)
    for thing, name in ((x, "view"), (md, "cat"), (F, "cat"), (nn, "functional"), (optim, "lr_scheduler")):
        assert not hasattr(thing, name)
        assert getattr(thing, name, 7) == 7
    assert not hasattr(nn.Linear(2, 3), "cuda")


def test_tab_shows_what_is_there() -> None:
    shown = names()
    for thing, there, answered in (
        (shown["x"], "reshape", "view"),
        (shown["optimizer"], "lr", "param_groups"),
        (shown["schedule"], "step_count", "last_epoch"),
        (Cube(), "forward", "apply"),
    ):
        assert there in dir(thing)
        assert answered not in dir(thing)
    assert "PyTorch" not in pydoc.render_doc(md.Tensor, renderer=pydoc.plaintext)


def test_copies_and_pickles_are_as_before() -> None:
    x = md.ones(2, 3)
    np.testing.assert_array_equal(copy.deepcopy(x).numpy(), x.numpy())
    assert copy.copy(x).shape == (2, 3)
    model = pickle.loads(pickle.dumps(nn.Linear(2, 3)))
    assert copy.deepcopy(model)(x[:, :2]).shape == (2, 3)
    assert pickle.loads(pickle.dumps(x.size)) == 6


def test_a_subclass_may_have_such_a_name() -> None:
    class Own(md.Function):
        def apply(self) -> int:
            return 7

        def forward(self, x: Any) -> Any:
            return x

    class Net(nn.Linear):
        def cuda(self) -> int:
            return 7

    assert Own().apply() == 7
    assert Net(2, 3).cuda() == 7


def test_a_tensor_has_no_getattr_which_would_make_all_its_attributes_slow() -> None:
    assert not any("__getattr__" in vars(cls) for cls in (*md.Tensor.__mro__, *md.Function.__mro__))


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert answer("Tensor", "foo") == ""
    assert answer("minidl", "_repr_html_") == ""


def test_probing_minidl_loads_nothing() -> None:
    program = (
        "import sys, minidl as md; hasattr(md, '__wrapped__'); hasattr(md, '_x'); print('minidl.models' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- what differs silently


def test_transposing_two_axes_says_what_it_does() -> None:
    x = md.ones(2, 3)
    with pytest.warns(UserWarning, match=r"x.transpose\(0, 1\) changes nothing: .* Write x.T or x.swapaxes\(0, 1\)"):
        x.transpose(0, 1)
    assert x.transpose(1, 0).shape == x.transpose((1, 0)).shape == x.transpose(-1, 0).shape == (3, 2)
    with pytest.raises(md.ShapeError, match=r"order of all 3 axes .* got \(1, 2\).* write x.swapaxes\(1, 2\)"):
        md.ones(2, 3, 4).transpose(1, 2)


def test_a_maximum_is_not_unpacked_into_values_and_places() -> None:
    x = tensor(np.arange(6.0).reshape(3, 2), True)
    with pytest.raises(ValueError, match=r"is not two results to unpack: max, .* write x.argmax\(axis=1\)"):
        _, _ = x.max(1)
    with md.no_grad(), pytest.raises(ValueError, match="is not two results to unpack"):
        _, _ = x.max(1)
    with pytest.raises(ValueError, match="is not two results to unpack"):
        _, _ = x[:2].max(1)
    first, second = x[:2]
    assert first.shape == second.shape == (2,)
    one, two, three = x
    assert [one.tolist(), two.tolist(), three.tolist()] == x.tolist() == [row.tolist() for row in x]
    with pytest.raises(ValueError, match="not enough values"):
        _, _, _, _ = x


def test_padding_by_one_pair_says_that_it_pads_every_axis() -> None:
    with pytest.warns(UserWarning, match=r"pads all 2 axes, .* write F.pad\(x, \[\(0, 0\), \(1, 1\)\]\)"):
        F.pad(np.ones((2, 3)), (1, 1))
    assert F.pad(np.ones(3), (1, 1)).shape == (5,)
    with pytest.raises(md.ShapeError, match=r"write F.pad\(x, \[\(0, 0\), \(3, 4\), \(1, 2\)\]\)$"):
        F.pad(np.ones((2, 3, 4)), (1, 2, 3, 4))


def test_pytorchs_devices_are_answered() -> None:
    for device, said in {"cpu": ": write 'numpy'", "cuda:0": ": write 'cupy'", np.float64: "write x.astype"}.items():
        with pytest.raises(md.DeviceError, match=said):
            md.ones(2).to(device)  # type: ignore[arg-type]
