"""The one way every op is tested: against PyTorch, against finite differences, in every dtype and memory layout.

    @examples(30)
    @given(operands(2))
    def test_multiply(xs):
        check(F.multiply, torch.mul, xs)

draws thirty pairs of arrays of any shapes that broadcast (0-d, empty and length-1 axes among them) and, for each:

* compares value, shape and dtype in float64, float32 and float16 with PyTorch computing in float64;
* compares the gradients with PyTorch's, in all three dtypes, and with central finite differences;
* compares the second derivatives with PyTorch's and with finite differences of the first;
* mixes float32 and float64 operands; calls the op with raw arrays, which must return the same as a raw array;
* holds each operand in a drawn memory layout, and sees that nothing was written to it;
* on a device, compares values and gradients with what the same op gives on NumPy.

Where PyTorch is not installed (`tests/pytorch.py`) the op in float64 stands in its place: finite differences say
whether that is right, and the other dtypes are compared with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import minidl as md
from minidl import backend
from tests.arrays import assert_same, device, host
from tests.pytorch import installed, torch

DTYPES = ("float64", "float32", "float16")
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 1e-2}
LAYOUTS = ("contiguous", "transposed", "stepped", "reversed", "repeated")
STEP = 1e-5  # of the finite differences

# Up to 2.2 NumPy multiplies matrices that lie oddly in memory without BLAS, and so rounds them otherwise than a copy of
# them in order.
ROUNDS_BY_LAYOUT = tuple(map(int, np.__version__.split(".")[:2])) < (2, 3)


def examples(number: int) -> Any:
    """`number` drawn examples for a test, the same ones in every run; a part of them where MINIDL_EXAMPLES says so.

    CI runs all of them on the newest NumPy, and a part on the oldest and on the stand-in, to which they are no news.
    """
    part = max(1, round(number * float(os.environ.get("MINIDL_EXAMPLES", "1"))))
    return settings(
        max_examples=part, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


# ---- what is drawn


@dataclass(frozen=True)
class Operand:
    """One argument of an op: its values as a float64 NumPy array, and how they shall lie in memory."""

    values: Any
    layout: str = "contiguous"

    def raw(self, dtype: Any) -> Any:
        """A new raw array of the backend under test."""
        return laid_out(device(self.values.astype(dtype)), self.layout)


def laid_out(array: Any, layout: str) -> Any:
    """The values of `array` in another memory layout ("repeated": its first row, again and again)."""
    if array.ndim == 0 or layout == "contiguous":
        return array
    if layout == "transposed":
        return array.transpose().copy().transpose()
    if layout == "stepped":
        wide = backend.module_of(array).zeros((*array.shape[:-1], 2 * array.shape[-1] + 1), dtype=array.dtype)
        wide[..., 1::2] = array
        return wide[..., 1::2]
    if layout == "reversed":
        return array[::-1].copy()[::-1]
    return backend.module_of(array).broadcast_to(array[:1].copy(), array.shape)  # read-only on NumPy


@st.composite
def shapes(draw: Any, min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> tuple[int, ...]:
    """Shapes, most of them ordinary, 0-d ones and ones with axes of length 0 and 1 among them."""
    ndim = draw(st.sampled_from([n for n in (2, 3, 1, 2, 3, 0, 4) if min_dims <= n <= max_dims]))
    side = st.sampled_from([n for n in (2, 3, 4, 3, 2, 4, 1, 5, 1, 0) if n >= min_side])
    return tuple(draw(side) for _ in range(ndim))


@st.composite
def operand(
    draw: Any, shape: Any = None, low: float = -3, high: float = 3, zero: bool = True, distinct: bool = False
) -> Operand:
    """An Operand with eighths from `low` to `high`: exact in every dtype, and often equal to each other.

    Args:
        shape: a shape, or a strategy for one; any shape if None.
        zero: whether 0 may occur; 1/8 stands in its place otherwise.
        distinct: all values differ (there must be enough eighths).
    """
    chosen = draw(shapes() if shape is None else shape if isinstance(shape, st.SearchStrategy) else st.just(shape))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    eighths = np.arange(int(low * 8), int(high * 8) + 1)
    picked = rng.choice(eighths, size=chosen, replace=not distinct)
    values = np.asarray(picked / 8)
    if not zero:
        values = np.where(values == 0, 0.125, values)
    return Operand(values, draw(st.sampled_from(LAYOUTS)))


@st.composite
def operands(draw: Any, number: int, max_dims: int = 3, **limits: Any) -> list[Operand]:
    """`number` Operands whose shapes broadcast together: some axes of the result are 1 or missing in some of them."""
    whole = draw(shapes(max_dims=max_dims))
    found = []
    for _ in range(number):
        lengths = [1 if draw(st.sampled_from([False, False, True])) else n for n in whole]
        missing = draw(st.sampled_from([0, 0, 0, 1, len(whole)]))
        found.append(draw(operand(tuple(lengths[missing:]), **limits)))
    return found


@st.composite
def axes_of(draw: Any, ndim: int) -> Any:
    """None, one axis, or several, counted from the front or from the end."""
    if ndim == 0 or draw(st.booleans()):
        return draw(st.sampled_from([None, -1, 0])) if draw(st.booleans()) else None
    several = draw(st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True))
    signed = [axis - ndim if draw(st.booleans()) else axis for axis in several]
    return tuple(signed) if len(signed) > 1 or draw(st.booleans()) else signed[0]


# ---- what is checked


def check(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    xs: Operand | Sequence[Operand],
    *,
    mixed: bool = True,
    numeric: bool = True,
    second: bool = True,
    slack: float = 1,
    recomputed: bool = False,
    multiplies: bool = False,
) -> None:
    """Hold `function` of Tensors against `reference` of PyTorch tensors, in every way this module knows.

    Args:
        function, reference: take as many tensors as there are operands and return one.
        mixed: also with a float32 first operand among float64 ones (ops that demand one dtype do without).
        numeric: also against finite differences.
        second: also the second derivatives.
        slack: allow this many times the usual rounding error.
        recomputed: a backward that is itself recorded computes anew what the forward kept, and rounds it otherwise:
            both are then held against PyTorch's, not bit for bit against each other.
        multiplies: it multiplies matrices whose products are rounded. A backward that is recorded may bring an array
            into order first, and an old NumPy then rounds otherwise.
    """
    several = [xs] if isinstance(xs, Operand) else list(xs)
    if multiplies and ROUNDS_BY_LAYOUT and any(x.layout != "contiguous" for x in several):
        recomputed = True
    for dtype in DTYPES:
        _check_dtypes(
            function, reference, several, [dtype] * len(several), second and dtype == "float64", slack, recomputed
        )
    if mixed and len(several) > 1:
        _check_dtypes(
            function, reference, several, ["float32"] + ["float64"] * (len(several) - 1), False, slack, recomputed
        )
    if numeric:
        check_numerically(function, several, second)


def check_value(function: Callable[..., Any], reference: Callable[..., Any], xs: Operand | Sequence[Operand]) -> None:
    """Hold an op without gradient against PyTorch: value, shape, dtype, raw arrays, inputs left alone."""
    several = [xs] if isinstance(xs, Operand) else list(xs)
    for dtype in DTYPES:
        raws = [x.raw(dtype) for x in several]
        result = function(*[md.Tensor(raw, requires_grad=True) for raw in raws])
        expected = reference(*[torch.tensor(host(raw)) for raw in raws]).numpy()
        assert not result.requires_grad
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(host(result), expected)
        _check_raw_call(function, raws, result)


def _check_dtypes(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    xs: list[Operand],
    dtypes: list[str],
    second: bool,
    slack: float,
    recomputed: bool = False,
) -> None:
    raws = [x.raw(dtype) for x, dtype in zip(xs, dtypes, strict=True)]
    before = [host(raw) for raw in raws]
    tensors = [md.Tensor(raw, requires_grad=True) for raw in raws]
    coarsest = min(dtypes, key=lambda dtype: np.dtype(dtype).itemsize)

    def compare(ours: Any, expected: Any, what: str) -> None:
        assert_close(ours, expected, coarsest, slack, f"{what}, {dtypes}, shapes {[t.shape for t in tensors]}")

    ours = function(*tensors)
    weights = _some_numbers(ours.shape)
    expected = (of_pytorch if installed else of_minidl)(reference if installed else function, before, weights, second)
    assert type(ours) is md.Tensor
    assert ours.dtype == np.result_type(*dtypes)
    assert ours.requires_grad
    compare(ours, expected.value, "value")
    _check_raw_call(function, [t._data for t in tensors], ours)  # an op may have brought them into C order
    compare(md.Tensor(function(*raws)), expected.value, "value of raw arrays")

    grad_out = md.Tensor(device(weights.astype(ours.dtype)), requires_grad=True)
    grads = md.grad(ours, tensors, grad_out, create_graph=second, retain_graph=True)
    for tensor, grad, their_grad in zip(tensors, grads, expected.grads, strict=True):
        assert grad.dtype == tensor.dtype
        compare(grad, their_grad, "gradient")
    if backend.current() != "numpy":
        _check_on_host(function, before, weights, [ours, *grads], compare)
    ours.backward(grad_out.detach(), retain_graph=True)  # once into .grad, and once for each input alone
    for tensor, grad, their_grad in zip(tensors, grads, expected.grads, strict=True):
        assert tensor.grad is not None
        if recomputed:
            compare(tensor.grad, their_grad, "gradient that is not recorded")
        else:
            assert_same(tensor.grad, grad, "with create_graph it is another gradient", terms=weights)
    for i, grad in enumerate(grads if len(grads) > 1 else ()):
        only = [md.Tensor(raw, requires_grad=j == i) for j, raw in enumerate(raws)]
        alone = md.grad(function(*only), only[i], grad_out.detach())
        if recomputed:
            compare(alone, expected.grads[i], f"gradient of input {i} alone")
        else:
            assert_same(alone, grad, f"input {i} alone gets another gradient", terms=weights)

    if second:
        for found, wanted in zip(_second(tensors, grads, grad_out), expected.second, strict=True):
            compare(found, wanted, "second")
    for raw, values in zip(raws, before, strict=True):
        np.testing.assert_array_equal(host(raw), values, "an input was changed")


class Expected(NamedTuple):
    """What an op should give, in float64: value, gradients, and the derivatives of a sum of the weighted gradients."""

    value: Any
    grads: list[Any]
    second: list[Any]


def of_pytorch(reference: Callable[..., Any], values: Sequence[Any], weights: Any, second: bool) -> Expected:
    """What `reference` of PyTorch tensors gives for these values and this output gradient."""
    theirs = [torch.tensor(x.astype(np.float64), requires_grad=True) for x in values]
    value = reference(*theirs)
    grad_out = torch.tensor(weights, requires_grad=True)
    grads = torch.autograd.grad(value, theirs, grad_out, create_graph=second, retain_graph=True)
    by = [*theirs, grad_out]
    found: Any = [None] * len(by)
    pairs = [(g, torch.tensor(_some_numbers(g.shape, shift=3))) for g in grads if g.requires_grad] if second else []
    if pairs:
        outputs, grad_outputs = zip(*pairs, strict=True)
        found = torch.autograd.grad(outputs, by, grad_outputs, allow_unused=True)
    arrays = [np.zeros(x.shape) if d is None else d.numpy(force=True) for x, d in zip(by, found, strict=True)]
    return Expected(value.detach().numpy(), [g.detach().numpy() for g in grads], arrays)


def of_minidl(function: Callable[..., Any], values: Sequence[Any], weights: Any, second: bool) -> Expected:
    """What the op itself gives in float64."""
    tensors = [md.Tensor(device(x.astype(np.float64)), requires_grad=True) for x in values]
    value = function(*tensors)
    grad_out = md.Tensor(device(weights), requires_grad=True)
    grads = md.grad(value, tensors, grad_out, create_graph=second, retain_graph=True)
    return Expected(host(value), [host(g) for g in grads], _second(tensors, grads, grad_out) if second else [])


def _second(tensors: list[Any], grads: Sequence[Any], grad_out: Any) -> list[Any]:
    """d(sum of weights * gradients) / d(inputs and output gradient), as arrays."""
    by = [*tensors, grad_out]
    recorded = [grad for grad in grads if grad.requires_grad]
    weights = [md.Tensor(device(_some_numbers(grad.shape, shift=3).astype(grad.dtype))) for grad in recorded]
    found: Any = md.grad(recorded, by, weights, allow_unused=True) if recorded else [None] * len(by)
    return [np.zeros(x.shape) if d is None else host(d) for x, d in zip(by, found, strict=True)]


def _check_on_host(
    function: Callable[..., Any], values: list[Any], weights: Any, results: list[Any], compare: Callable[..., None]
) -> None:
    """What a device computes, value and gradients, is what the same op computes on NumPy."""
    tensors = [md.Tensor(array, requires_grad=True) for array in values]
    try:
        value = function(*tensors)
    except md.DeviceError:
        return  # labels or weights of the test lie on the device
    expected = [value, *md.grad(value, tensors, md.Tensor(weights.astype(value.dtype)))]
    for i, (found, other) in enumerate(zip(results, expected, strict=True)):
        compare(found, host(other), f"NumPy's {f'gradient {i - 1}' if i else 'value'}")


def _check_raw_call(function: Callable[..., Any], raws: list[Any], ours: Any) -> None:
    """The op of raw arrays is a raw array with the same values.

    Up to a unit in the last place of the largest: what a Tensor's op shares is brought into C order, what a raw array's
    op makes is not, and a sum over another order in memory is rounded otherwise.
    """
    result = function(*raws)
    assert backend.is_array(result)
    assert result.dtype == ours.dtype
    found, wanted = host(result), host(ours)
    unit = float(np.finfo(found.dtype).eps) if found.dtype.kind == "f" else 0.0
    largest = float(np.abs(wanted).max(initial=0, where=np.isfinite(wanted))) if unit else 0.0
    np.testing.assert_allclose(found, wanted, rtol=unit, atol=unit * largest)


def check_numerically(function: Callable[..., Any], xs: Sequence[Operand], second: bool = True) -> None:
    """First and second derivative along a random direction against central finite differences, in float64.

    The values are first moved apart and off the eighths they were drawn on, where ops have their kinks.
    """
    points = _moved_apart([x.values for x in xs])
    directions = [_some_numbers(p.shape, shift=5) for p in points]
    tensors = [md.Tensor(device(p), requires_grad=True) for p in points]
    out = function(*tensors)
    grad_out = md.Tensor(device(_some_numbers(out.shape)))
    slopes = md.grad(out, tensors, grad_out, create_graph=second)
    along = _dot([host(s) for s in slopes], directions)

    def value_at(distance: float) -> float:
        moved = [md.Tensor(device(p + distance * d)) for p, d in zip(points, directions, strict=True)]
        return _dot([host(function(*moved))], [host(grad_out)])

    _assert_slope(along, value_at, "first derivative")

    curved = [slope for slope in slopes if slope.requires_grad] if second else []
    if not curved:
        return
    weights = [_some_numbers(slope.shape, shift=7) for slope in slopes]
    seeds = [md.Tensor(device(w)) for w, slope in zip(weights, slopes, strict=True) if slope.requires_grad]
    found = md.grad(curved, tensors, seeds, allow_unused=True)
    along = _dot([0 * p if g is None else host(g) for p, g in zip(points, found, strict=True)], directions)

    def slope_at(distance: float) -> float:
        moved = [md.Tensor(device(p + distance * d), True) for p, d in zip(points, directions, strict=True)]
        return _dot([host(g) for g in md.grad(function(*moved), moved, grad_out)], weights)

    _assert_slope(along, slope_at, "second derivative")


def _assert_slope(along: float, value_at: Callable[[float], float], what: str) -> None:
    ahead, behind = value_at(STEP), value_at(-STEP)
    numeric = (ahead - behind) / (2 * STEP)
    size = max(abs(ahead), abs(along), 1)
    assert abs(numeric - along) <= 1e-5 * size, f"{what}: backward says {along}, finite differences {numeric}"


def _moved_apart(points: list[Any]) -> list[Any]:
    total = sum(p.size for p in points)
    moved, start = [], 0
    for p in points:
        number = np.arange(start, start + p.size).reshape(p.shape)
        moved.append(p + (number + 1) / (8 * (total + 2)))
        start += p.size
    return moved


def _some_numbers(shape: tuple[int, ...], shift: int = 0) -> Any:
    """Numbers between -1 and 1 without a pattern, multiples of 1/16, the same at every call."""
    count = int(np.prod(shape))
    return np.asarray((np.arange(shift, shift + count) * 7 % 31 - 15) / 16.0).reshape(shape)


def _dot(arrays: Sequence[Any], weights: Sequence[Any]) -> float:
    return float(sum((a * w).sum() for a, w in zip(arrays, weights, strict=True)))


def assert_close(ours: Any, expected: Any, dtype: str = "float64", slack: float = 1, what: str = "") -> None:
    """`ours` (Tensor or array) equals `expected` (of PyTorch or NumPy) up to the rounding of `dtype`."""
    theirs = expected.detach().numpy(force=True) if isinstance(expected, torch.Tensor) else host(expected)
    mine = host(ours)
    assert mine.shape == theirs.shape, f"{what}: shape {mine.shape}, expected {theirs.shape}"
    finite = np.abs(theirs[np.isfinite(theirs)])
    tolerance = slack * TOLERANCE[dtype]
    np.testing.assert_allclose(
        mine.astype(np.float64), theirs, rtol=tolerance, atol=tolerance * max(1, finite.max(initial=0)), err_msg=what
    )


# ---- special values, and operands that are no tensors


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5, -60.0, 60.0])


def check_special(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    xs: Sequence[Any],
    dtypes: Sequence[str] = DTYPES,
    gradients: bool = True,
) -> None:
    """Infinities, NaN, zeros and large numbers give what PyTorch gives, in value and gradient, and no warning."""
    for dtype in dtypes:
        raws = [device(np.asarray(x, dtype)) for x in xs]
        tensors = [md.Tensor(raw, requires_grad=True) for raw in raws]
        theirs = [torch.tensor(host(raw), requires_grad=True) for raw in raws]
        ours, expected = function(*tensors), reference(*theirs)
        assert_close(ours, expected, dtype, what=f"value, {dtype}")
        if not gradients:
            continue
        ours.backward(device(np.ones(ours.shape, dtype)))
        their_grads = torch.autograd.grad(expected, theirs, torch.ones_like(expected))
        for x, tensor, their_grad in zip(xs, tensors, their_grads, strict=True):
            assert_close(tensor.grad, their_grad, dtype, what=f"gradient, {dtype}, at {x}")


def check_limits(function: Callable[..., Any], below: Sequence[float], above: Sequence[float]) -> None:
    """Value, slope and second derivative at -infinity (`below`) and infinity (`above`) are the limits; on the way there
    no derivative up to the third becomes NaN, however large x is.
    """
    for dtype in DTYPES:
        far = np.geomspace(10, float(np.finfo(dtype).max) / 2, 100)
        x = md.Tensor(device(np.array([-np.inf, np.inf, *far, *-far], dtype)), requires_grad=True)
        value = function(x)
        value.sum().backward(retain_graph=True)
        slope = md.grad(value.sum(), x, create_graph=True)
        found = [value, x.grad, slope]
        while found[-1].requires_grad and len(found) < 5:
            found.append(md.grad(found[-1].sum(), x, create_graph=True))
        found += [md.zeros(x.shape)] * (5 - len(found))
        for i, (ours, wanted) in enumerate(zip(found, (0, 1, 1, 2, 3), strict=True)):
            limits = [0.0, 0.0] if wanted == 3 else [below[wanted], above[wanted]]
            assert_close(ours[:2], np.array(limits), dtype, what=f"result {i}, {dtype}")
            assert not np.isnan(host(ours)).any(), f"result {i}, {dtype}: {host(ours)}"


def check_with_numbers(function: Callable[..., Any], reference: Callable[..., Any], x: Operand) -> None:
    """A number, Python's or NumPy's, on either side: no promotion, neither of the value nor of the gradient."""
    for dtype in DTYPES:
        for number in (2, 2.5, np.float64(2.5), np.float32(0.5), np.float16(1.5), np.int64(3), np.array(2.5)[()]):
            plain = number.item() if isinstance(number, np.generic) else number
            for swap in (False, True):
                tensor = md.Tensor(x.raw(dtype), requires_grad=True)
                ours = function(number, tensor) if swap else function(tensor, number)
                raw = function(number, x.raw(dtype)) if swap else function(x.raw(dtype), number)
                assert ours.dtype == dtype
                assert backend.is_array(raw)
                assert raw.dtype == dtype
                op, exact = (reference, torch.tensor(plain, dtype=torch.float64)) if installed else (function, plain)
                swapped = (lambda t: op(exact, t)) if swap else (lambda t: op(t, exact))  # noqa: B023 - called at once
                ones = np.ones(ours.shape)
                expected = (of_pytorch if installed else of_minidl)(swapped, [host(tensor)], ones, False)
                assert_close(ours, expected.value, dtype, what=f"value with {number!r}")
                assert_close(raw, expected.value, dtype, what=f"raw value with {number!r}")
                ours.sum().backward()
                assert tensor.grad is not None
                assert tensor.grad.dtype == dtype
                assert_close(tensor.grad, expected.grads[0], dtype, what=f"gradient with {number!r}")


def check_against_numpy(function: Callable[..., Any], reference: Callable[..., Any], *arrays: Any) -> None:
    """Value and dtype as NumPy's (for integers and booleans, where minidl's array functions follow NumPy)."""
    expected = reference(*arrays)
    ours = function(*[md.Tensor(device(a)) for a in arrays])
    assert isinstance(ours, md.Tensor)
    assert not ours.requires_grad
    assert ours.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(host(ours), expected, rtol=1e-6)
