"""minidl/tensors/numpy_functions.py: NumPy's functions of Tensors keep the history, or say what to write."""

from __future__ import annotations

import array
import inspect
import io
import math
import operator
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.tensors.numpy_functions import FUNCTIONS, INSTEAD, UFUNCS, WITHOUT_GRADIENT
from tests.arrays import device, host, tensor

A = np.array([[0.5, 2.0, -1.0], [3.0, 0.25, 1.5]])


def both(*shape: int) -> md.Tensor:
    return tensor(np.resize(A, shape), requires_grad=True)


# ---- functions that minidl has

CALLS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sum": (lambda t: np.sum(t, 0), lambda t: F.sum(t, 0)),
    "sum of all": (lambda t: np.sum(t, keepdims=True), lambda t: F.sum(t, keepdims=True)),
    "sum, dtype left out": (lambda t: np.sum(t, 1, None, None, True), lambda t: F.sum(t, 1, True)),
    "mean": (lambda t: np.mean(t, axis=(0, 1)), lambda t: F.mean(t, (0, 1))),
    "mean, a": (lambda t: np.mean(a=t), F.mean),
    "var": (lambda t: np.var(t, 1, ddof=1), lambda t: F.var(t, 1, ddof=1)),
    "var by place": (lambda t: np.var(t, 1, None, None, 1, True), lambda t: F.var(t, 1, True, 1)),
    "max": (lambda t: np.max(t, 1), lambda t: F.max(t, 1)),
    "amax": (lambda t: np.amax(t, 1, keepdims=True), lambda t: F.max(t, 1, True)),
    "min": (lambda t: np.min(t, 1, None, True), lambda t: F.min(t, 1, True)),
    "amin": (np.amin, F.min),
    "cumsum": (lambda t: np.cumsum(t, 1), lambda t: F.cumsum(t, 1)),
    "norm": (np.linalg.norm, F.norm),
    "norm of rows": (lambda t: np.linalg.norm(t, 1, axis=1), lambda t: F.norm(t, 1, axis=1)),
    "outer": (lambda t: np.outer(t, t[0]), lambda t: F.outer(t, t[0])),
    "where": (lambda t: np.where(t > 1, t, 0), lambda t: F.where(t > 1, t, 0)),
    "clip": (lambda t: np.clip(t, 0, 1), lambda t: F.clip(t, 0, 1)),
    "clip on one side": (lambda t: np.clip(t, a_min=None, a_max=1), lambda t: F.clip(t, None, 1)),
    "concatenate": (lambda t: np.concatenate([t, t * 2], 1), lambda t: F.concatenate([t, t * 2], 1)),
    "concatenate a tuple": (lambda t: np.concatenate((t, t), axis=0), lambda t: F.concatenate([t, t])),
    "stack": (lambda t: np.stack([t, t * 2], axis=1), lambda t: F.stack([t, t * 2], 1)),
    "split": (lambda t: np.split(t, 3, axis=1)[1], lambda t: F.split(t, 3, axis=1)[1]),
    "reshape": (lambda t: np.reshape(t, (3, 2)), lambda t: F.reshape(t, (3, 2))),
    "reshape, order": (lambda t: np.reshape(t, -1, order="C"), lambda t: F.reshape(t, -1)),
    "squeeze": (lambda t: np.squeeze(t[:1], axis=0), lambda t: F.squeeze(t[:1], 0)),
    "expand_dims": (lambda t: np.expand_dims(t, 1), lambda t: F.expand_dims(t, 1)),
    "broadcast_to": (lambda t: np.broadcast_to(t, (4, 2, 3)), lambda t: F.broadcast_to(t, (4, 2, 3))),
    "transpose": (np.transpose, F.transpose),
    "transpose, axes": (lambda t: np.transpose(t, (1, 0)), lambda t: F.transpose(t, (1, 0))),
    "swapaxes": (lambda t: np.swapaxes(t, 0, 1), lambda t: F.swapaxes(t, 0, 1)),
    "pad": (lambda t: np.pad(t, 1), lambda t: F.pad(t, 1)),
    "pad, mode": (lambda t: np.pad(t, ((0, 1), (2, 0)), "constant"), lambda t: F.pad(t, ((0, 1), (2, 0)))),
    "pad, value": (lambda t: np.pad(t, 1, constant_values=2), lambda t: F.pad(t, 1, 2)),
    "std": (lambda t: np.std(t, 1, ddof=1), lambda t: F.std(t, 1, ddof=1)),
    "prod": (lambda t: np.prod(t, axis=0), lambda t: F.prod(t, 0)),
    "ptp": (lambda t: np.ptp(t, 1), lambda t: F.ptp(t, 1)),
    "dot": (lambda t: np.dot(t, t[0]), lambda t: F.dot(t, t[0])),
    "trace": (lambda t: np.trace(t[:, :2]), lambda t: F.trace(t[:, :2])),
    "diagonal": (lambda t: np.diagonal(t, 1), lambda t: F.diagonal(t, 1)),
    "diag": (lambda t: np.diag(t[0], k=-1), lambda t: F.diag(t[0], -1)),
    "tril": (np.tril, F.tril),
    "triu": (lambda t: np.triu(t, 1), lambda t: F.triu(t, 1)),
    "vstack": (lambda t: np.vstack([t, t[0]]), lambda t: F.vstack([t, t[0]])),
    "hstack": (lambda t: np.hstack((t, t)), lambda t: F.hstack((t, t))),
    "ravel": (np.ravel, F.ravel),
    "moveaxis": (lambda t: np.moveaxis(t, 0, 1), lambda t: F.moveaxis(t, 0, 1)),
    "flip": (lambda t: np.flip(t, 1), lambda t: F.flip(t, 1)),
    "roll": (lambda t: np.roll(t, 1, axis=1), lambda t: F.roll(t, 1, 1)),
    "repeat": (lambda t: np.repeat(t, 2, axis=0), lambda t: F.repeat(t, 2, 0)),
    "tile": (lambda t: np.tile(t, (2, 1)), lambda t: F.tile(t, (2, 1))),
    "take": (lambda t: np.take(t, [0, 0, 1], axis=1), lambda t: F.take(t, [0, 0, 1], 1)),
    "take_along_axis": (
        lambda t: np.take_along_axis(t, device([[0], [1]]), 1),
        lambda t: F.take_along_axis(t, device([[0], [1]]), 1),
    ),
    "sort": (lambda t: np.sort(t, axis=0), lambda t: F.sort(t, 0)),
    "round": (lambda t: np.round(t, 1), lambda t: F.round(t, 1)),
    "around": (np.around, F.round),
    "copy": (np.copy, F.copy),
}


