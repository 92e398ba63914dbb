"""GraphedStep: a training step recorded once on a GPU, and then done again with one call.

For networks whose arrays are small a GPU is faster than Python can ask it to be. What the recording is, and what it
cannot hold, is explained in `backend/graphs.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minidl import backend
from minidl import functional as F
from minidl.backend import graphs, kernels
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError
from minidl.functional.options import whole
from minidl.modes import ANOMALY, RECORD, mode
from minidl.nn import Module
from minidl.optim import LARS, LayerSpecific, Optimizer, Uniform, fused
from minidl.optim.layer_rates import LayerView
from minidl.tensor import Tensor

__all__ = ["GraphedStep"]

RATES = (Uniform, LayerSpecific, LARS)  # layer rates that compute on the device, and the same in every step
PLAIN = (bool, int, float, str, tuple, type(None))  # what settings are


class GraphedStep:
    """Forward, backward and update as one launch, for a model on a GPU and batches of one shape.

        step = md.GraphedStep(model, optimizer)
        for inputs, labels in loader:                   # Loader(..., drop_last=True)
            loss = step(inputs, labels)

    Every call is one training step, the same as

        loss = loss_function(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    The first `warm_up` calls do just that. The next one records it, with inputs and labels in arrays of their own, into
    which the batches are copied from then on. Rates are read by the GPU when it makes the step: `optimizer.lr` may be
    written, by a schedule for instance, at any time, and `weight_decay` and `scale` unless there is a layer rate.
    Dropout draws as it would without a recording. Nothing waits for the GPU. `p.grad` holds the gradients of the last
    step, in arrays that the next step overwrites, and `optimizer.layer_report()` tells what it did.

    A replay runs no Python: it does what was recorded. A change that it would not notice (another array for a
    parameter, a buffer or the optimizer's memory; settings, such as momentum or a probability; training or evaluation;
    frozen parameters; hooks; a layer put in another's place) is refused; make a new GraphedStep then. Writing to the
    elements of parameters is seen, and `load_state_dict` of the model does that. What a `forward` keeps elsewhere, or
    decides by a value, is beyond what can be checked.

    Args:
        model: on the GPU; all of its parameters that are not frozen are the optimizer's.
        optimizer: SGD, Adam, AdamW, RMSprop or AdaGrad, with no layer rate or one that computes on the GPU and applies
            to the gradient (LayerSpecific, LARS).
        loss: loss(model's output, labels).
        warm_up: how many steps are made before one is recorded, at least 1.

    Attributes:
        steps: how many were made.

    Raises:
        DeviceError: the model is not on a GPU, or kernels cannot be compiled there.
        ValueError: what this optimizer computes on the host cannot be recorded.
        GraphError: there are hooks; (in a call) the step waits for the GPU or copies from the host, something has
            changed since it was recorded, or gradients are switched off.
        ShapeError, DTypeError: (in a call) inputs or labels differ from the recorded ones.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Any] = F.cross_entropy,
        warm_up: int = 2,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.warm_up = whole(warm_up, "GraphedStep: warm_up")
        self.steps = 0
        self._updated: list[tuple[str, Any]] = []  # the parameters that got a gradient in the last step of the warm-up
        self._recorded: Recorded | None = None
        _check(model, optimizer)

    def __call__(self, inputs: Any, labels: Any) -> Tensor:
        """Make one step; returns its loss, a 0-d Tensor on the GPU without history."""
        if not mode.get() & RECORD:
            raise GraphError("GraphedStep: a training step needs gradients, which no_grad() has switched off")
        batch = tuple(x._data if isinstance(x, Tensor) else backend.asarray(x) for x in (inputs, labels))
        loss = self._warm_up(batch) if self.steps < self.warm_up else self._replay(batch)
        self.steps += 1
        return loss

    def _warm_up(self, batch: tuple[Any, ...]) -> Tensor:
        loss = self._forward_backward(*(backend.to_device(x, "cupy") for x in batch))
        self._updated = [named for layer in self.optimizer.layers for named in fused.taking_part(layer)]
        self.optimizer.step()
        return loss.detach()

    def _forward_backward(self, inputs: Any, labels: Any) -> Tensor:
        loss: Tensor = self.loss(self.model(Tensor(inputs)), Tensor(labels))
        self.optimizer.zero_grad()
        loss.backward()
        return loss

    def _replay(self, batch: tuple[Any, ...]) -> Tensor:
        if self._recorded is None:
            self._recorded = self._record(batch)
        recorded, optimizer = self._recorded, self.optimizer
        _refuse_changes(recorded.relied_on, _relied_on(self.model, optimizer))
        _put(batch, recorded.batch)
        recorded.rates.put(fused.numbers(optimizer, recorded.updated))
        recorded.graph.launch()

        fused.count(optimizer, recorded.updated)
        optimizer.step_count += 1
        for step, gradient in zip(recorded.updated, recorded.gradients, strict=True):
            step.parameter._grad = gradient
        optimizer._last = [(_seen_anew(view), multipliers, optimizer.lr) for view, multipliers in recorded.report]
        return Tensor(recorded.loss.copy())

    def _record(self, batch: tuple[Any, ...]) -> Recorded:
        _check(self.model, self.optimizer)
        xp, optimizer = backend.module("cupy"), self.optimizer
        places = tuple(xp.empty(x.shape, dtype=x.dtype) for x in batch)
        rates = Rates(xp, len(self._updated))
        fused.prepare(optimizer, self._updated)  # zeros made while recording would be zeros again in every replay
        report = optimizer._last

        def work() -> tuple[Any, list[fused.Trained]]:
            loss = self._forward_backward(*places)
            updated = [name for layer in optimizer.layers for name, _ in fused.taking_part(layer)]
            if updated != [name for name, _ in self._updated]:
                raise GraphError(
                    "GraphedStep: while recording other parameters got a gradient than in the step before; record a "
                    "step that is always the same"
                )
            steps = fused.planned(optimizer)
            if steps is None:
                raise GraphError("GraphedStep: there is no kernel for gradients of another shape or dtype than theirs")
            fused.launch(optimizer, steps, rates.live)
            return loss._data, steps

        try:
            graph, (loss, steps) = graphs.recorded(work)
        except BaseException as error:
            optimizer.zero_grad()  # the gradients lie in arrays that nothing was written to
            optimizer._last = report
            _explain(error)
            raise
        views = [(view, multipliers) for view, multipliers, _ in optimizer._last]
        gradients = [step.parameter._grad for step in steps]
        return Recorded(graph, places, loss, steps, gradients, views, rates, list(_relied_on(self.model, optimizer)))


class Recorded(NamedTuple):
    """A step that was recorded.

    Attributes:
        graph: does it.
        batch: the arrays that inputs and labels are copied into.
        loss: its raw loss.
        updated, gradients: the parameters and their `.grad`, written in every replay.
        report: the optimizer's views of its layers, and their multipliers.
        rates: the optimizer's numbers on the device.
        relied_on: what must be as it was; see `_relied_on`.
    """

    graph: graphs.Graph
    batch: tuple[Any, ...]
    loss: Any
    updated: list[fused.Trained]
    gradients: list[Any]
    report: list[tuple[LayerView, list[Any]]]
    rates: Rates
    relied_on: list[tuple[str, str, Any]]


class Rates:
    """The optimizer's table of numbers on the device, which a replay reads."""

    def __init__(self, xp: Any, parameters: int) -> None:
        self.live = xp.zeros((parameters, kernels.NUMBERS), dtype="float64")
        self._sent: Any = None

    def put(self, table: Any) -> None:
        """Send the table if it is another than before."""
        if self._sent is None or (table != self._sent).any():
            kernels.put_numbers(self.live, table)
            self._sent = table


def _put(batch: tuple[Any, ...], places: tuple[Any, ...]) -> None:
    """Copy a batch into the recorded arrays."""
    for name, x, place in zip(("inputs", "labels"), batch, places, strict=True):
        if x.shape != place.shape or x.dtype != place.dtype:
            raise (ShapeError if x.shape != place.shape else DTypeError)(
                f"GraphedStep: expected {name} of shape {place.shape} and dtype {place.dtype}, as recorded; got "
                f"{x.shape} and {x.dtype}. A smaller last batch: Loader(..., drop_last=True)"
            )
    for x, place in zip(batch, places, strict=True):
        place[...] = backend.to_device(x, "cupy")


def _seen_anew(view: LayerView) -> LayerView:
    """The view for another step: norms that a replay computes are kept, others forgotten, which are the last step's."""
    fresh = LayerView(view.name, view.params, view.gradients, (), view.step, view.decays)
    fresh.floored, fresh._norms = view.floored, view._norms
    return fresh


# ---- what can be recorded


def _check(model: Module, optimizer: Optimizer) -> None:
    """Refuse what cannot be recorded and can be seen beforehand."""
    devices = {backend.device_of(p._data) for p in model.parameters()}
    if devices != {"cupy"}:
        raise DeviceError(f"GraphedStep records work on a GPU, and the model is on {' and '.join(sorted(devices))}")
    if not kernels.can_update([p._data for p in model.parameters()]):
        raise DeviceError("GraphedStep needs kernels, which there are for parameters of one floating dtype on a GPU")
    rate, kind = optimizer.layer_rate, type(optimizer).__name__
    if optimizer.layer_slots:
        raise ValueError(f"GraphedStep: {kind} with a rule for whole layers has no kernel; leave that option out")
    if fused.method_of(optimizer) is None or type(rate) not in RATES:
        raise ValueError(
            f"GraphedStep: expected SGD, Adam, AdamW, RMSprop or AdaGrad, with no layer rate, LayerSpecific or LARS; "
            f"what {kind} with {rate!r} computes on the host would stay what it was when recorded"
        )
    own = {id(p) for _, p in optimizer._parameters()}
    others = [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in own]
    if others:
        raise ValueError(
            f"GraphedStep: the gradients of {', '.join(others[:3])} would add up from step to step, since the "
            f"optimizer does not have them; freeze them, requires_grad = False"
        )
    hooked = [where for where, what, value in _relied_on(model, optimizer) if what == "hooks" and value]
    if hooked or mode.get() & ANOMALY:
        reason = f"hooks of {', '.join(hooked)}" if hooked else "detect_anomaly(), which looks at every array"
        raise GraphError(f"GraphedStep: a replay runs no Python, so not {reason} either")


def _relied_on(model: Module, optimizer: Optimizer) -> Iterator[tuple[str, str, Any]]:
    """(where, what, value) of all that a replay takes to be as it was recorded: settings, and arrays by their identity.

    Numbers that go to the device with every step (`fused.numbers`) are not among them.
    """
    for name, module in model.named_modules():
        where, hooks = name or "the model", module._hooks
        yield where, "module", module
        yield where, "hooks", hooks is not None and bool(hooks.pre or hooks.forward or hooks.backward)
        for key, value in vars(module).items():
            if isinstance(value, Tensor):
                yield where, key, value
                yield where, key, value._data
                yield where, "hooks", value._extras is not None and bool(value._extras.hooks)
                yield where, "requires_grad", value._requires_grad
            elif type(value) in PLAIN:
                yield where, key, value
    yield "the optimizer", "hooks", bool(optimizer._pre_hooks or optimizer._post_hooks)
    method = fused.method_of(optimizer)
    yield "the optimizer", "settings", None if method is None else method.constants(optimizer)
    rate = optimizer.layer_rate
    yield "the optimizer", "layer_rate", rate
    yield "the layer rate", "settings", tuple(vars(rate).items())
    if type(rate) is not Uniform:  # it may have looked at the gradients with their decay
        yield "the optimizer", "weight_decay", optimizer.weight_decay
        yield "the optimizer", "scales", tuple(optimizer.scales.items())
    for name, state in optimizer.state.items():
        for slot, value in state.items():
            if slot != "steps":
                yield name, slot, value
    yield "md.detect_anomaly()", "mode", mode.get() & ANOMALY


def _refuse_changes(recorded: list[tuple[str, str, Any]], now: Iterator[tuple[str, str, Any]]) -> None:
    """Raise if something that a replay relies on has changed."""
    found = list(now)
    for (_, _, before), (where, what, value) in zip(recorded, found, strict=False):
        if before is not value and not (type(value) in PLAIN and before == value):
            raise GraphError(
                f"GraphedStep: {what!r} of {where!r} is not what it was when the step was recorded, and a replay would "
                f"not notice; put it back, or make a new GraphedStep"
            )
    if len(found) != len(recorded):
        raise GraphError("GraphedStep: the model or the optimizer has other parts than when the step was recorded")


def _explain(error: BaseException) -> None:
    """Say what a recording cannot hold, if CUDA or CuPy have refused something."""
    if isinstance(error, MemoryError):
        backend.explain_memory(error)
    elif isinstance(error, RuntimeError) and not isinstance(error, GraphError):
        raise GraphError(
            f"GraphedStep: this step cannot be recorded ({error}). Nothing in it may wait for the GPU (float(), "
            f"bool(), .item(), print) or copy from the host to it (md.tensor of a list or array); the error above this "
            f"one shows where it does"
        ) from error
