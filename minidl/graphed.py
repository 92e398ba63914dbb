"""GraphedStep: a training step recorded once on a GPU, and then done again with one call.

For networks whose arrays are small a GPU is faster than Python can ask it to be. What the recording is, and what it
cannot hold, is explained in `backend/graphs.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.autograd import version_of
from minidl.backend import graphs, kernels
from minidl.errors import DeviceError, GraphError, ShapeError
from minidl.functional.options import whole
from minidl.modes import ANOMALY, mode
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.fused import Trained, fused_step, method_of, numbers
from minidl.tensor import Tensor

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

    The first `warm_up` calls do just that. The next one records it, with inputs and labels in arrays of their own, into
    which the batches are copied from then on. Rates are read by the GPU when it makes the step: `optimizer.lr` may be
    written, by a schedule for instance, at any time. Dropout draws as it would without a recording. Nothing waits for
    the GPU. `p.grad` holds the gradients of the last step, in arrays that the next step overwrites, and
    `optimizer.layer_report()` tells what it did.

    A replay runs no Python, so that hooks are not called, and `forward` cannot take another branch. Weights must stay
    in their arrays: `p.data[...] = x` is seen, after `p.data = x` or `load_state_dict` make a new GraphedStep.

    Args:
        model: on the GPU.
        optimizer: SGD, Adam, AdamW, RMSprop or AdaGrad, with no layer rate or one that computes on the GPU and applies
            to the gradient (LayerSpecific, LARS).
        loss: loss(model's output, labels).
        warm_up: how many steps are made before one is recorded.

    Raises:
        DeviceError: the model is not on a GPU, or kernels cannot be compiled there.
        ValueError: what this optimizer computes on the host cannot be recorded.
        GraphError: there are hooks, or (in the call that records) the step waits for the GPU or copies to it.
        ShapeError: (in a call) inputs or labels differ from the recorded ones in shape or dtype.
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
        self._graph: graphs.Graph | None = None
        self._inputs: tuple[Any, ...] = ()  # raw arrays, into which every batch is copied
        self._loss: Any = None
        self._trained: list[Trained] = []
        self._arrays: list[Any] = []  # of the parameters, as they were recorded
        self._live: Any = None  # the optimizer's table of numbers, on the GPU
        self._table: Any = None  # what was last written to it
        _check(model, optimizer)

    def __call__(self, inputs: Any, labels: Any) -> Tensor:
        """Make one step; returns its loss, a 0-d Tensor on the GPU without history."""
        self.steps += 1
        batch = tuple(x._data if isinstance(x, Tensor) else backend.asarray(x) for x in (inputs, labels))
        if self.steps <= self.warm_up:
            loss = self._forward_backward(*(backend.to_device(x, "cupy") for x in batch))
            self.optimizer.step()
            return loss.detach()
        if self._graph is None:
            self._record(batch)
            self._put(batch)
        else:
            self._check_unchanged()
            self._put(batch)
            for step in self._trained:
                self.optimizer.state[step.name]["steps"] += 1
        self._put_rates()
        assert self._graph is not None
        self._graph.launch()
        self._after()
        return Tensor(self._loss.copy())

    def _forward_backward(self, inputs: Any, labels: Any) -> Tensor:
        loss: Tensor = self.loss(self.model(Tensor(inputs)), Tensor(labels))
        self.optimizer.zero_grad()
        loss.backward()
        return loss

    def _record(self, batch: tuple[Any, ...]) -> None:
        _check(self.model, self.optimizer)
        xp = backend.module("cupy")
        self._inputs = tuple(xp.empty(x.shape, dtype=x.dtype) for x in batch)
        trained = [p for layer in self.optimizer.layers for _, p in layer.parameters if p.grad is not None]
        self._live = xp.zeros((len(trained), kernels.NUMBERS), dtype=np.float64)
        self._table = None

        def work() -> Any:
            loss = self._forward_backward(*self._inputs)
            self._trained = fused_step(self.optimizer, self._live) or []
            return loss._data

        try:
            self._graph, self._loss = graphs.recorded(work)
            if len(self._trained) != len(trained):
                raise GraphError("GraphedStep: other parameters than in the steps before got a gradient")
        except Exception as error:
            self.optimizer.zero_grad()  # the gradients lie in arrays that nothing was written to
            self._graph = None
            if isinstance(error, GraphError):
                raise
            raise GraphError(
                f"GraphedStep: this step cannot be recorded ({error}). Nothing in it may wait for the GPU (float(), "
                f"bool(), .item(), print) or copy to it; the error above this one shows where it does"
            ) from error
        self._arrays = [step.parameter._data for step in self._trained]

    def _check_unchanged(self) -> None:
        """What was recorded must still be what is trained."""
        for step, array in zip(self._trained, self._arrays, strict=True):
            if step.parameter._data is not array:
                raise GraphError(
                    f"GraphedStep: parameter {step.name!r} has got another array since the step was recorded; write to "
                    f"its elements, or make a new GraphedStep"
                )
        if self.optimizer._pre_hooks or self.optimizer._post_hooks:
            raise GraphError("GraphedStep: a replay would not call the optimizer's hooks; remove them")

    def _put(self, batch: tuple[Any, ...]) -> None:
        """Copy a batch into the recorded arrays."""
        for name, x, place in zip(("inputs", "labels"), batch, self._inputs, strict=True):
            if x.shape != place.shape or x.dtype != place.dtype:
                raise ShapeError(
                    f"GraphedStep: expected {name} of shape {place.shape} and dtype {place.dtype}, as recorded; got "
                    f"{x.shape} and {x.dtype}. A smaller last batch: Loader(..., drop_last=True)"
                )
            if backend.device_of(x) == "cupy":
                place[...] = x
            else:
                place.set(np.ascontiguousarray(x))

    def _put_rates(self) -> None:
        """Send the optimizer's numbers for this step, if they are others than before."""
        table = numbers(self.optimizer, self._trained)
        if self._table is None or not np.array_equal(table, self._table):
            kernels.put_numbers(self._live, table)
            self._table = table

    def _after(self) -> None:
        """What the host keeps of a step."""
        for step in self._trained:
            version_of(step.parameter).bump()
        optimizer = self.optimizer
        optimizer.step_count += 1
        optimizer._last = [(view, multipliers, optimizer.lr) for view, multipliers, _ in optimizer._last]