@pytest.mark.parametrize(("call", "ours"), CALLS.values(), ids=CALLS)
def test_numpys_function_is_minidls(call: Callable[[Any], Any], ours: Callable[[Any], Any]) -> None:
    found, expected = both(2, 3), both(2, 3)
    y, z = call(found), ours(expected)
    assert type(y) is md.Tensor
    np.testing.assert_array_equal(host(y), host(z), strict=True)
    (y * y).sum().backward()
    (z * z).sum().backward()
    assert found.grad is not None
    np.testing.assert_array_equal(host(found.grad), host(expected.grad))
    with md.no_grad():
        assert type(call(found)) is md.Tensor
    assert type(call(found.detach())) is md.Tensor


def test_every_function_of_the_table_is_tried() -> None:
    tried = {name.split(",")[0].split()[0] for name in CALLS}
    assert {function.__name__ for function in FUNCTIONS} == tried


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_the_table_knows_numpys_parameters(function: Any) -> None:
    ours, words = FUNCTIONS[function]
    try:
        theirs = list(inspect.signature(function).parameters)
    except ValueError:
        pytest.skip("this NumPy does not tell")
    listed = [word.rpartition("=")[2] for word in words.split()]
    shared = [name for name in listed if name in theirs]
    assert shared == theirs[: len(shared)] or function in (np.clip, np.reshape)  # their names changed
    known = [word.partition("=")[0] for word in words.split()]
    assert {
        p.name
        for p in inspect.signature(ours).parameters.values()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.kind is not p.VAR_POSITIONAL
    } <= set(known)


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_numpys_elementwise_function_is_minidls(ufunc: Any) -> None:
    ours = UFUNCS[ufunc]
    x, y = A + 2, A[::-1] + 2
    if ufunc in (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert):
        x, y = x > 3, y > 3
    if ufunc is np.matmul:
        y = y.T.copy()
    xs = (x, y)[: ufunc.nin]
    differentiable = x.dtype.kind == "f"
    for left, right in ((True, True), (True, False), (False, True))[: 3 if len(xs) > 1 else 1]:
        tensors = [tensor(v, differentiable and t) if t else device(v) for v, t in zip(xs, (left, right), strict=False)]
        found, expected = ufunc(*tensors), ours(*tensors)
        assert type(found) is md.Tensor
        assert found.requires_grad == expected.requires_grad
        np.testing.assert_array_equal(host(found), host(expected), strict=True)


