"""optimizer_paths: the ways of several optimizers over a function of two variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl.autograd.modes import no_grad
from minidl.checks import whole
from minidl.errors import GraphError, describe
from minidl.files.schema import NUMBERS, TEXT, Entry
from minidl.nn import Parameter
from minidl.observe.saved import SavedRecording
from minidl.optim import Optimizer
from minidl.tensors.tensor import Tensor

_GRID = 121  # points along each side of the picture


@dataclass(frozen=True, eq=False)
class PathsRecording(SavedRecording):
    """The ways of K optimizers over a function f(x, y), T steps each from the same point.

    Attributes:
        names: (K,) of the optimizers.
        path: (K, T + 1, 2) where each stood; not finite once it has diverged.
        loss: (K, T + 1) f there.
        x, y: (W,) and (H,) where `height` was computed.
        height: (H, W) f on the grid.
    """

    kind: ClassVar[str] = "optimizer_paths"
    schema: ClassVar[dict[str, Entry]] = {
        "names": Entry(TEXT, ("K",)),
        "path": Entry(NUMBERS, ("K", "T", 2)),
        "loss": Entry(NUMBERS, ("K", "T")),
        "x": Entry(NUMBERS, ("W",)),
        "y": Entry(NUMBERS, ("H",)),
        "height": Entry(NUMBERS, ("H", "W")),
    }

    names: tuple[str, ...]
    path: Any
    loss: Any
    x: Any
    y: Any
    height: Any

    def __repr__(self) -> str:
        return f"PathsRecording({', '.join(self.names)}; {self.path.shape[1] - 1} steps)"


def optimizer_paths(
    function: Callable[[Any], Tensor],
    start: Sequence[float],
    optimizers: Mapping[str, Callable[[list[Parameter]], Optimizer]],
    steps: int,
    limits: Sequence[Sequence[float]],
) -> PathsRecording:
    """Let several optimizers go down the same function of two variables, in float64.

        def ravine(p):
            return 0.5 * (p[0] ** 2 + 25 * p[1] ** 2)

        md.observe.optimizer_paths(
            ravine, (-4.0, 1.0), {"SGD": lambda ps: md.optim.SGD(ps, lr=0.07)}, steps=40, limits=((-5, 5), (-2, 2))
        )

    Args:
        function: of p, a Tensor (2, ...) whose p[0] and p[1] are x and y; it returns f(x, y), element by element.
        start: (x, y) where all begin.
        optimizers: {name: function that makes the optimizer of a list with one Parameter (2,)}.
        steps: how many steps each makes.
        limits: ((x low, x high), (y low, y high)) of the picture.

    Raises:
        ValueError: no optimizer, no step, or limits that are none.
        GraphError: the function returns no Tensor with a history.
    """
    if not optimizers:
        raise ValueError("optimizer_paths: expected {name: function that makes an optimizer} with at least one of them")
    whole(steps, "optimizer_paths: steps")
    (left, right), (low, high) = limits
    if not (left < right and low < high):
        raise ValueError(f"optimizer_paths: expected limits ((x low, x high), (y low, y high)); got {limits!r}")
    x, y = np.linspace(left, right, _GRID), np.linspace(low, high, _GRID)
    with no_grad():
        height = function(Tensor(np.stack(np.meshgrid(x, y)))).numpy()
    ways = [_walk(function, start, make, steps) for make in optimizers.values()]
    return PathsRecording(tuple(optimizers), [path for path, _ in ways], [loss for _, loss in ways], x, y, height)


def _walk(function: Any, start: Sequence[float], make: Any, steps: int) -> tuple[Any, Any]:
    """Where it went, and how high it was there."""
    p = Parameter(Tensor(np.array(start, dtype=np.float64)))
    optimizer = make([p])
    path, losses = np.full((steps + 1, 2), np.nan), np.full(steps + 1, np.nan)
    for step in range(steps + 1):
        loss = function(p)
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            raise GraphError(f"optimizer_paths: expected a function of p that gives a Tensor; it gave {describe(loss)}")
        path[step], losses[step] = p.numpy(), loss.item()
        if step == steps or not np.isfinite(losses[step]):
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return path, losses
