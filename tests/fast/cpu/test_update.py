"""A large parameter is updated in blocks: the same bits, and no memory as large as it is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.fast.cpu import threads as parallel
from minidl.fast.cpu import update
from minidl.optim import LARS, LayerSpecific, Optimizer, TrustRatio, Uniform
from tests.arrays import assert_same, device, host, tensor
from tests.optim.test_optimizer import METHODS, every_method

RATES = [Uniform(), LayerSpecific(), LARS(eta=0.1), TrustRatio()]


def parameters(*shapes: tuple[int, ...]) -> list[md.Tensor]:
    rng = np.random.default_rng(0)
    return [tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


def trained(make: Callable[[Any], Optimizer], params: list[md.Tensor]) -> list[Any]:
    """The weights and the state after three steps."""
    optimizer, rng = make(params), np.random.default_rng(1)
    for _ in range(3):
        for p in params:
            p.grad = tensor(rng.standard_normal(p.shape))
        optimizer.step()
    return [host(x) for x in (*params, *[a for a in optimizer.state_dict().values() if isinstance(a, np.ndarray)])]


def block_by_block(monkeypatch: pytest.MonkeyPatch, shared: int) -> None:
    monkeypatch.setattr(parallel, "BLOCK", 7 * 8 * 5)
    monkeypatch.setattr(update, "SHARED", shared)


@every_method
@pytest.mark.parametrize("shared", [0, 1 << 40], ids=["shared", "alone"])
def test_blocks_give_the_same_bits(method: Any, shared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(method, parameters((9, 5), (33,), (), (0, 3)))
    block_by_block(monkeypatch, shared)
    for ours, expected in zip(trained(method, parameters((9, 5), (33,), (), (0, 3))), whole, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("rate", RATES, ids=repr)
def test_so_with_every_layer_rate(rate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(lambda p: METHODS["momentum"](p, layer_rate=rate), parameters((9, 5), (33,)))
    block_by_block(monkeypatch, 0)
    split = trained(lambda p: METHODS["momentum"](p, layer_rate=rate), parameters((9, 5), (33,)))
    for ours, expected in zip(split, whole, strict=True):
        np.testing.assert_array_equal(ours, expected)


@every_method
def test_arrays_in_another_order_of_axes_are_updated_too(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, turned = parameters((6, 8)), parameters((6, 8))
    turned[0].data = device(np.asfortranarray(host(turned[0])))
    block_by_block(monkeypatch, 0)
    for ours, expected in zip(trained(method, turned), trained(method, plain), strict=True):
        assert_same(ours, expected)  # on a device only `plain` is updated by a kernel


def extra_bytes(optimizer: Optimizer) -> int:
    """How much more memory than before a step has at its most."""
    threads = md.get_num_threads()
    md.set_num_threads(1)  # every thread has a workspace, which a first step may make
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        optimizer.step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
        md.set_num_threads(threads)


LARGEST = 4 << 20  # bytes


@every_method
@pytest.mark.parametrize("rate", RATES[:3], ids=repr)
def test_a_step_takes_less_memory_than_the_largest_parameter(method: Any, rate: Any) -> None:
    params = [md.Tensor(np.ones((1024, n), np.float32), requires_grad=True) for n in (1024, 512, 1024, 256, 1024)]
    for p in params:
        p.grad = md.Tensor(np.ones(p.shape, np.float32))
    optimizer = method(params, layer_rate=rate)
    optimizer.step()  # makes the state
    assert extra_bytes(optimizer) < LARGEST


def test_a_rate_for_the_update_needs_the_directions_of_one_layer() -> None:
    params = [md.Tensor(np.ones((1024, 1024), np.float32), requires_grad=True) for _ in range(5)]
    for p in params:
        p.grad = md.Tensor(np.ones(p.shape, np.float32))
    optimizer = METHODS["adamw"](params, layer_rate=TrustRatio())
    optimizer.step()
    assert extra_bytes(optimizer) < 5 * LARGEST  # Adam's temporaries; the model's five would be 20


@pytest.mark.parametrize("size", [40, 400_000])
def test_a_parameter_that_was_given_another_shape_is_refused_however_large(size):
    p = md.nn.Parameter(device(np.ones(size)))
    optimizer = md.optim.SGD([p], lr=0.1, momentum=0.9)
    p.grad = tensor(np.ones(size))
    optimizer.step()
    optimizer.zero_grad()
    p.data = device(np.ones(size // 2))
    p.grad = tensor(np.ones(size // 2))
    with pytest.raises(md.ShapeError, match=r"is now of shape .*, but its velocity is of"):
        optimizer.step()


class Mine(md.optim.SGD):
    """A method of a user's."""

    def direction(self, state: dict[str, Any], gradient: Any, scaled: Any) -> Any:
        return super().direction(state, gradient, scaled) * 2


@pytest.mark.parametrize("kept", [0, 1 << 40], ids=["computed again", "kept"])
@pytest.mark.parametrize(
    "make",
    [
        lambda p: METHODS["adamw"](p, layer_rate=TrustRatio()),
        lambda p: METHODS["momentum"](p, layer_rate=TrustRatio("tensor")),
        lambda p: Mine(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    ],
    ids=["lamb", "trust ratio", "a user's"],
)
def test_directions_that_are_needed_beforehand(make: Any, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept until they are used, or computed again where they are too much memory."""
    whole = trained(make, parameters((9, 5), (33,), ()))
    block_by_block(monkeypatch, 0)
    monkeypatch.setattr(update, "KEPT", kept)
    for ours, expected in zip(trained(make, parameters((9, 5), (33,), ())), whole, strict=True):
        np.testing.assert_array_equal(ours, expected)