def test_a_penalty_by_numpys_norm_has_its_gradient() -> None:
    w = tensor([0.6, 0.8], True)
    np.linalg.norm(w).backward()
    np.testing.assert_allclose(host(w.grad), [0.6, 0.8])


def test_numpys_einsum_has_its_gradient() -> None:
    t = both(2, 3)
    np.einsum("ij,kj->ik", t, t, optimize=True).sum().backward()
    np.testing.assert_allclose(host(t.grad), np.tile(2 * A.sum(0), (2, 1)))


def test_second_derivatives_pass_numpys_functions_too() -> None:
    x = tensor([0.5, 1.5], True)
    assert md.gradgradcheck(lambda t: np.mean(np.exp(t) * np.sqrt(t + 1)), [x])


def test_a_users_own_backward_may_call_numpys_functions() -> None:
    class Exp(md.Function):
        saves_inputs = True

        def forward(self, x: Any) -> Any:
            return np.exp(x)

        def backward(self, grad_out: Any, x: Any) -> Any:
            return grad_out * np.exp(x)

    assert md.gradgradcheck(lambda t: Exp()(t), [tensor([0.5, -1.0], True)])


# ---- operators


@pytest.mark.parametrize(
    "sign", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul]
)
def test_an_array_on_the_left_of_an_operator(sign: Callable[[Any, Any], Any]) -> None:
    t = tensor(np.array([1.5, 0.5]), True)
    left = device([2.0, 3.0])
    y = sign(left, t)
    assert type(y) is md.Tensor
    np.testing.assert_allclose(host(y), sign(host(left), host(t)))
    y.sum().backward()
    assert t.grad is not None


@pytest.mark.parametrize("number", [2, 2.5, np.float64(2.5), np.float32(2.5), np.int64(2), np.float16(2.5)])
@pytest.mark.parametrize("sign", [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow])
def test_a_number_on_the_left_of_an_operator_does_not_promote(number: Any, sign: Callable[[Any, Any], Any]) -> None:
    t = tensor(np.array([1.5, 0.5], np.float32), True)
    y = sign(number, t)
    assert type(y) is md.Tensor
    assert y.dtype == np.float32
    np.testing.assert_allclose(host(y), sign(float(number), host(t)), rtol=1e-6)


