"""Meter: measures weights and gradients of layers, one by one or many at once, and how far the weights have moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.nn import Parameter
from minidl.observe.layers import Layer, gradients_of
from minidl.observe.statistics import SAFE, count_of, max_abs, mean_abs, mean_and_max_abs, norm
from minidl.observe.together import Together
from minidl.optim.norms import joined

Known = Callable[[], Mapping[int, Any]]

MOST = 1 << 18  # numbers that are measured together: 1 MB in float32, which a processor's cache holds
LARGE = 1 << 15  # of an array of more numbers than this a copy costs more than the calls that are saved


def meters_of(layers: Sequence[Layer]) -> list[Meter]:
    """Meters that measure all of `layers`, in their order: neighbours together as long as they are small."""
    meters: list[Meter] = []
    group: list[Layer] = []
    for layer in layers:
        together = [array for member in (*group, layer) for array in _arrays(member)]
        apart = len({array.dtype for array in together}) > 1 or count_of(together) > MOST
        if group and (apart or _is_large(layer) or _is_large(group[-1])):
            meters.append(_meter(group))
            group = []
        group.append(layer)
    return [*meters, _meter(group)]


def _arrays(layer: Layer) -> list[Any]:
    return [p._data for p in (*layer.weights, *layer.biases)]


def _is_large(layer: Layer) -> bool:
    return any(array.size > LARGE for array in _arrays(layer))


def _meter(layers: Sequence[Layer]) -> Meter:
    arrays = [array for layer in layers for array in _arrays(layer)]
    alike = {(type(array), array.dtype) for array in arrays}
    one_by_one = len(alike) > 1 or _is_large(layers[0]) or any(not array.size for array in arrays)
    (kind, dtype), *_ = alike
    return Meter(layers) if one_by_one or kind is not np.ndarray or dtype not in SAFE else JointMeter(layers)


class Meter:
    """Measures layer by layer. Each result is a list, one number a layer; None where there is nothing to measure."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        self._before: list[list[Any]] = [[None] * len(layer.weights) for layer in layers]
        self._start: list[list[Any]] = []
        self._scratch_of: list[dict[str, Any]] = [{} for _ in layers]

    def gradient_norms(self) -> list[Any]:
        """The norm of the gradient of each layer, weights and biases together."""
        return [norm(gradients_of(layer.parameters)) for layer in self.layers]

    def gradients(self, known: Known) -> dict[str, list[Any]]:
        """The gradients as they are now; `known()` has norms that are known, by the id of the parameter's array."""
        found: dict[str, list[Any]] = {}
        norms = known()
        for layer, scratch in zip(self.layers, self._scratch_of, strict=True):
            weights, biases = gradients_of(layer.weights), gradients_of(layer.biases)
            weight_norm, bias_norm = _known_norm(layer.weights, norms), _known_norm(layer.biases, norms)
            weight_mean, weight_max = mean_and_max_abs(weights, scratch)
            values = {
                "weight_gradient_rms": None if weight_norm is None else weight_norm / count_of(weights) ** 0.5,
                "weight_gradient_mean": weight_mean,
                "weight_gradient_max": weight_max,
                "bias_gradient_mean": mean_abs(biases),
                "bias_gradient_max": max_abs(biases),
                "layer_gradient_norm": _both(weight_norm, bias_norm),
            }
            for field, value in values.items():
                found.setdefault(field, []).append(value)
        return found

    def keep(self) -> list[Any]:
        """Copy the weights, to compare them with what the update makes of them; returns their norms."""
        for layer, before in zip(self.layers, self._before, strict=True):
            for i, p in enumerate(layer.weights):
                before[i] = _copied(p._data, before[i])
        return [norm(before) for before in self._before]

    def moved(self) -> list[Any]:
        """How far the weights are from where `keep` saw them. Once after each `keep`: the copies become the update."""
        return [
            norm([_less(p._data, old) for p, old in zip(layer.weights, before, strict=True)])
            for layer, before in zip(self.layers, self._before, strict=True)
        ]

    def keep_start(self) -> None:
        """Copy the weights, from which `distances` are measured."""
        self._start = [[p._data.copy() for p in layer.weights] for layer in self.layers]

    def distances(self) -> list[Any]:
        """How far the weights are from where `keep_start` saw them."""
        return [
            norm([p._data - old for p, old in zip(layer.weights, start, strict=True)])
            for layer, start in zip(self.layers, self._start, strict=True)
        ]