def _check(model: Module, optimizer: Optimizer) -> None:
    """Refuse what cannot be recorded and can be seen beforehand."""
    devices = {backend.device_of(p._data) for p in model.parameters()}
    if devices != {"cupy"}:
        raise DeviceError(f"GraphedStep records work on a GPU, and the model is on {' and '.join(sorted(devices))}")
    if not kernels.can_update([p._data for p in model.parameters()]):
        raise DeviceError("GraphedStep needs kernels, which there are for parameters of one floating dtype on a GPU")
    rate = optimizer.layer_rate
    if method_of(optimizer) is None or type(rate).__name__ not in ("Uniform", "LayerSpecific", "LARS"):
        raise ValueError(
            f"GraphedStep: expected SGD, Adam, AdamW, RMSprop or AdaGrad, with no layer rate, LayerSpecific or LARS; "
            f"what {type(optimizer).__name__} with {rate!r} computes on the host would stay what it was when recorded"
        )
    hooked = [name or "the model" for name, module in model.named_modules() if _has_hooks(module)]
    if optimizer._pre_hooks or optimizer._post_hooks:
        hooked.append("the optimizer")
    if hooked or mode.get() & ANOMALY:
        what = f"hooks of {', '.join(hooked)}" if hooked else "detect_anomaly(), which looks at every array"
        raise GraphError(f"GraphedStep: a replay runs no Python, so not {what} either")


def _has_hooks(module: Module) -> bool:
    hooks = module._hooks
    return hooks is not None and bool(hooks.pre or hooks.forward or hooks.backward)
