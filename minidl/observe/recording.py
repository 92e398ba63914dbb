"""FlowRecording: what a GradientFlow recorder saw, as plain arrays with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import Any

import numpy as np

from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.reading import fitting
from minidl.files.schema import NUMBERS, TEXT, WHOLE, Entry
from minidl.observe.bins import BINS, QUANTITIES
from minidl.observe.verdict import broken_steps, decades_per_layer, divergence_words, first_of_the_rest, flow_verdict

KIND = "gradient_flow"
FORMAT = 1
TRAINING, EVALUATION = "training", "evaluation"  # the mode of a model, and so the phase of a step
WEIGHT, GAIN = "weight", "gain"  # kinds of layers: what a matrix multiplies, or gains of normalised numbers

PER_LAYER = (
    "activation_rms",
    "output_gradient_rms",
    "weight_gradient_rms",
    "weight_gradient_mean",
    "weight_gradient_max",
    "bias_gradient_mean",
    "bias_gradient_max",
    "layer_gradient_norm",
    "gradient_norm_at_backward",
    "weight_norm",
    "update_norm",
    "distance",
    "multiplier",
    "rate",
    "floored",
    "training",
)
_ARRAYS = {
    "layers": Entry(TEXT, ("L",)),
    "outputs": Entry(TEXT, ("L",)),
    "steps": Entry(WHOLE, ("T",)),
    "loss": Entry(NUMBERS, ("T",)),
    "kinds": Entry(TEXT, ("L",)),
    **dict.fromkeys(PER_LAYER, Entry(NUMBERS, ("T", "L"))),
    "dtype": Entry(TEXT, ()),
    "notes": Entry(TEXT, ("N",)),
    "snapshots": Entry(WHOLE, ("S",)),
    "bins": Entry(NUMBERS, ("S", len(QUANTITIES), "L", BINS)),
    "tops": Entry(NUMBERS, ("S", len(QUANTITIES), "L")),
    "zeros": Entry(NUMBERS, ("S", len(QUANTITIES), "L")),
    "saturated": Entry(NUMBERS, ("S", "L")),
    "dead": Entry(NUMBERS, ("S", "L")),
}
_DISTRIBUTIONS = {name: _ARRAYS[name].shape or () for name in ("bins", "tops", "zeros", "saturated", "dead")}
_FLOW = PER_LAYER[: PER_LAYER.index("multiplier")]  # what runs through the layers, without what the optimizer reports


@dataclass(frozen=True, eq=False)
class FlowRecording:
    """The flow of gradients through the layers of a network, step by step.

    L layers stand in the order of `model.layers()`, input to output; T steps were recorded. Every field of shape
    (T, L) is float64 and NaN where there was nothing to measure (no bias, a frozen layer, no optimizer). What was
    measured and is not finite, NaN or infinite, reads infinity. Exact zeros are exact: a gradient that underflowed
    reads 0.

    Attributes:
        layers: the names, input to output.
        outputs: for each layer the name of the module whose output is its h (see `activation_rms`).
        steps: (T,) how many updates the optimizer had made before each recorded step.
        loss: (T,) the loss of the step: the sum of what was walked backward.
        activation_rms: root mean square of h, the output of the layer, or of the activation module called on it.
        output_gradient_rms: root mean square of dL/dh.
        weight_gradient_rms: root mean square of the gradient of the layer's weights (biases apart).
        weight_gradient_mean: the mean of its absolute values.
        weight_gradient_max: the largest of them.
        bias_gradient_mean: the mean absolute gradient of the layer's biases.
        bias_gradient_max: the largest.
        layer_gradient_norm: the Euclidean norm of the gradient of weights and biases together, as the optimizer got it.
        gradient_norm_at_backward: the same norm right after backward(): differs where gradients were clipped.
        weight_norm: the Euclidean norm of the weights (biases apart) before the update.
        update_norm: the Euclidean norm of what the update changed in them, measured.
        distance: the Euclidean norm of weights after the step less weights before the first one (biases apart); only if
            `GradientFlow(distances=True)` was asked for it.
        multiplier: what the layer rate made of the base rate.
        rate: the resulting learning rate of the layer.
        floored: 1 where the layer rate met a norm below the dtype's smallest normal number, else 0.
        training: 1 where the model was in training mode when the step's layers were called, 0 in evaluation mode.
        dtype: the dtype of the weights.
        notes: what a reader must know, in words: clipping, accumulation, a forgotten zero_grad, what was not seen.
        kinds: (L,) "weight", or "gain" of layers that only scale and shift, such as batch norm.
        snapshots: (S,) the steps at which distributions were taken; none unless `GradientFlow(distributions=True)` was
            asked for them. What they are is written in observe/bins.py, where also `bins` are turned into densities.
        bins, tops, zeros: (S, 4, L, BINS), (S, 4, L) and (S, 4, L) of the distributions of pre-activation, activation,
            dL/dh and dL/dW: how many numbers are in each bin, the exponent of the largest, and which part is exactly 0.
        saturated: (S, L) the part of h (of a sigmoid or tanh) that is within 1.5% of the range of its limits, where the
            derivative is below 6% of its largest; NaN for other layers.
        dead: (S, L) the part of a layer's units that are 0, or saturated, for every sample of the batch; NaN likewise.
    """

    layers: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: Any
    loss: Any
    activation_rms: Any
    output_gradient_rms: Any
    weight_gradient_rms: Any
    weight_gradient_mean: Any
    weight_gradient_max: Any
    bias_gradient_mean: Any
    bias_gradient_max: Any
    layer_gradient_norm: Any
    gradient_norm_at_backward: Any
    weight_norm: Any
    update_norm: Any
    distance: Any
    multiplier: Any
    rate: Any
    floored: Any
    training: Any
    dtype: str = "float32"
    notes: tuple[str, ...] = field(default=())
    kinds: tuple[str, ...] | None = None
    snapshots: Any = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    bins: Any = None
    tops: Any = None
    zeros: Any = None
    saturated: Any = None
    dead: Any = None

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32", "float64"):
            raise ValueError(f"expected float16, float32 or float64 as the dtype of the weights; got {self.dtype!r}")
        expected = (len(self.steps), len(self.layers))
        for name in PER_LAYER:
            shape = getattr(self, name).shape
            if shape != expected:
                raise ValueError(f"{name} must have one row a step and one column a layer, {expected}; got {shape}")
        if self.kinds is None:
            object.__setattr__(self, "kinds", (WEIGHT,) * len(self.layers))
        if len(self.loss) != len(self.steps) or len(self.outputs) != len(self.layers):
            raise ValueError(
                f"expected {len(self.steps)} losses and {len(self.layers)} outputs, one a step and one a layer; "
                f"got {len(self.loss)} and {len(self.outputs)}"
            )
        if len(self.kinds or ()) != len(self.layers):
            raise ValueError(f"expected {len(self.layers)} kinds, one a layer; got {len(self.kinds or ())}")
        for name, shape in _DISTRIBUTIONS.items():
            lengths: dict[int | str, int] = {"S": len(self.snapshots), "L": len(self.layers)}
            wanted = tuple(lengths.get(axis, axis) for axis in shape)
            found = getattr(self, name)
            if found is None:
                object.__setattr__(self, name, np.zeros(wanted))
            elif found.shape != wanted:
                raise ValueError(f"expected {name} of shape {wanted}; got {found.shape}")

    def __repr__(self) -> str:
        return f"FlowRecording({len(self.steps)} steps of {len(self.layers)} layers, {self.dtype})"

    @property
    def phases(self) -> tuple[str, ...]:
        """(T,) "training" or "evaluation": the mode that the model was in when the layers of the step were called."""
        return tuple(TRAINING if row.all() else EVALUATION for row in np.asarray(self.training) == 1)

    @property
    def update_ratio(self) -> Any:
        """(T, L) norm of the update over norm of the weights: by how much of itself each layer moved in a step.

        0/0, a layer that is zero and stays zero, counts as 0: nothing moved. Infinity over infinity is infinity.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where(self.update_norm == 0, 0.0, self.update_norm / self.weight_norm)
        return np.where(np.isinf(self.update_norm) | np.isinf(self.weight_norm), np.inf, ratio)

    def alike(self, field: str) -> Any:
        """(L,) between which layers `field` may be compared, as a slope over them does.

        Gradients of weights are compared with those of other weights, not of the gains of a normalisation. Activations,
        and dL/dh, are compared where h is the result of an activation (if it is in two layers at least): the scores of
        the last layer, and what a normalisation is given, are of another kind.
        """
        weights = np.array([kind == WEIGHT for kind in self.kinds or ()], dtype=bool)
        if not field.startswith(("activation", "output")):
            return weights
        active = np.array([output != name for output, name in zip(self.outputs, self.layers, strict=True)], dtype=bool)
        return active if active.sum() > 1 else weights

    def slope(self, field: str, step: int) -> float:
        """Decades a layer by which `field` falls from output to input at the row `step`, over the layers `alike`."""
        return decades_per_layer(getattr(self, field)[self.row(step)][self.alike(field)])

    @property
    def not_finite(self) -> Any:
        """(T, L) where a layer's activations, gradients, weights or update were not finite in a step."""
        return np.any([np.isinf(getattr(self, name)) for name in _FLOW], axis=0)

    @property
    def diverged_at(self) -> int | None:
        """The row of the step from which on the loss, or something in a layer, was never finite again, or None."""
        return first_of_the_rest(broken_steps(self.loss, self.not_finite))

    def row(self, step: int) -> int:
        """The row of this recording that a figure's `step` means: an index into `steps`, negative from the end.

        Raises:
            ValueError: nothing was recorded, or not so many steps.
        """
        count = len(self.steps)
        if not count:
            raise ValueError(
                "the recording holds no step: inside `with GradientFlow(model, optimizer)` run at least one forward, "
                "backward() and optimizer.step()"
            )
        if not -count <= step < count:
            raise ValueError(f"the recording has {count} steps, so step must be in {-count}..{count - 1}; got {step}")
        return step % count

    def divergence(self) -> list[str]:
        """When it diverged, and what else was not finite, as clauses; none where everything was finite."""
        gradients = np.isinf(self.output_gradient_rms) | np.isinf(self.weight_gradient_rms)
        return divergence_words(self.layers, self.steps, self.loss, self.not_finite, gradients)

    def verdict(self) -> str:
        """What the numbers say, in words, with the numbers."""
        return flow_verdict(
            self.layers,
            self.steps,
            self.output_gradient_rms,
            self.update_ratio,
            self.weight_gradient_rms,
            self.notes,
            loss=self.loss,
            not_finite=self.not_finite,
            alike=self.alike("output_gradient_rms"),
        )

    def followed_by(self, later: FlowRecording) -> FlowRecording:
        """The recording of a run that went on: this one and then `later`. What both have, `later` tells.

        Raises:
            ValueError: they are not of the same layers.
        """
        if (self.layers, self.dtype) != (later.layers, later.dtype):
            raise ValueError(f"expected the recording of the same layers going on; got {self!r} and {later!r}")
        if not len(later.steps):
            return self
        joined: dict[str, Any] = {}
        for name, entry in _ARRAYS.items():
            mine, its = getattr(self, name), getattr(later, name)
            if name == "notes":
                joined[name] = tuple(dict.fromkeys([*mine, *its]))
            elif entry.shape and entry.shape[0] in ("T", "S"):
                before = (self.steps if entry.shape[0] == "T" else self.snapshots) < later.steps[0]
                joined[name] = np.concatenate([mine[before], its])
            else:
                joined[name] = its
        return FlowRecording(**joined)

    def save(self, path: str | PathLike[str], about: Mapping[str, Any] | None = None) -> None:
        """Write an npz file of plain arrays, and `about`, plain data that say which run it was."""
        arrays = {f.name: _as_array(getattr(self, f.name)) for f in fields(self)}
        save_arrays(path, arrays, kind=KIND, format=FORMAT, meta=about)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> FlowRecording:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is no recording of this kind, or it is damaged; it is named.
        """
        return cls.load_with_about(path)[0]

    @classmethod
    def load_with_about(cls, path: str | PathLike[str]) -> tuple[FlowRecording, dict[str, Any]]:
        """As `load`, and what `save` was told about the run."""
        arrays, about = load_arrays(path, kind=KIND, format=FORMAT, schema=_ARRAYS)
        with fitting(path, "gradient flow"):
            return cls(**{name: _from_array(name, array) for name, array in arrays.items()}), about


def _as_array(value: Any) -> Any:
    if isinstance(value, (tuple, str)):
        return np.array(value, dtype=np.str_)
    return np.asarray(value)


def _from_array(name: str, array: Any) -> Any:
    if name == "dtype":
        return str(array)
    if name in ("layers", "outputs", "kinds", "notes"):
        return tuple(str(text) for text in array)
    return array


def as_recordings(recordings: FlowRecording | Sequence[FlowRecording]) -> list[FlowRecording]:
    """A list of recordings that can be drawn as seeds of one run: the same layers and steps.

    Raises:
        ValueError: there is none, or they differ in layers or steps.
    """
    seeds = [recordings] if isinstance(recordings, FlowRecording) else list(recordings)
    if not seeds:
        raise ValueError("expected at least one recording; got an empty list")
    for other in seeds[1:]:
        if other.layers != seeds[0].layers or not np.array_equal(other.steps, seeds[0].steps):
            raise ValueError(
                "recordings that are drawn as seeds of one run must have the same layers and steps; got "
                f"{seeds[0]!r} and {other!r}"
            )
    return seeds
