"""depth_sweep: how fast the gradient falls from layer to layer, for networks of several depths and kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.checks import whole
from minidl.files.schema import NUMBERS, TEXT, WHOLE, Entry
from minidl.nn import Module
from minidl.observe.gradient_flow import GradientFlow
from minidl.observe.saved import SavedRecording
from minidl.observe.verdict import decades_per_layer
from minidl.tensors.tensor import Tensor


@dataclass(frozen=True, eq=False)
class DepthRecording(SavedRecording):
    """The slope of the back-propagated gradient at the start, for A kinds of network at D depths over S seeds.

    Attributes:
        kinds: (A,) what the networks are called: "tanh, glorot".
        depths: (D,) how many hidden layers they have.
        slope: (A, D, S) decades a layer by which the root mean square of dL/dh falls from the last hidden layer to the
            first; negative where it grows; infinity where a gradient is not finite, NaN where fewer than two layers
            have one other than 0.
        zero: (A, D, S) the share of hidden layers whose gradient is exactly 0.
    """

    kind: ClassVar[str] = "depth_sweep"
    schema: ClassVar[dict[str, Entry]] = {
        "kinds": Entry(TEXT, ("A",)),
        "depths": Entry(WHOLE, ("D",)),
        "slope": Entry(NUMBERS, ("A", "D", "S")),
        "zero": Entry(NUMBERS, ("A", "D", "S")),
    }

    kinds: tuple[str, ...]
    depths: Any
    slope: Any
    zero: Any

    def __repr__(self) -> str:
        return f"DepthRecording({', '.join(self.kinds)}; depths {self.depths.tolist()})"


def depth_sweep(
    makes: Mapping[str, Callable[[int], Module]],
    depths: Sequence[int],
    inputs: Any,
    labels: Any,
    seeds: int = 3,
    loss: Callable[[Any, Any], Any] = F.cross_entropy,
    progress: Callable[[str], None] = lambda text: None,
) -> DepthRecording:
    """Build each kind of network at each depth, walk backward once, and fit the slope over the hidden layers.

        makes = {"sigmoid": lambda depth: md.models.mlp((64, *[32] * depth, 10), "sigmoid")}
        md.observe.depth_sweep(makes, [5, 10, 20], inputs, labels)

    Args:
        makes: {name: function of the number of hidden layers that returns a new model}; it draws from `md.seed`, which
            is set to 0, 1, ... before.
        depths: the numbers of hidden layers, each at least 2.
        inputs, labels: one batch, arrays.
        seeds: how many networks of each kind.
        loss: of the model's output and the labels.
        progress: called with the name of what comes next.

    The stream of random numbers is afterwards where seed, depth and kind left it.

    Raises:
        ValueError: no kind, no depth, or a depth below 2.
    """
    if not makes or not len(depths):
        raise ValueError("expected at least one kind of network and one depth")
    depths = [whole(depth, "depth_sweep: a depth", 2) for depth in depths]
    whole(seeds, "depth_sweep: seeds")
    slope = np.full((len(makes), len(depths), seeds), np.nan)
    zero = np.zeros(slope.shape)
    for a, (name, make) in enumerate(makes.items()):
        for d, depth in enumerate(depths):
            progress(f"{name}, {depth} layers")
            for s in range(seeds):
                backend.seed(s)
                model = make(depth)
                with GradientFlow(model) as flow:
                    loss(model(Tensor(inputs)), labels).backward()
                hidden = flow.recording.output_gradient_rms[0, :-1]  # the last layer's h are the scores
                slope[a, d, s] = np.inf if np.isinf(hidden).any() else decades_per_layer(hidden)
                zero[a, d, s] = (hidden == 0).mean()
    return DepthRecording(tuple(makes), depths, slope, zero)