class JointMeter(Meter):
    """Measures all of its layers at once; layer by layer where an array has moved to a device meanwhile."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        parts: list[Sequence[Parameter | None]] = [
            part or [None] for layer in layers for part in (layer.weights, layer.biases)
        ]  # two for each layer
        self._entries: list[Parameter | None] = [p for part in parts for p in part]
        sizes = [1 if p is None else p._data.size for p in self._entries]
        self._sizes = np.array(sizes)
        self._parts = np.cumsum([0, *(len(part) for part in parts)])[:-1]  # where each begins among the entries
        self._together = Together(sizes, next(p for p in self._entries if p is not None)._data.dtype)
        self._scratch = self._together.new_buffer()
        self._alone = False  # the weights are kept layer by layer
        self._kept: Any = None
        self._origin: Any = None

    def gradient_norms(self) -> list[Any]:
        there = self._load_gradients()
        if there is None:
            return super().gradient_norms()
        norms = self._by_part(np.hypot, self._together.norms(self._scratch))
        return _listed(np.hypot(norms[:, 0], norms[:, 1]), there.any(axis=1))

    def gradients(self, known: Known) -> dict[str, list[Any]]:
        there = self._load_gradients()
        if there is None:
            return super().gradients(known)
        norms = self._by_part(np.hypot, self._together.norms(self._scratch))
        sums, maxima = self._together.sums_and_maxima(self._scratch)
        counts = np.maximum(self._by_part(np.add, np.where(self._present, self._sizes, 0)), 1)
        means, largest = self._by_part(np.add, sums) / counts, self._by_part(np.maximum, maxima)
        weights, biases = there[:, 0], there[:, 1]
        return {
            "weight_gradient_rms": _listed(norms[:, 0] / np.sqrt(counts[:, 0]), weights),
            "weight_gradient_mean": _listed(means[:, 0], weights),
            "weight_gradient_max": _listed(largest[:, 0], weights),
            "bias_gradient_mean": _listed(means[:, 1], biases),
            "bias_gradient_max": _listed(largest[:, 1], biases),
            "layer_gradient_norm": _listed(np.hypot(norms[:, 0], norms[:, 1]), weights | biases),
        }

    def keep(self) -> list[Any]:
        if self._kept is None:
            self._kept = self._together.new_buffer()
        self._alone = not self._load_weights(self._kept)
        return super().keep() if self._alone else self._weight_norms(self._kept)

    def moved(self) -> list[Any]:
        return super().moved() if self._alone else self._moved_from(self._kept)

    def keep_start(self) -> None:
        self._start, self._origin = [], self._together.new_buffer()
        if not self._load_weights(self._origin):
            super().keep_start()

    def distances(self) -> list[Any]:
        return super().distances() if self._start else self._moved_from(self._origin)

    def _moved_from(self, place: Any) -> list[Any]:
        if not self._load_weights(self._scratch):
            return [None] * len(self.layers)  # they have moved to a device since
        np.subtract(self._scratch, place, out=self._scratch)
        return self._weight_norms(self._scratch)

    def _load_gradients(self) -> Any:
        """Which parts have a gradient, (layers, 2), after all were loaded; None if they are elsewhere."""
        arrays = [None if p is None or p._grad is None else p._grad._data for p in self._entries]
        if not self._together.load(arrays, self._scratch, in_order=False):
            return None
        self._present = np.array([array is not None for array in arrays])
        return self._by_part(np.logical_or, self._present)

    def _load_weights(self, buffer: Any) -> bool:
        return self._together.load([None if p is None else p._data for p in self._entries], buffer)

    def _weight_norms(self, buffer: Any) -> list[Any]:
        norms = self._by_part(np.hypot, self._together.norms(buffer))[:, 0].tolist()
        return [found if layer.weights else None for found, layer in zip(norms, self.layers, strict=True)]

    def _by_part(self, ufunc: Any, values: Any) -> Any:
        """`values`, one an entry, put together by weights and biases of each layer: (layers, 2)."""
        return ufunc.reduceat(values, self._parts).reshape(-1, 2)


def _copied(array: Any, into: Any) -> Any:
    """A copy of `array`, in the memory of an earlier copy if that fits."""
    if (
        type(into) is np.ndarray
        and type(array) is np.ndarray
        and (into.shape, into.dtype) == (array.shape, array.dtype)
    ):
        np.copyto(into, array)
        return into
    return array.copy()


def _less(array: Any, old: Any) -> Any:
    """array - old, in the memory of `old` if that can be."""
    if type(old) is np.ndarray and type(array) is np.ndarray and (old.shape, old.dtype) == (array.shape, array.dtype):
        return np.subtract(array, old, out=old)
    return array - old


def _listed(values: Any, there: Any) -> list[Any]:
    return [value if known else None for value, known in zip(values.tolist(), there.tolist(), strict=True)]


def _both(a: Any, b: Any) -> Any:
    """The norm of two parts from the norm of each; a part that is not there counts nothing."""
    return joined([part for part in (a, b) if part is not None]) if a is not None or b is not None else None


def _known_norm(parameters: Sequence[Parameter], known: Mapping[int, Any]) -> Any:
    """The norm of their gradients together, from those in `known` and its own; None if there is no element."""
    norms = []
    for p in parameters:
        if p._grad is not None and p._grad._data.size:
            found = known.get(id(p._data))
            norms.append(norm([p._grad._data]) if found is None else found)
    return joined(norms) if norms else None