def test_an_array_is_written_to_only_by_what_has_no_gradient() -> None:
    total, t = np.zeros(2), md.Tensor(np.ones(2))
    total += t
    assert total.tolist() == [1, 1]
    with pytest.raises(md.GraphError, match=r"np.add records nothing.*An array has no history: write a = a \+ t, not"):
        total += t.requires_grad_()
    assert total.tolist() == [1, 1]
    with pytest.raises(md.DTypeError, match=r"np.multiply cannot write into Tensor.*t\[...\] = values"):
        np.multiply(total, 2, out=t)
    for write in (lambda: np.copyto(t, total), lambda: np.fill_diagonal(t, 0), lambda: np.add.at(t, 0, 1)):
        with pytest.raises(md.DTypeError, match=r"cannot write into Tensor"):
            write()


# ---- functions that minidl has not


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda t: np.einsum(t, [0, 1], [1, 0], dtype=None),
            r"np.einsum records nothing: .* Write F.einsum\(subscripts",
        ),
        (
            lambda t: np.inner(t, t),
            r"np.inner records nothing.* Write F.sum\(x \* y, axis=-1\); or, .*, np.inner\(t.numpy\(\), t.numpy\(\)\)",
        ),
        (np.diff, r"Write x\[..., 1:\] - x\[..., :-1\]"),
        (lambda t: np.append(t, t), r"np.append .* Write F.concatenate\(\[x.ravel\(\), y.ravel\(\)\]\)"),
        (lambda t: np.linalg.inv(t[:, :2]), "np.linalg.inv .* Compose it of functions of minidl.functional"),
        (np.add.reduce, "np.add.reduce records nothing"),
        (lambda t: np.add.at(np.zeros(3), [0, 1, 2], t[0]), "np.add.at records nothing"),
        (lambda t: np.mean(t, dtype=np.float64), r"np.mean .* Write F.mean\(x, axis, keepdims\), which has these"),
        (lambda t: np.mean(t, 0, np.float64), r"np.mean .* Write F.mean\(x, axis, keepdims\), which has these"),
        (lambda t: np.sum(t, where=A > 0), r"np.sum .* Write F.sum\(x, axis, keepdims\), which has these"),
        (lambda t: np.reshape(t, -1, order="F"), r"np.reshape .* Write F.reshape\(x, shape\)"),
        (lambda t: np.pad(t, 1, "edge"), r"np.pad .* Write F.pad\(x, pad_width, constant_values\)"),
        (lambda t: np.add(t, 1, dtype=np.float32), r"np.add .* Write F.add\(x, y\)"),
        (lambda t: np.copyto(np.zeros((2, 3)), t), r"np.copyto .* Write t = md.zeros\(2, 3\); t\[...\] = x"),
        (lambda t: np.full_like(t, t[0, 0]), "np.full_like records nothing"),
    ],
)
def test_a_gradient_that_would_be_lost_is_an_error(call: Callable[[Any], Any], said: str) -> None:
    t = both(2, 3)
    with pytest.raises(md.GraphError, match=said):
        call(t)
    with md.no_grad():
        call(t)
    call(t.detach())


@pytest.mark.parametrize("function", INSTEAD, ids=lambda function: function.__name__)
def test_the_line_to_write_instead_runs(function: Any) -> None:
    assert function not in UFUNCS
    assert function not in FUNCTIONS
    exec(INSTEAD[function], {"F": F, "md": md, "x": both(2, 3), "y": both(2, 3)})


def test_without_a_gradient_numpy_computes_from_the_values() -> None:
    t = both(2, 3).detach()
    assert np.median(t) == np.median(A)
    np.testing.assert_array_equal(np.append(t, t), np.append(A, A))
    np.testing.assert_array_equal(np.inner(t, t), A @ A.T)
    np.testing.assert_array_equal(np.mean(t, dtype=np.float32), np.mean(A, dtype=np.float32))
    assert np.degrees(t).tolist() == np.degrees(A).tolist()
    assert np.quantile(t, q=tensor(0.5)) == np.quantile(A, 0.5)


