"""Every faster version that is registered computes what its op computes, in value, gradient and second derivative.

The versions are found through the registry: one that has no example here fails. Those for a GPU run on the stand-in, or
with `--backend cupy` on CuPy; those for the CPU on NumPy, whatever the backend under test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.autograd.function import Function
from minidl.autograd.modes import PLAIN, mode
from minidl.fast import versions as registration
from minidl.functional.attention import AttentionWeights
from minidl.functional.conv import ConvWeight
from minidl.functional.geometry import Geometry
from minidl.functional.masking import masked
from tests.cupy_standin.kernels import COMPILER
from tests.factory import laid_out

TOLERANCE = {"float64": 1e-10, "float32": 3e-5, "float16": 2e-2}
Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Example:
    """A function of Tensors in which the op takes part, and shapes of operands, among them some without numbers."""

    function: Callable[..., md.Tensor]
    shapes: tuple[Shapes, ...]
    second: bool = True


def labels_for(x: md.Tensor) -> Any:
    return backend.to_device(np.arange(len(x)) % x.shape[1], x.device)


def gradient_of(pool: Callable[[md.Tensor], md.Tensor], shape: tuple[int, ...]) -> Callable[[md.Tensor], md.Tensor]:
    """g -> dL/dx of a pooling of some fixed x, when dL/dy is g."""

    def function(g: md.Tensor) -> md.Tensor:
        size = (len(g), *shape[1:])
        numbers = np.random.default_rng(3).permutation(int(np.prod(size))).reshape(size)
        x = md.tensor(numbers.astype(g.dtype), requires_grad=True, device=g.device)
        return md.grad(pool(x), x, g, create_graph=True)

    return function


def picked(h: md.Tensor) -> md.Tensor:
    """h -> what max pooling's choice takes from h: the gradient of the gradient."""
    put = gradient_of(max_pool, h.shape)
    g = md.zeros(len(h), 2, 3, 3, dtype=h.dtype, requires_grad=True).to(h.device)
    return md.grad(put(g), g, h, create_graph=True)


def max_pool(x: md.Tensor) -> md.Tensor:
    return F.max_pool2d(x, 3, stride=2, padding=1)


def avg_pool(x: md.Tensor) -> md.Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)


def dropped(x: md.Tensor) -> md.Tensor:
    md.seed(5)
    return F.dropout(x, 0.4)


def layer(kind: Any) -> Callable[[md.Tensor], md.Tensor]:
    def function(x: md.Tensor) -> md.Tensor:
        md.seed(5)
        with md.using(x.device):
            model = kind(3, 4).to(dtype=x.dtype)
        output: md.Tensor = model(x)[0]
        return output

    return function


def weight_gradient(x: md.Tensor, g: md.Tensor) -> md.Tensor:
    result: md.Tensor = ConvWeight(Geometry.of(2, 2, 1, 1, 1), (4, 3, 3, 2))(x, g)
    return result


def weight_gradient_of_tiles(x: md.Tensor, g: md.Tensor) -> md.Tensor:
    result: md.Tensor = ConvWeight(Geometry.of(2, 1, 2, 1, 1), (32, 32, 5, 5))(x, g)
    return result


ELEMENTS: tuple[Shapes, ...] = (((3, 4),), ((0, 3),), ((),), ((2, 3, 4),))
IMAGES: tuple[Shapes, ...] = (((2, 2, 6, 6),), ((0, 2, 6, 6),))
SUMS: tuple[Shapes, ...] = (((3, 4),), ((300, 4),), ((0, 4),), ((2, 3, 40, 41),))
FILLED: tuple[Shapes, ...] = (((3, 4),), ((300, 4),), ((2, 3, 40, 41),))
IN_TILES, FILTERS = (9, 32, 16, 15), (32, 32, 5, 5)

