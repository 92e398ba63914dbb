"""What one step of training leaves behind: gathered on the device while it happens, packed into one row at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.observe.meter import Known, Meter
from minidl.observe.recording import EVALUATION, PER_LAYER, TRAINING
from minidl.observe.statistics import norm


class Step:
    """The measurements of one step, for each layer; what never came stays None, is not `measured` and becomes NaN.

    Attributes:
        number: how many updates were made before it.
        recorded: whether it is measured at all.
        backwards: how many walks reached the model.
        loss: their sum, or None.
        phase: TRAINING or EVALUATION, the mode of the model when its layers were called; None before that.
        left_out: how many outputs of layers, made in evaluation mode in a step of training, were not counted.
    """

    def __init__(self, number: int, recorded: bool, names: Sequence[str], meters: Sequence[Meter]) -> None:
        self.number = number
        self.recorded = recorded
        self.backwards = 0
        self.loss: Any = None
        self.phase: str | None = None
        self.left_out = 0
        self.has_weights = False
        self._names = names
        self._meters = meters
        self._values: dict[str, list[Any]] = {}
        self._clear_outputs()

    def _clear_outputs(self) -> None:
        length = len(self._names)
        self._output_norms: list[Any] = [None] * length
        self._gradient_norms: list[Any] = [None] * length
        self._output_counts = [0] * length
        self._gradient_counts = [0] * length

    def takes(self, phase: str) -> bool:
        """Whether something from a forward in `phase` belongs to this step: training and evaluation are not mixed.

        In a step of training what was evaluated does not count; what came before training began is forgotten.
        """
        if self.phase != phase:
            if self.phase == TRAINING:
                self.left_out += 1
                return False
            if self.phase == EVALUATION:
                self._clear_outputs()
                self.loss = None
            self.phase = phase
        return True

    def add_output(self, layer: int, output_norm: Any, count: int) -> None:
        """A batch passed through `layer` with `count` output elements."""
        self._output_norms[layer] = _together(self._output_norms[layer], output_norm)
        self._output_counts[layer] += count

    def add_output_gradient(self, layer: int, gradient: Any) -> None:
        """dL/dh of `layer` came back, an array."""
        self.add_output_gradient_norm(layer, norm([gradient]), int(gradient.size))

    def add_output_gradient_norm(self, layer: int, gradient_norm: Any, count: int) -> None:
        """dL/dh of `layer` came back, with `count` elements."""
        self._gradient_norms[layer] = _together(self._gradient_norms[layer], gradient_norm)
        self._gradient_counts[layer] += count

    def add_loss(self, loss: Any) -> None:
        """`loss`, a raw array, was walked backward; several of one step add up, as their gradients do."""
        if loss.size == 1:
            value = loss.reshape(()).astype(np.float64)
            self.loss = value if self.loss is None else self.loss + value

    def read_norms_at_backward(self) -> None:
        """The norms as backward() left them: before anything (clipping) touches the gradients."""
        self._values["gradient_norm_at_backward"] = [x for meter in self._meters for x in meter.gradient_norms()]

    def read_gradients(self, known: Known) -> None:
        """The gradients as they are now; `known()` has norms that are known, by the id of the parameter's array."""
        found = [meter.gradients(known) for meter in self._meters]
        for field in found[0]:
            self._values[field] = [x for values in found for x in values[field]]

    def keep_weights(self) -> None:
        """Copy the weights, to compare them with what the update makes of them."""
        self._values["weight_norm"] = [x for meter in self._meters for x in meter.keep()]
        self.has_weights = True

    def read_update(self, distances: bool) -> None:
        """How far the weights are from where `keep_weights` saw them, and from the start."""
        if self.has_weights:
            self._values["update_norm"] = [x for meter in self._meters for x in meter.moved()]
        if distances:
            self._values["distance"] = [x for meter in self._meters for x in meter.distances()]
        self.has_weights = False

    def read_rates(self, rates: Mapping[str, tuple[Any, Any, Any]]) -> None:
        """What the optimizer says it did: multiplier, rate, whether the norm was floored."""
        nothing = (None, None, None)
        columns = zip(*(rates.get(name, nothing) for name in self._names), strict=True)
        self._values.update(zip(("multiplier", "rate", "floored"), map(list, columns), strict=True))

    def packed(self) -> tuple[Any, Any]:
        """All numbers as one float64 vector on the device: each field of PER_LAYER for all layers, then the loss.

        And a vector on the host: which of them were measured.
        """
        self._values["training"] = [float(self.phase == TRAINING)] * len(self._names)
        self._values["activation_rms"] = _rms(self._output_norms, self._output_counts)
        self._values["output_gradient_rms"] = _rms(self._gradient_norms, self._gradient_counts)
        nothing = [None] * len(self._names)
        values = [value for field in PER_LAYER for value in self._values.get(field, nothing)]
        values.append(self.loss)
        measured = np.array([value is not None for value in values])
        xp = backend.module_of(*self._output_norms, *self._gradient_norms, *self._values.get("weight_norm", nothing))
        if xp is np:
            return np.array(values, dtype=np.float64), measured  # NumPy makes NaN of None
        numbers: list[Any] = [np.nan if value is None else value for value in values]
        plain: dict[Any, Any] = {}  # plain numbers are brought to the device once each
        for i, value in enumerate(numbers):
            if not backend.is_array(value):
                key = repr(value)
                if key not in plain:
                    plain[key] = xp.full((), value, dtype=np.float64)
                numbers[i] = plain[key]
        return xp.concatenate([value.astype(np.float64).reshape(1) for value in numbers]), measured


def _together(a: Any, b: Any) -> Any:
    """The norm of two parts from the norm of each; a part that is not there counts nothing."""
    if a is None or b is None:
        return b if a is None else a
    return backend.module_of(a).hypot(a, b)


def _rms(norms: list[Any], counts: list[int]) -> list[Any]:
    return [None if x is None else x / count**0.5 for x, count in zip(norms, counts, strict=True)]