def test_what_has_no_gradient_is_told_of_any_tensor() -> None:
    t = both(2, 3)
    assert np.shape(t) == (2, 3)
    assert (np.ndim(t), np.size(t), np.size(t, 1)) == (2, 6, 3)
    assert np.any(t)
    assert np.isfinite(t).all()
    assert np.argmax(t) == 3
    assert np.allclose(t, A)
    assert np.array_equal(t, A)
    np.testing.assert_array_equal(np.argsort(t, axis=1), np.argsort(A, axis=1))
    np.testing.assert_array_equal(np.where(t > 1), np.where(A > 1))
    assert np.zeros_like(t).shape == np.full_like(t, 2).shape == (2, 3)
    assert np.array2string(t) == np.array2string(A)
    assert np.result_type(t, np.float32) == np.float64


def test_tensors_can_be_saved_by_numpy() -> None:
    t, file = both(2, 3), io.BytesIO()
    np.savez(file, t=t, u=t.detach())
    file.seek(0)
    found = np.load(file)
    np.testing.assert_array_equal(found["t"], A)
    np.testing.assert_array_equal(found["u"], A)


def test_the_table_of_what_has_no_gradient_does_not_overlap() -> None:
    assert not WITHOUT_GRADIENT & (UFUNCS.keys() | FUNCTIONS.keys() | INSTEAD.keys())


# ---- arrays of Tensors


def test_an_array_of_a_tensor_that_requires_a_gradient_is_refused() -> None:
    t, p = both(2, 3), tensor(np.array(2.0), True)
    buffer = np.zeros((2, 3))
    for action in (
        lambda: np.asarray(t),
        lambda: np.array([p, p]),
        lambda: np.array([p, p.detach()]),
        lambda: np.mean([p, p]),
        lambda: buffer.__setitem__(0, t[0]),
        lambda: buffer.__setitem__(slice(None), t),
        lambda: np.testing.assert_array_equal(t, A),
        lambda: np.random.default_rng(0).normal(p, 1.0),
    ):
        with pytest.raises(md.GraphError, match=r"requires a gradient, .* write t.numpy\(\).*F.stack\(\[t, u\]\)"):
            action()
    assert not buffer.any()


def test_the_values_alone_become_an_array() -> None:
    t = both(2, 3)
    np.testing.assert_array_equal(np.asarray(t.detach()), A)
    np.testing.assert_array_equal(np.asarray(t.numpy()), A)
    with md.no_grad():
        np.testing.assert_array_equal(np.asarray(t), A)
        np.testing.assert_array_equal(np.array([t[0], t[1]]), A)
    buffer = np.zeros((2, 3))
    buffer[0] = t.detach()[0]
    buffer[1, 0] = t[1, 0].item()
    assert buffer.tolist() == [[0.5, 2.0, -1.0], [3.0, 0.0, 0.0]]


def stored(values: Any, index: Any, value: Any) -> None:
    values[index] = value


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64"])
def test_a_number_with_a_gradient_is_not_stored_in_an_array(dtype: str) -> None:
    t, buffer = tensor(np.array(2.0), True), np.zeros((2, 3), dtype)

    def added() -> None:
        buffer[0, 0] += t

    for action in (
        lambda: stored(buffer, (0, 1), t),
        lambda: stored(buffer, (0, 1), t * 2),
        lambda: stored(buffer[0], 1, t.reshape(1)),
        lambda: stored(array.array("d", [0.0]), 0, t),
        added,
    ):
        with pytest.raises((md.GraphError, ValueError)) as caught:
            action()
        error = caught.value if isinstance(caught.value, md.GraphError) else caught.value.__cause__
        assert isinstance(error, md.GraphError)
        assert "the gradient of Tensor of shape" in str(error)
        assert str(error).endswith(
            "h = md.zeros(shape) and h[i] = t, or if you mean the value alone, array[i] = t.item()"
        )
    with pytest.raises((md.GraphError, ValueError)):  # in NumPy's words alone
        stored(buffer.flat, 1, t)
    assert not buffer.any()
    stored(buffer, (0, 1), t.detach())
    with md.no_grad():
        stored(buffer, (0, 2), t)
    assert buffer[0].tolist() == [0, 2, 2]