EXAMPLES = {
    "ReLU": Example(F.relu, ELEMENTS),
    "LeakyReLU": Example(lambda x: F.leaky_relu(x, 0.2), ELEMENTS),
    "PReLU": Example(F.prelu, (((2, 3, 4), (3,)), ((5, 3), (1,)), ((0, 3), (3,)))),
    "ELU": Example(lambda x: F.elu(x, 0.7), ELEMENTS),
    "Hardtanh": Example(F.hardtanh, ELEMENTS),
    "Sigmoid": Example(F.sigmoid, ELEMENTS),
    "Tanh": Example(F.tanh, ELEMENTS),
    "Softsign": Example(F.softsign, ELEMENTS),
    "Softplus": Example(F.softplus, ELEMENTS),
    "SiLU": Example(F.silu, ELEMENTS),
    "GELU": Example(F.gelu, ELEMENTS),
    "TanhGELU": Example(lambda x: F.gelu(x, "tanh"), ELEMENTS),
    "Erf": Example(F.erf, ELEMENTS),
    "Masked": Example(lambda x: masked(x, x._data > 0), ELEMENTS),
    "Softmax": Example(F.softmax, (((3, 4),), ((0, 3),), ((2, 3, 5),), ((2, 40, 60),))),
    "LogSoftmax": Example(F.log_softmax, (((3, 4),), ((0, 3),), ((2, 3, 5),), ((2, 40, 60),))),
    "AttentionWeights": Example(lambda x: AttentionWeights(-1)(x), (((2, 40, 60),), ((90, 50),))),
    "CrossEntropy": Example(lambda x: F.cross_entropy(x, labels_for(x)), (((5, 3),), ((1, 1),), ((50, 90),))),
    "GeneralCrossEntropy": Example(
        lambda x: F.cross_entropy(x, labels_for(x), ignore_index=1, label_smoothing=0.1), (((5, 3),), ((7, 2),))
    ),
    "AddAt": Example(
        lambda x: x[md.Tensor(np.array([[2, 0, 2], [-1, 2, 2]]))], (((3, 400),), ((3, 0),), ((4, 20, 21),))
    ),
    "Sum": Example(lambda x: F.sum(x, axis=0), SUMS),
    "Mean": Example(lambda x: F.mean(x, axis=(0, *range(2, x.ndim))), FILLED),
    "Var": Example(lambda x: F.var(x, axis=0, ddof=1), FILLED),
    "LogSumExp": Example(lambda x: F.logsumexp(x, axis=0), FILLED),
    "Norm": Example(lambda x: F.norm(x, axis=0), FILLED),
    "MatMul": Example(F.matmul, (((3, 4), (4, 2)), ((2, 3, 4), (4, 5)), ((0, 4), (4, 2)), ((4,), (4, 3)))),
    "Linear": Example(F.linear, (((5, 3), (4, 3), (4,)), ((2, 5, 3), (4, 3), (4,)), ((0, 3), (4, 3), (4,)))),
    "BatchNorm": Example(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        (((4, 3), (3,), (3,)), ((2, 3, 5), (3,), (3,))),
    ),
    "Standardize": Example(
        lambda x, w, b: F.group_norm(x, 2, w, b),
        (((3, 4), (4,), (4,)), ((2, 4, 3, 2), (4,), (4,)), ((2, 4, 300), (4,), (4,)), ((0, 4), (4,), (4,))),
    ),
    "StandardizeColumns": Example(
        lambda x, w, b: F.layer_norm(x, w.shape, w, b), (((3, 4), (4,), (4,)), ((2, 3, 4), (3, 4), (3, 4)))
    ),
    "LocalResponse": Example(lambda x: F.local_response_norm(x, 3, alpha=0.5), (((2, 5, 3),), ((1, 4, 2, 3),))),
    "Conv": Example(
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
        (((2, 3, 6, 5), (4, 3, 3, 2), (4,)), ((0, 3, 6, 5), (4, 3, 3, 2), (4,))),
    ),
    "ConvInput": Example(
        lambda g, w: F.conv_transpose2d(g, w, stride=2, padding=1),
        (((2, 4, 3, 3), (4, 3, 3, 2)), ((0, 4, 3, 3), (4, 3, 3, 2))),
    ),
    "ConvWeight": Example(weight_gradient, (((2, 3, 6, 5), (2, 4, 3, 3)), ((0, 3, 6, 5), (0, 4, 3, 3)))),
    "WinogradConv": Example(lambda x, w, b: F.conv2d(x, w, b, padding=2), ((IN_TILES, FILTERS, (32,)),)),
    "WinogradConvInput": Example(lambda g, w: F.conv_transpose2d(g, w, padding=2), ((IN_TILES, FILTERS),)),
    "WinogradConvWeight": Example(weight_gradient_of_tiles, ((IN_TILES, IN_TILES),)),
    "MaxPool": Example(max_pool, IMAGES),
    "AvgPool": Example(avg_pool, IMAGES),
    "PutChosen": Example(gradient_of(max_pool, (2, 2, 6, 6)), (((2, 2, 3, 3),), ((0, 2, 3, 3),))),
    "TakeChosen": Example(picked, IMAGES[:1]),
    "SpreadMean": Example(gradient_of(avg_pool, (2, 2, 6, 6)), (((2, 2, 3, 3),), ((0, 2, 3, 3),))),
    "Dropout": Example(dropped, ELEMENTS),
    "RNN": Example(layer(md.nn.RNN), (((4, 2, 3),), ((1, 1, 3),))),
    "LSTM": Example(layer(md.nn.LSTM), (((4, 2, 3),), ((1, 1, 3),))),
    "GRU": Example(layer(md.nn.GRU), (((4, 2, 3),), ((1, 1, 3),))),
    "RNNThroughTime": Example(layer(md.nn.RNN), (((4, 2, 3),),)),
    "LSTMThroughTime": Example(layer(md.nn.LSTM), (((4, 2, 3),),)),
    "GRUThroughTime": Example(layer(md.nn.GRU), (((4, 2, 3),),)),
}  # by op, or by version where the example of the op is none for it
ELSEWHERE = {  # what is no function of Tensors, and the file that holds it equal
    "Walk": "tests/autograd/test_versions.py",
    "Function": "tests/fast/test_call.py",
    "Optimizer": "tests/fast/cpu/test_update.py",
    "Concatenate": "tests/fast/graph/test_shape.py",
    "L2Norm": "tests/fast/cpu/test_norms.py",
}
VERSIONS = [cls for cls in registration._all if cls.__module__.startswith("minidl.fast")]


