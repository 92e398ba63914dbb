"""F.checkpoint: the values and gradients are those without it, bit for bit; what it keeps is less."""

from __future__ import annotations

import copy
import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.errors import DTypeError, GraphError


def network(width: int = 5, dtype: str = "float32") -> nn.Sequential:
    md.seed(0)
    layers = nn.Linear(width, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Dropout(0.4), nn.Linear(width, width)
    return nn.Sequential(*layers).to(dtype=dtype)


def batch(dtype: str = "float32") -> md.Tensor:
    return md.tensor(np.random.default_rng(0).standard_normal((6, 5)).tolist(), dtype=dtype, requires_grad=True)


def step(model: nn.Module, loss_of: Callable[[md.Tensor], md.Tensor], x: md.Tensor) -> list[np.ndarray]:
    """The loss, all gradients, the buffers and the next random number, after a step from the same state."""
    md.seed(1)
    for name, buffer in model.named_buffers():
        buffer._data[...] = "var" in name
    model.zero_grad()
    x.grad = None
    loss = loss_of(x)
    loss.backward()
    leaves = [*model.parameters(), x]
    found = [np.zeros(0) if p.grad is None else p.grad.numpy() for p in leaves]
    return [loss.numpy(), *found, *(b.numpy().copy() for _, b in model.named_buffers()), md.rand(3).numpy()]


def assert_same_bits(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


# How a block is called in the middle of a larger computation, given `run`, which calls a function.
USES: dict[str, Callable[[Any, Callable[..., Any], md.Tensor], md.Tensor]] = {
    "in the middle": lambda model, run, x: F.mean(run(model, x * 2) ** 2),
    "of a leaf": lambda model, run, x: F.sum(run(model, x)),
    "twice, the same weights": lambda model, run, x: F.sum(run(model, run(model, x)) ** 2),
    "with a way round it": lambda model, run, x: F.sum((run(lambda h: model(h) + h * h, h := x * 2) + h) ** 2),
    "of what a closure has": lambda model, run, x: F.sum((h := x * 3) * run(lambda: model(h) * h)),
    "input without gradient": lambda model, run, x: F.sum(run(model, x.detach()) * x),
    "inside itself": lambda model, run, x: F.sum(run(lambda h: run(model, F.tanh(run(F.exp, h))) * h, x * 2)),
    "named arguments": lambda model, run, x: F.sum(run(lambda a, *, b: model(a * b), x, b=x * 2)),
    "one tensor twice": lambda model, run, x: F.sum(run(lambda a, b: model(a) * b, h := x * 2, h)),
    "what went in comes out": lambda model, run, x: F.sum(run(lambda h: (h, model(h)), x * 2)[0] ** 2),
    "a view comes out": lambda model, run, x: F.sum(run(lambda h: h.reshape(5, 6), x * 2)[1] ** 2),
    "long and short floats": lambda model, run, x: F.sum(run(lambda h: model(h) * md.ones(5, dtype="float64"), x * 2)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_and_gradients_are_those_without(use: Any, dtype: str) -> None:
    model, x = network(dtype=dtype), batch(dtype)
    without = step(model, lambda x: use(model, lambda f, *a, **k: f(*a, **k), x), x)
    assert_same_bits(step(model, lambda x: use(model, F.checkpoint, x), x), without)
    with md.plain():
        without = step(model, lambda x: use(model, lambda f, *a, **k: f(*a, **k), x), x)
        assert_same_bits(step(model, lambda x: use(model, F.checkpoint, x), x), without)


@pytest.mark.parametrize("segments", range(1, 6))
def test_a_sequential_in_segments(segments: int) -> None:
    model, x = network(), batch()
    without = step(model, lambda x: F.sum(model(x) ** 2), x)
    assert_same_bits(step(model, lambda x: F.sum(F.checkpoint_sequential(model, segments, x) ** 2), x), without)
    assert_same_bits(step(model, lambda x: F.sum(F.checkpoint_sequential(list(model), segments, x) ** 2), x), without)


def several(h: md.Tensor) -> dict[str, Any]:
    y = F.tanh(h)
    return {"pair": (y, F.exp(y) * h), "labels": y > 0, "constant": y.detach(), "again": [y], "unused": F.sin(h)}


def test_several_outputs_of_which_some_need_no_gradient() -> None:
    def loss(run: Callable[..., Any], x: md.Tensor) -> md.Tensor:
        out = run(several, x * 2)
        assert out["again"][0] is out["pair"][0]
        assert not out["labels"].requires_grad
        assert not out["constant"].requires_grad
        return F.sum(out["pair"][0] * out["pair"][1] * out["labels"] + out["constant"])

    x, model = batch(), network()
    without = step(model, lambda x: loss(lambda f, *a: f(*a), x), x)
    assert_same_bits(step(model, lambda x: loss(F.checkpoint, x), x), without)


def test_two_outputs_of_one_op() -> None:
    def function(h: md.Tensor) -> tuple[md.Tensor, md.Tensor]:
        y = F.tanh(h)
        return y, copy.copy(y)

    x = batch("float64")
    a, b = F.checkpoint(function, x)
    F.sum(2 * a + 3 * b).backward()
    np.testing.assert_allclose(x.grad.numpy(), 5 * (1 - np.tanh(x.numpy()) ** 2))


def test_recurrent_and_convolutional_layers() -> None:
    md.seed(0)
    x = md.randn(3, 2, 8, 8)
    convolutions = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.5))
    lstm = nn.LSTM(8, 6)
    for model, use in ((convolutions, lambda y: F.sum(y * y)), (lstm, lambda y: F.sum(y[0] ** 2) + F.sum(y[1][0]))):
        z = (x if model is convolutions else x[:, 0]).detach()
        z.requires_grad = True
        without = step(model, lambda z, model=model, use=use: use(model(z)), z)  # type: ignore[misc]
        assert_same_bits(step(model, lambda z, model=model, use=use: use(F.checkpoint(model, z)), z), without)  # type: ignore[misc]


def test_md_grad_and_walks_kept() -> None:
    model, x = network().eval(), batch()
    h = x * 2
    y = F.sum(F.checkpoint(model, h) ** 2)
    first = md.grad(y, [h, model[0].weight], retain_graph=True)
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once)
    z = F.sum(model(h := x * 2) ** 2)
    for a, b in zip(first, md.grad(z, [h, model[0].weight]), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(GraphError, match="already walked and freed"):
        y.backward()


def test_the_second_derivative_is_right() -> None:
    w = md.tensor([[0.3, -0.2], [0.1, 0.5]], dtype="float64", requires_grad=True)
    x = md.tensor([[1.0, 2.0]], dtype="float64", requires_grad=True)

    def f(x: md.Tensor, w: md.Tensor) -> md.Tensor:
        return F.checkpoint(lambda h: F.tanh(F.checkpoint(F.sin, h @ w) * h), x * 2) ** 2

    assert md.gradcheck(f, [x, w])
    assert md.gradgradcheck(f, [x, w])
    two = md.grad(F.sum(md.grad(F.sum(f(x, w)), w, create_graph=True) ** 2), [x, w])
    pair = F.checkpoint(lambda h: (F.tanh(h @ w), h * w), x)
    assert all(np.isfinite(g.numpy()).all() for g in two)
    g = md.grad(F.sum(pair[0]) * F.sum(pair[1]), x, create_graph=True)
    u = x.detach()
    u.requires_grad = True
    k = md.grad(F.sum(F.tanh(u @ w)) * F.sum(u * w), u, create_graph=True)
    (a,), (b,) = md.grad(F.sum(g**2), [x]), md.grad(F.sum(k**2), [u])
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_hooks_are_called_once_with_the_whole_gradient() -> None:
    model, x = network(), batch()
    seen: list[Any] = []

    def block(h: md.Tensor) -> md.Tensor:
        h = F.tanh(h)
        h.register_hook(lambda g: seen.append(("inside", g.shape)))
        return model(h)

    model[0].weight.register_hook(lambda g: seen.append(("weight", g.shape)))
    y = F.checkpoint(block, x)
    y.retain_grad()
    y.register_hook(lambda g: seen.append(("output", g.shape)))
    F.sum(F.checkpoint(model, y)).backward()
    assert seen == [("output", (6, 5)), ("inside", (6, 5)), ("weight", (5, 5))]
    assert y.grad is not None


def test_what_a_function_puts_aside_has_its_gradient_too() -> None:
    def loss(run: Callable[..., Any], x: md.Tensor) -> md.Tensor:
        aside: list[md.Tensor] = []

        def block(h: md.Tensor) -> md.Tensor:
            h = F.tanh(h)
            aside.append(h)
            return F.exp(h)

        return F.sum(run(block, x)) + F.sum(aside[0] ** 2)

    x, model = batch("float64"), network()
    without = step(model, lambda x: loss(lambda f, *a: f(*a), x), x)[-5]
    F.sum(loss(F.checkpoint, x))
    x.grad = None
    loss(F.checkpoint, x).backward()
    expected = md.grad(loss(lambda f, *a: f(*a), x), x)
    np.testing.assert_allclose(x.grad.numpy(), expected.numpy(), rtol=1e-12)
    assert without is not None


def test_under_no_grad_it_is_just_called() -> None:
    model = network().eval()
    with md.no_grad():
        y = F.checkpoint(model, batch())
    assert not y.requires_grad
    assert F.checkpoint(lambda a: a + 1, np.ones(2)).tolist() == [2, 2]
    assert F.checkpoint(model.requires_grad_(False), md.zeros(2, 5))._op is None


def test_the_random_streams_are_put_back_and_go_on() -> None:
    md.seed(3)
    first = [F.dropout(md.ones(9)).numpy(), md.rand(2).numpy()]
    md.seed(3)
    x = md.ones(9, requires_grad=True)
    y = F.checkpoint(F.dropout, x)
    drawn = md.rand(2).numpy()
    F.sum(y).backward()
    np.testing.assert_array_equal(y.numpy(), first[0])
    np.testing.assert_array_equal(x.grad.numpy(), first[0])  # the same mask again
    np.testing.assert_array_equal(drawn, first[1])


# ---- what goes wrong is said


def test_a_write_in_between_is_noticed() -> None:
    x, w, c = batch(), md.ones(5, requires_grad=True), md.ones(5)
    h = x * 2
    for tensor in (h, c, w):
        loss = F.sum(F.checkpoint(lambda h: F.tanh(h * w + c), h))
        tensor.data[...] = 5
        with pytest.raises(GraphError, match=r"Checkpoint saved values .* overwritten since"):
            loss.backward()
    loss = F.sum(F.checkpoint(lambda h: F.tanh(h * w + c), h))
    c += 1
    with pytest.raises(GraphError, match="overwritten since"):
        loss.backward()


@md.using("numpy")  # on a device numbers are not looked at
def test_another_result_the_second_time_is_an_error() -> None:
    x, rng, model = batch(), np.random.default_rng(0), network()
    loss = F.sum(F.checkpoint(lambda h: h * rng.random(5, dtype=np.float32), x))
    with pytest.raises(GraphError, match=r"returned other numbers in the forward.*np\.random's are not"):
        loss.backward()
    loss = F.sum(F.checkpoint(model, x))
    model.eval()
    with pytest.raises(GraphError, match=r"Sequential|model.eval\(\)"):
        loss.backward()
    lengths = iter([2, 3])
    loss = F.sum(F.checkpoint(lambda h: F.sum(h[: next(lengths)], axis=1), x))
    with pytest.raises(GraphError, match=r"outputs of \(2,\) float32 in the forward and of \(3,\)"):
        loss.backward()
    w, v = md.ones(5, requires_grad=True), md.ones(5, requires_grad=True)
    weights = iter([w, v])
    loss = F.sum(F.checkpoint(lambda h: h * next(weights), x))
    with pytest.raises(GraphError, match="used other tensors"):
        loss.backward()


def test_a_write_into_an_input_is_refused() -> None:
    def block(h: md.Tensor) -> md.Tensor:
        h += 1
        return h * h

    with pytest.raises(GraphError, match=r"block wrote into .*x = x\.copy\(\)"):
        F.checkpoint(block, batch() * 2)


def test_an_error_inside_leaves_everything_as_it_was() -> None:
    calls = iter([0, 1])

    def block(h: md.Tensor) -> md.Tensor:
        if next(calls):
            raise KeyError("again")
        return F.dropout(F.tanh(h))

    x = batch()
    loss = F.sum(F.checkpoint(block, x))
    md.seed(2)
    with pytest.raises(KeyError) as caught:
        loss.backward()
    assert any("in the backward of Checkpoint" in note for note in caught.value.__notes__)
    drawn = md.rand(1).item()
    md.seed(2)
    assert md.rand(1).item() == drawn
    assert md.is_grad_enabled()
    assert (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError):
        F.checkpoint(lambda h: 1 / 0, x)
    F.sum(F.checkpoint(F.tanh, x)).backward()
    assert x.grad is not None


def test_what_is_no_function_is_refused() -> None:
    model = network()
    with pytest.raises(DTypeError, match=r"not F\.checkpoint\(model\(x\)\)"):
        F.checkpoint(model(batch()))
    with pytest.raises(TypeError, match=r"leave them out\. use_reentrant: there is one way only"):
        F.checkpoint(model, batch(), use_reentrant=False)
    assert F.checkpoint(lambda x, debug: x * debug, md.ones(2), debug=3).tolist() == [3, 3]
    with pytest.raises(DTypeError, match=r"F\.checkpoint\(block, x\) in their forward"):
        F.checkpoint_sequential(lambda x: x, 2, batch())
    with pytest.raises(ValueError, match="at most as many segments as functions, 5; got 6"):
        F.checkpoint_sequential(model, 6, batch())


# ---- who watches


def test_a_tape_shows_every_op_of_it() -> None:
    model, x = network(), batch()
    with md.record() as tape:
        F.sum(F.checkpoint(model, x)).backward()
    assert "Checkpoint" not in repr(tape)
    with md.record() as plain:
        F.sum(model(x)).backward()
    assert len(tape) == len(plain)


def test_anomaly_mode_finds_the_op_inside() -> None:
    x = md.tensor([0.0, 1.0], requires_grad=True)
    with md.detect_anomaly(), pytest.raises(GraphError, match="Sqrt"):
        F.sum(F.checkpoint(lambda h: F.sqrt(h), x)).backward()
    loss = F.sum(F.checkpoint(lambda h: F.sqrt(h), x))
    with md.detect_anomaly(), pytest.raises(GraphError, match="Sqrt"):
        loss.backward()
    pair = F.checkpoint(lambda h: (F.exp(h), F.tanh(h)), x)
    with md.detect_anomaly():
        F.sum(pair[0] * pair[1]).backward()


def test_a_walk_that_is_watched_from_the_backward_on() -> None:
    x = md.tensor([0.5, 1.0], requires_grad=True)
    pair = F.checkpoint(lambda h: (F.exp(h), F.tanh(h)), x)
    loss = F.sum(pair[0] * pair[1])
    with md.record() as tape:
        loss.backward()
    assert x.grad is not None
    assert "Exp" in str(tape) or len(tape) > 0


# ---- memory


def peak_of_step(depth: int, segments: int | None) -> int:
    """Bytes at the peak of a forward and backward through tanh layers, beyond weights and input."""
    md.seed(0)
    model = nn.Sequential(*[layer for _ in range(depth) for layer in (nn.Linear(8, 8), nn.Tanh())])
    x = md.randn(2000, 8)
    gc.collect()

    def step() -> None:
        y = model(x) if segments is None else F.checkpoint_sequential(model, segments, x)
        F.sum(y).backward()

    if backend.current() == "cupy":
        # Arrays are not in the host's memory. A pool of CuPy's gives nothing back, so that what it holds is the peak.
        cuda = backend.module("cupy").cuda
        pool = cuda.MemoryPool()
        with cuda.using_allocator(pool.malloc):
            step()
        return int(pool.total_bytes())
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_grows_as_the_square_root_of_depth() -> None:
    without, checkpointed = peak_of_step(64, None), peak_of_step(64, 8)
    assert checkpointed < without / 3
    assert checkpointed < 3 * peak_of_step(16, 4)  # twice as much for four times the layers
    assert without > 3.3 * peak_of_step(16, None)


def test_memory_returns_with_the_collector_off() -> None:
    model, x = network(), batch()
    gc.collect()
    gc.disable()
    try:
        for create_graph in (False, True):
            y = F.sum(F.checkpoint(lambda h: model(model(h)), x))
            g = md.grad(y, x, create_graph=create_graph)
            del y, g
        F.sum(F.checkpoint(several, x * 2)["pair"][1]).backward()
        assert gc.collect() == 0
    finally:
        gc.enable()