def test_a_number_is_given_to_python_as_it_is() -> None:
    """As PyTorch does: `float(t)` means the value, and Python's math cannot be told from it."""
    t, u = tensor(np.array(2.0), True), tensor(np.array(3.0), True)
    assert (float(t), int(t), complex(t)) == (2, 2, 2)
    assert (np.float64(t), math.sqrt(t), statistics.fmean([t, u])) == (2, math.sqrt(2), 2.5)
    values: Any = [0.0]
    values[0] = float(t)
    stored(values, 0, t)
    assert values[0] is t
    table: dict[str, Any] = {}
    stored(table, "t", t)
    assert table["t"] is t


def test_pythons_functions_of_several_tensors_keep_the_history() -> None:
    t, u = tensor(np.array(2.0), True), tensor(np.array(3.0), True)
    for y, slopes in (
        (sum([t, u]), (1, 1)),
        (math.prod([t, u]), (3, 2)),
        (max(t, u), (0, 1)),
        (min([t, u]), (1, 0)),
        (sorted([u, t])[0], (1, 0)),
        (statistics.median([t, u]), (0.5, 0.5)),
        (pow(t, 2) + abs(u), (4, 1)),
    ):
        found = md.grad(y, [t, u]) if min(slopes) else [md.grad(y, t if slopes[0] else u)]
        np.testing.assert_allclose([host(g) for g in found], [s for s in slopes if s])


def test_an_array_of_a_tensor_is_copied_as_asked() -> None:
    t = md.Tensor(A.copy())
    assert np.shares_memory(np.asarray(t), t.data)
    assert not np.shares_memory(np.array(t), t.data)
    assert np.shares_memory(np.array(t, copy=False), t.data)
    assert np.asarray(t, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.array(t, np.float32, copy=False)


@pytest.mark.parametrize("make", [md.tensor, md.Tensor, lambda data: md.tensor(data, dtype="float64")])
@pytest.mark.parametrize("several", [list, tuple, lambda ts: [list(ts)]])
def test_a_new_tensor_of_tensors_loses_no_gradient(make: Any, several: Any) -> None:
    p = tensor(np.array(3.0), True)
    with pytest.raises(md.DTypeError, match=r"Tensors that require a gradient, .* lost: F.stack\(\[t, u\]\)"):
        make(several((p, p * 2)))
    np.testing.assert_array_equal(host(make(several((p.detach(), 2.0)))).ravel(), [3, 2])
    with md.no_grad():
        np.testing.assert_array_equal(host(make(several((p, p * 2)))).ravel(), [3, 6])


def test_an_option_that_is_a_tensor_is_a_constant() -> None:
    x, slope = md.Tensor(A), md.Tensor(np.array(0.25), True)
    np.testing.assert_array_equal(host(F.leaky_relu(x, slope.detach())), host(F.leaky_relu(x, 0.25)))
    with pytest.raises(md.DTypeError, match=r"LeakyReLU takes its options for constants.* t.item\(\)"):
        F.leaky_relu(x, slope)


def test_figures_draw_tensors() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.subplots()
    t = both(2, 3)
    with md.no_grad():
        for values in (t, t.detach()):
            axes.plot(values[0], values[1])
            axes.hist(values[0])
            axes.imshow(values)
            axes.scatter(values[0], values[1])
            axes.bar([0, 1, 2], values[0])
            axes.fill_between([0, 1, 2], values[0], values[1])
    axes.plot([loss.item() for loss in t[0]])
    with pytest.raises(md.GraphError, match=r"write t.numpy\(\)"):
        axes.plot(t[0])