def is_of_a_device(version: type[Any]) -> bool:
    return ".gpu." in version.__module__ or ".graph." in version.__module__


def example_of(version: type[Any]) -> Example:
    own = EXAMPLES.get(version.__qualname__)
    return own or EXAMPLES[version.plain.__qualname__]


def named(version: type[Any]) -> str:
    return f"{version.__module__.removeprefix('minidl.fast.')}.{version.__qualname__}"


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    """'cupy' for versions of a device, else 'numpy'."""
    version = request.getfixturevalue("version")
    if is_of_a_device(version):
        if COMPILER is None and request.config.getoption("--backend") != "cupy":
            pytest.skip("kernels without a GPU need a C++ compiler")
        request.getfixturevalue("cupy")
        yield "cupy"
    else:
        yield "numpy"


@pytest.mark.parametrize("version", VERSIONS, ids=named)
def test_every_version_has_an_example(version: type[Any]) -> None:
    plain = version.plain.__qualname__
    assert plain in EXAMPLES or plain in ELSEWHERE, f"{named(version)}: add an example of {plain} to this file"
    if plain in ELSEWHERE:
        assert (Path(__file__).parents[2] / ELSEWHERE[plain]).is_file()
    if issubclass(version, Function):
        assert version.__slots__ == ()
        assert version.saves_inputs == version.plain.saves_inputs
        assert version.saves_output == version.plain.saves_output


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("version", [v for v in VERSIONS if v.plain.__qualname__ in EXAMPLES], ids=named)
def test_a_version_is_its_op(version: type[Any], dtype: str, place: str) -> None:
    example = example_of(version)
    token = mode.set(mode.get() & ~PLAIN)
    try:
        with md.using(place):
            for shapes in example.shapes:
                for layout in ("contiguous", "transposed", "reversed"):
                    compare(example, shapes, layout, dtype, place)
    finally:
        mode.reset(token)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v.plain.__qualname__ in EXAMPLES], ids=named)
def test_the_example_of_a_version_runs_it(version: type[Any], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not issubclass(version, Function):
        pytest.skip("not an op: whether it ran is seen by the ops in it")
    example, ran = example_of(version), []
    for name in ("forward", "backward"):
        own = getattr(version, name)
        if own is not getattr(version.plain, name):
            monkeypatch.setattr(version, name, noted(own, ran))
    token = mode.set(mode.get() & ~PLAIN)
    try:
        with md.using(place):
            for shapes in example.shapes:
                tensors = operands(shapes, "contiguous", "float32", place)
                out = example.function(*tensors)
                ran += [type(out._op).__qualname__] if type(out._op) is version else []
                out.backward(backend.module_of(out._data).ones_like(out._data))
    finally:
        mode.reset(token)
    assert ran


def noted(function: Callable[..., Any], ran: list[str]) -> Callable[..., Any]:
    def noting(*args: Any) -> Any:
        ran.append(function.__qualname__)
        return function(*args)

    return noting


def operands(shapes: Shapes, layout: str, dtype: str, place: str) -> list[md.Tensor]:
    rng = np.random.default_rng(0)
    values = [(rng.integers(-20, 20, shape) / 8 + 1 / 16).astype(dtype) for shape in shapes]
    arrays = [laid_out(backend.to_device(np.asarray(v), place), layout) for v in values]
    return [md.Tensor(array, requires_grad=True) for array in arrays]


def compare(example: Example, shapes: Shapes, layout: str, dtype: str, place: str) -> None:
    found = []
    for plain in (True, False):
        with md.plain() if plain else md.enable_grad():
            tensors = operands(shapes, layout, dtype, place)
            out = example.function(*tensors)
            seed = md.Tensor(out._data * 0 + 1 / 2, requires_grad=True)
            first = md.grad(out, tensors, seed.detach(), retain_graph=True, allow_unused=True)
            recorded = md.grad(out, tensors, seed, create_graph=True, allow_unused=True)
            results = [out, *first, *recorded]
            if example.second and dtype == "float64":
                curved = [g for g in recorded if g is not None and g.requires_grad]
                ends = [(g * g).sum() for g in curved]
                results += md.grad(ends, [*tensors, seed], allow_unused=True) if ends else []
        found.append([None if r is None else (r.dtype, backend.to_numpy(r._data)) for r in results])
    for i, (expected, ours) in enumerate(zip(*found, strict=True)):
        assert (expected is None) == (ours is None), f"result {i} of {shapes}, {layout}"
        if expected is None or ours is None:
            continue
        assert ours[0] == expected[0]
        assert ours[1].shape == expected[1].shape
        size = np.abs(expected[1][np.isfinite(expected[1])]).max(initial=0)
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(
            ours[1].astype("float64"),
            expected[1].astype("float64"),
            rtol=tolerance,
            atol=tolerance * max(1.0, float(size)),
            err_msg=f"result {i} of {shapes}, {layout}, {dtype}",
        )
