"""One mechanism for everything faster: a version computes instead of its class where it fits, unless `md.plain()`."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.autograd import versions
from minidl.autograd.backward import Walk
from minidl.autograd.function import Function
from minidl.autograd.modes import PLAIN, current_mode
from minidl.autograd.versions import chosen
from minidl.fast import versions as registration
from minidl.fast import walk as fast_walk
from minidl.fast.versions import Faster
from minidl.fast.walk import FastWalk
from minidl.functional.arithmetic import Mul
from tests.arrays import host, tensor


class Triple(Function):
    """z = 3 x."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return 3 * x

    def backward(self, grad_out: Any) -> Any:
        return 3 * grad_out


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> type[Triple]:
    """A version of Triple for vectors, that notes when it computes; forgotten after the test."""
    monkeypatch.setattr(registration, "_all", list(registration._all))
    monkeypatch.setattr(Triple, "versions", ())

    class TripleOfVectors(Faster, Triple):
        __slots__ = ()
        where = "vectors"

        def fits(self, x: Any) -> bool:
            return x.ndim == 1

        def forward(self, x: Any) -> Any:
            self.kept = "from the version"
            return x + x + x

        def backward(self, grad_out: Any) -> Any:
            assert self.kept == "from the version"
            return grad_out + grad_out + grad_out

    return TripleOfVectors


def made_by(x: md.Tensor) -> type[Function]:
    y = Triple()(x)
    assert y._op is not None
    return type(y._op)


def test_a_version_computes_where_it_fits(faster: type[Triple]) -> None:
    if current_mode() & PLAIN:
        pytest.skip("no version computes now")
    vector, matrix = tensor([1.0, 2.0], requires_grad=True), tensor([[1.0]], requires_grad=True)
    assert made_by(vector) is faster
    assert made_by(matrix) is Triple
    Triple()(vector).sum().backward()
    np.testing.assert_array_equal(host(vector.grad), [3, 3])


def test_under_plain_its_class_computes_backward_too(faster: type[Triple]) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    with md.plain():
        assert made_by(x) is Triple
        Triple()(x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [3, 3])


def test_a_gradient_that_is_recorded_goes_through_the_plain_lines(faster: type[Triple]) -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    grad = md.grad((Triple()(x) ** 2).sum(), x, create_graph=True)
    np.testing.assert_array_equal(host(grad), [18, 36])
    np.testing.assert_array_equal(host(md.grad(grad.sum(), x)), [18, 18])


def test_a_subclass_of_an_op_has_its_own_lines(faster: type[Triple]) -> None:
    class Yours(Triple):
        def forward(self, x: Any) -> Any:
            return 4 * x

    assert Yours.versions == ()
    np.testing.assert_array_equal(host(Yours()(tensor([1.0]))), [4])


def test_chosen_answers_with_the_class_itself_if_nothing_fits(faster: type[Triple]) -> None:
    assert chosen(Triple(), np.ones((2, 2))) is Triple


def test_one_that_says_what_it_takes_needs_no_fits(faster: type[Triple]) -> None:
    class OfArrays(Faster, Triple):
        __slots__ = ()
        takes = np.ndarray

    class OfSmallOnes(OfArrays):
        __slots__ = ()

        def fits(self, x: Any) -> bool:
            return np.size(x) == 2

    if current_mode() & PLAIN:
        pytest.skip("no version computes now")
    small, large = np.ones((2, 1)), np.ones((2, 2))
    assert chosen(Triple(), small) is OfSmallOnes
    assert chosen(Triple(), large) is OfArrays
    assert chosen(Triple(), np.float64(1)) is Triple  # a number of NumPy's is no array
    with md.using("numpy"):
        assert made_by(md.Tensor(small, requires_grad=True)) is OfSmallOnes
        assert made_by(md.Tensor(large, requires_grad=True)) is OfArrays


