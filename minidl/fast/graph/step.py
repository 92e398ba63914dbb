"""GraphedStep: a training step captured once on a GPU, and then done again with one call.

The kernels of a network with small arrays take less time than Python needs to ask for them. `capture.py` explains what
is captured, and what cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minidl import backend
from minidl import functional as F
from minidl.autograd.modes import PLAIN, RECORD, mode
from minidl.autograd.variable import Variable, writes_of
from minidl.checks import whole
from minidl.errors import DTypeError, GraphError, ShapeError, describe
from minidl.fast.gpu import kernels
from minidl.fast.gpu import update as fused
from minidl.fast.graph import capture, unchanged
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.layer_view import LayerView
from minidl.optim.report import Seen
from minidl.tensors.tensor import Tensor

__all__ = ["GraphedStep"]


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

    The first `warm_up` calls do just that. The next one captures it, with inputs and labels in arrays of their own.
    From then on batches are copied into these, and each call is a *replay*. Rates are read by the GPU when it makes the
    step: `optimizer.lr` may be written, by a schedule for instance, at any time, and `weight_decay` and `scale` unless
    there is a layer rate.
    Dropout draws as it would without a capture. Nothing waits for the GPU. `p.grad` holds the gradients of the last
    step, and `optimizer.layer_report()` tells what it did; the arrays behind both are overwritten by the next step.

    A replay runs no Python: it does what was captured. A change that it would not notice (another array for a
    parameter, a buffer or the optimizer's memory; settings and other attributes of layers, loss and optimizer; training
    or evaluation; frozen parameters; hooks; a layer put in another's place) is refused; make a new GraphedStep then.
    Writing to the elements of parameters is seen, and `load_state_dict` of the model does that. A `forward` may leave
    Tensors in attributes for somebody to look at, but what it goes on from in the next step must be a buffer, to whose
    elements it writes. What it keeps or reads outside of model and loss is beyond what can be checked. Inputs get no
    gradient.

    Args:
        model: on the GPU; all of its parameters that are not frozen are the optimizer's.
        optimizer: SGD, Adam, AdamW, RMSprop or AdaGrad, with no layer rate or one that computes on the GPU and applies
            to the gradient (LayerSpecific, LARS).
        loss: loss(model's output, labels).
        warm_up: how many steps are made before one is captured, at least 1. A batch of another shape than the one
            before it is not captured, but one more.

    Attributes:
        steps: how many were made.

    Raises:
        DeviceError: the model is not on a GPU, or kernels cannot be compiled there.
        ValueError: what this optimizer computes on the host cannot be captured.
        GraphError: there are hooks; (in a call) the step waits for the GPU or copies from the host, something has
            changed since it was captured, or gradients are switched off.
        ShapeError, DTypeError: (in a call) inputs or labels differ from the captured ones.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Any] = F.cross_entropy,
        warm_up: int = 2,
    ) -> None:
        if not isinstance(model, Module) or not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"GraphedStep: expected a model and then its optimizer; got {describe(model)} and {describe(optimizer)}"
            )
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.warm_up = whole(warm_up, "GraphedStep: warm_up")
        self.steps = 0
        self._to_warm_up = self.warm_up
        self._form: Any = None  # shapes and dtypes in the last step of the warm-up,
        self._updated: list[tuple[str, Any]] = []  # the parameters that got a gradient in it,
        self._shown: list[tuple[str, str]] = []  # and the attributes in which it left Tensors
        self._captured: CapturedStep | None = None
        unchanged.check_can_be_captured(model, optimizer, loss)

    def __call__(self, inputs: Any, labels: Any) -> Tensor:
        """Make one step; returns its loss, a 0-d Tensor on the GPU without history."""
        if not mode.get() & RECORD:
            raise GraphError("GraphedStep: a training step needs gradients, which no_grad() has switched off")
        batch = tuple(x._data if isinstance(x, Tensor) else backend.asarray(x) for x in (inputs, labels))
        form = [(x.shape, x.dtype) for x in batch]
        if mode.get() & PLAIN or (self._captured is None and (self._to_warm_up > 0 or form != self._form)):
            loss = self._warm_up(batch)
            self._to_warm_up, self._form = max(0, self._to_warm_up - 1), form
        else:
            loss = self._replay(batch)
        self.steps += 1
        return loss

    def __repr__(self) -> str:
        return f"GraphedStep({type(self.model).__name__}, {self.optimizer!r}; {self.steps} steps)"

    def _warm_up(self, batch: tuple[Any, ...]) -> Tensor:
        before = unchanged.Snapshot(self.model, self.optimizer, self.loss)
        loss = self._forward_backward(*(backend.to_device(x, "cupy") for x in batch))
        self._updated = [named for layer in self.optimizer.layers for named in fused.taking_part(layer)]
        self._shown = before.shown()
        self.optimizer.step()
        return loss.detach()

    def _forward_backward(self, inputs: Any, labels: Any) -> Tensor:
        loss: Tensor = self.loss(self.model(Tensor(inputs)), Tensor(labels))
        self.optimizer.zero_grad()
        loss.backward()
        return loss

    def _replay(self, batch: tuple[Any, ...]) -> Tensor:
        if self._captured is None:
            self._captured = self._capture(batch)
        captured, optimizer = self._captured, self.optimizer
        unchanged.refuse_changes(captured.facts, self._facts(captured.shown))
        _put(batch, captured.batch)
        captured.rates.put(fused.numbers(optimizer, captured.updated))
        captured.graph.launch()

        fused.count(optimizer, captured.updated)
        optimizer.step_count += 1
        for buffer in captured.written:
            writes_of(buffer).bump()
        for update in captured.updated:
            update.parameter._grad = Tensor(update.gradient)
        for shown in captured.shown:
            shown.attributes[shown.place[1]] = shown.value
        gradients = iter(update.parameter._grad for update in captured.updated)
        optimizer.remember([_seen_anew(seen, optimizer.lr, gradients) for seen in captured.report])
        return Tensor(captured.loss.copy())

    def _facts(self, shown: list[unchanged.Shown]) -> unchanged.Facts:
        """What a replay relies on: not on the Tensors that a step leaves in attributes."""
        found = unchanged.facts(self.model, self.optimizer, self.loss)
        for tensor in shown:
            found.pop(tensor.place, None)
        return found

    def _capture(self, batch: tuple[Any, ...]) -> CapturedStep:
        unchanged.check_can_be_captured(self.model, self.optimizer, self.loss)
        xp, optimizer = backend.module("cupy"), self.optimizer
        places = tuple(xp.empty(x.shape, dtype=x.dtype) for x in batch)
        rates = Rates(xp, len(self._updated))
        fused.prepare(optimizer, self._updated)  # zeros made while capturing would be zeros again in every replay
        before = unchanged.Snapshot(self.model, optimizer, self.loss, self._shown)

        def work() -> tuple[Any, list[fused.Update], list[Seen]]:
            loss = self._forward_backward(*places)
            updated = [name for layer in optimizer.layers for name, _ in fused.taking_part(layer)]
            if updated != [name for name, _ in self._updated]:
                self._to_warm_up = self.warm_up
                raise GraphError(
                    "GraphedStep: while it was captured other parameters got a gradient than in the step before; a "
                    "step must be the same each time. The next calls warm up again"
                )
            if not fused.has_kernel(optimizer, self._updated):
                raise GraphError(
                    "GraphedStep: there is no kernel for parameters that share memory, nor for gradients of another "
                    "shape or dtype than theirs"
                )
            updates, seen = fused.planned(optimizer)
            fused.launch(optimizer, updates, rates.live)
            return loss._data, updates, seen

        try:
            graph, (loss, updates, seen) = capture.captured(work)
            shown = before.assigned()
        except BaseException as error:
            optimizer.zero_grad()  # the gradients lie in arrays that nothing was written to
            before.undo()
            _explain(error)
            raise
        kept = unchanged.objects(self.model, optimizer, self.loss)
        facts, written = self._facts(shown), before.written()
        return CapturedStep(graph, places, loss, updates, written, seen, rates, shown, facts, kept)


class CapturedStep(NamedTuple):
    """A step that was captured.

    Attributes:
        graph: does it.
        batch: the arrays that inputs and labels are copied into.
        loss: its raw loss.
        updated: the parameters with their raw gradients, written in every replay.
        written: the buffers that are written too.
        report: the optimizer's views of its layers, and their multipliers.
        rates: the optimizer's numbers on the device.
        shown: the Tensors that forward leaves in attributes.
        facts: what must be as it was.
        kept: the objects that are known by their `id`.
    """

    graph: capture.Graph
    batch: tuple[Any, ...]
    loss: Any
    updated: list[fused.Update]
    written: list[Variable]
    report: list[Seen]
    rates: Rates
    shown: list[unchanged.Shown]
    facts: unchanged.Facts
    kept: list[Any]


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
    """Copy a batch into the captured arrays."""
    for name, x, place in zip(("inputs", "labels"), batch, places, strict=True):
        if x.shape != place.shape or x.dtype != place.dtype:
            smaller = ". A smaller last batch: Loader(..., drop_last=True)" if x.shape[1:] == place.shape[1:] else ""
            raise (ShapeError if x.shape != place.shape else DTypeError)(
                f"GraphedStep: expected {name} of shape {place.shape} and dtype {place.dtype}, as captured; got "
                f"{x.shape} and {x.dtype}{smaller}"
            )
    for x, place in zip(batch, places, strict=True):
        place[...] = backend.to_device(x, "cupy")


def _seen_anew(seen: Seen, lr: float, gradients: Iterator[Any]) -> Seen:
    """The same for another step: norms that a replay computes are kept, others forgotten, which are the last step's."""
    view = seen.view
    fresh = LayerView(view.name, view.params, view.gradients, (), view.step, view.decays)
    fresh.floored, fresh._norms = view.floored, view._norms
    return Seen(fresh, seen.multipliers, lr, [writes_of(next(gradients)) for _ in view.params])


def _explain(error: BaseException) -> None:
    """Say what a capture cannot hold, if CUDA or CuPy have refused something."""
    if isinstance(error, MemoryError):
        backend.explain_memory(error)
    elif isinstance(error, RuntimeError) and not isinstance(error, GraphError):
        raise GraphError(
            f"GraphedStep: this step cannot be captured ({error}). Nothing in it may wait for the GPU (float(), "
            f"bool(), .item(), print) or copy from the host to it: make arrays (md.tensor, md.zeros, an index "
            f"[[0, 2]], an operand [1.0, 2.0]) once, outside. A product of raw arrays is "
            f"F.matmul(x, y), not x @ y. The error above this one shows where it is"
        ) from error