def test_the_whole_mechanism_is_under_forty_lines() -> None:
    code = [
        line
        for module in (versions, registration.Faster)
        for line in inspect.getsource(module).split('"""')[::2]  # without docstrings
        for line in line.splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    assert len(code) < 40


def test_the_table_names_op_version_place_and_file() -> None:
    table = md.fast.table()
    assert len(table) == len(registration._all)
    for row in table:
        assert row.where, row
        assert (Path(md.__file__).parent.parent / row.file).is_file()
        assert row.file.startswith("minidl/fast/")
    assert {"Conv", "ReLU", "Walk", "Optimizer", "Linear"} <= {row.op for row in table}
    assert repr(table).splitlines()[0].split() == ["op", "version", "fits", "file"]


def test_minidl_plain_in_the_environment_makes_a_whole_program_plain() -> None:
    program = "import minidl as md; print(md.autograd.modes.current_mode() & md.autograd.modes.PLAIN)"
    for value, expected in (("1", "4"), ("0", "0"), ("", "0")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={**os.environ, "MINIDL_PLAIN": value},
            check=True,
        )
        assert done.stdout.strip() == expected


def test_plain_is_a_mode_like_the_others() -> None:
    @md.plain()
    def inside() -> int:
        return current_mode() & PLAIN

    assert inside()
    with md.no_grad(), md.plain():
        assert not md.is_grad_enabled()


@pytest.mark.parametrize("build", ["mlp", "lenet", "resnet"])
def test_the_fast_walk_gives_the_plain_walks_gradients_bit_for_bit(build: str) -> None:
    models = {
        "mlp": (lambda: md.models.mlp((12, 8, 8, 5), activation="tanh"), (4, 12)),
        "lenet": (md.models.lenet, (2, 1, 28, 28)),
        "resnet": (lambda: md.models.resnet_cifar(8), (2, 3, 16, 16)),
    }
    make, shape = models[build]
    model, x = make(), md.randn(*shape, requires_grad=True)
    labels = backend.to_device(np.arange(len(x)) % 5, backend.current())
    found = []
    for walk in (Walk, FastWalk):
        with md.plain():  # the versions of ops round otherwise than these
            loss = md.functional.cross_entropy(model(x), labels)
            assert loss._op is not None
            leaves = walk.run({loss._op: backend.module_of(loss._data).ones_like(loss._data)}, False, False)
        found.append({id(leaf): host(grad) for leaf, grad in leaves.items()})
    plain, fast = found
    assert plain.keys() == fast.keys() == {id(x), *map(id, model.parameters())}
    for key in plain:
        np.testing.assert_array_equal(plain[key], fast[key])


def test_a_version_of_yours_of_an_op_of_minidls_is_none_of_your_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "_all", list(registration._all))
    monkeypatch.setattr(Mul, "versions", Mul.versions)

    class YourMul(Faster, Mul):
        __slots__ = ()
        where = "everywhere"

        def fits(self, x: Any, y: Any) -> bool:
            return True

    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [2, 4])


def test_a_second_call_on_raw_arrays_chooses_again(faster: type[Triple]) -> None:
    op = Triple()
    op(host(tensor([1.0, 2.0])))
    op(host(tensor([[1.0, 2.0]])))
    assert type(op) is Triple


class Meanwhile:
    """In the place of the lock: whoever takes it finds that another thread was there just before."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def __enter__(self) -> None:
        action, self.action = self.action, None
        if action is not None:
            action()

    def __exit__(self, *exception: object) -> None:
        pass


@pytest.mark.usefixtures("faster_versions")
def test_a_gradient_that_another_thread_delivers_meanwhile_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = (md.Tensor(np.array(values), requires_grad=True) for values in ([1.0, 2.0], [3.0, 4.0]))

    def first() -> None:
        x.grad = md.Tensor(np.array([10.0, 20.0]))

    monkeypatch.setattr(fast_walk, "accumulation_lock", Meanwhile(first))
    (x * y).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [13, 24])
    np.testing.assert_array_equal(host(y.grad), [1, 2])


@pytest.mark.parametrize("seen", [lambda x: None, lambda x: x.register_hook(lambda grad: grad * 2)], ids=["", "hook"])
@pytest.mark.parametrize("before", [None, [5.0, 6.0]])
def test_what_the_walk_delivers_shares_no_memory(seen: Any, before: Any) -> None:
    x, y, named = (tensor([1.0, 2.0], requires_grad=True) for _ in range(3))
    named.name = "bias"
    seen(x)
    x.grad = None if before is None else tensor(before)
    seed = tensor([1.0, 1.0])
    (x + y + named).backward(seed)
    arrays = [host(p.grad) for p in (x, y, named)]
    factor = 1 if seen(tensor([1.0], requires_grad=True)) is None else 2
    np.testing.assert_array_equal(arrays[0], factor * np.ones(2) + (0 if before is None else before))
    for array in arrays[1:]:
        np.testing.assert_array_equal(array, [1, 1])
    raw = [p.grad._data for p in (x, y, named)] + [seed._data]
    assert len({id(a) for a in raw}) == 4
    assert all(getattr(a, "base", None) is None for a in raw[:3])
