"""GradientFlow: watches a training loop that is not its own, by hooks, and takes them all away at the end."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.hooks import RemovableHandle, after_backward
from minidl.autograd.modes import is_grad_enabled
from minidl.autograd.variable import Variable
from minidl.checks import is_whole
from minidl.nn import LeakyReLU, Module, ReLU, Sigmoid, Softplus, Tanh
from minidl.observe.forgotten_zero_grad import ForgottenZeroGrad
from minidl.observe.recording import PER_LAYER, FlowRecording
from minidl.observe.statistics import norm
from minidl.observe.step import Step, layers_of
from minidl.optim import Optimizer

ACTIVATIONS = (LeakyReLU, ReLU, Sigmoid, Softplus, Tanh)
_BUNDLE = 256  # rows are joined in bundles, so that a long recording is not a million tiny device arrays
_CHANGED = 1e-5  # relative difference of two norms from which the gradient counts as changed in between


class GradientFlow:
    """Record how activations, gradients and updates run through the layers, around any training loop.

        with md.observe.GradientFlow(model, optimizer) as flow:
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
        flow.recording.save("run.npz")
        md.plot.update_heatmap({"SGD": flow.recording})

    What is read, and when (the fields are those of `FlowRecording`):

    - *h of a layer* is the output of the layer (a module of `model.named_layers()`); but if one of the activation
      modules (ReLU, LeakyReLU, Sigmoid, Tanh, Softplus) is called on that very output, h is the activation's output.
      `recording.outputs` names which it was. A functional activation, `F.tanh(self.fc1(x))`, cannot be seen: h is then
      what comes before it. Of an output that is a tuple the first Tensor counts.
    - *activation and dL/dh*: when a backward brings dL/dh, both are measured. Forwards that no backward returns to
      (evaluation) do not count; a layer that needs no gradient counts when it is called with grad mode on. Several
      passes in one step (accumulated batches, shared layers, unrolled time) make one root mean square over all their
      elements. Walks by `md.grad` through the model count too.
    - *loss*: of the tensors whose `backward()` reached a layer of this model; those of one step are added up, as their
      gradients are. NaN if it is not a single number.
    - *weight and bias gradients*: as `optimizer.step()` found them, so after clipping and before weight decay (read
      when it is done, so that no norm that its layer rate needed is computed again). `gradient_norm_at_backward` is the
      norm before anything else touched them, and the notes say where they differ.
    - *update*: the weights before and after `optimizer.step()`, so it is right for every optimizer.
    - *multiplier, rate, floored*: the optimizer's own report.

    Without an optimizer the gradients are read right after backward(), before any clipping, a step lasts until
    `flow.step()` is called or, if it never is, until the next forward, and the update is what happened to the
    weights meanwhile. (A loop that accumulates several backwards in a step needs the optimizer here.)

    Nothing is computed into the training: weights are bit-equal with and without. All numbers stay on the device until
    the block ends or `recording` is read. The memory held is one row of numbers a step, and during a recorded step one
    copy of the weights.

    Args:
        model: the network; its `layers()` are recorded.
        optimizer: what updates it, or None.
        every: record steps 0, every, 2*every, ... only.

    Raises:
        ValueError: the model owns no parameters, or `every` is no positive integer.

    Warns:
        UserWarning: the gradient of a step was still in place when the next step's arrived (a forgotten zero_grad).
    """

    def __init__(self, model: Module, optimizer: Optimizer | None = None, every: int = 1) -> None:
        if not is_whole(every, 1):
            raise ValueError(f"every must be a positive integer: every step (1), every tenth (10), ...; got {every!r}")
        self._model = model
        self._optimizer = optimizer
        self._every = every
        self._layers = layers_of(model)
        self._handles: list[RemovableHandle] = []
        self._recording: FlowRecording | None = None
        self._begin()

    def __repr__(self) -> str:
        return f"GradientFlow({len(self._layers)} layers, {len(self._numbers)} steps recorded)"

    def _begin(self) -> None:
        self._first = self._optimizer.step_count if self._optimizer is not None else 0
        self._step = Step(self._first, True, self._layers)
        self._numbers: list[int] = []  # of the recorded steps
        self._backwards: list[int] = []
        self._rows: list[Any] = []
        self._bundles: list[Any] = []
        self._measured: list[Any] = []  # a row a step: which of its numbers there were to measure
        self._outputs = [layer.name for layer in self._layers]
        self._latest: list[_Passage | None] = [None] * len(self._layers)
        self._newest: _Passage | None = None
        self._passages: list[RemovableHandle] = []  # hooks on this step's graph
        self._arrived = False  # a gradient reached one of our layers since the last backward() ended
        self._walked = False  # a backward() of this step has ended
        remedy = "optimizer.zero_grad()" if self._optimizer is not None else "model.zero_grad()"
        self._forgotten_zero_grad = ForgottenZeroGrad([p for layer in self._layers for p in layer.parameters], remedy)

    # ---- the block

    def __enter__(self) -> GradientFlow:
        """Attach the hooks."""
        if self._handles:
            raise RuntimeError("this GradientFlow is already recording: leave its block first, or make another one")
        self._recording = None
        self._begin()
        names = {id(module): name for name, module in self._model.named_modules()}
        for layer in self._layers:
            self._handles.append(layer.module.register_forward_hook(_LayerHook(self, layer.index)))
        for module in self._model.modules():
            if isinstance(module, ACTIVATIONS):
                self._handles.append(module.register_forward_hook(_ActivationHook(self, names[id(module)])))
        self._handles.append(RemovableHandle(after_backward, self._after_backward))
        if self._optimizer is not None:
            self._handles.append(self._optimizer.register_step_pre_hook(self._before_step))
            self._handles.append(self._optimizer.register_step_post_hook(self._after_step))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Take all hooks away, also after an exception; then bring the numbers home."""
        for handle in self._handles + self._passages:
            handle.remove()
        self._handles, self._passages = [], []
        if kind is None and self._optimizer is None and self._walked:
            self._close()
        self._latest, self._newest = [None] * len(self._layers), None
        self._step = Step(self._step.number, False, self._layers)  # lets go of the arrays of an unfinished step
        if kind is None:
            self._recording = self._build()

    def step(self) -> None:
        """Without an optimizer: the weights have been updated, the step is complete.

        Raises:
            RuntimeError: the recorder has an optimizer, whose step() says the same, or no block is open.
        """
        if self._optimizer is not None:
            raise RuntimeError("this recorder follows optimizer.step(); flow.step() is for loops without an optimizer")
        if not self._handles:
            raise RuntimeError("flow.step() outside of the `with` block: nothing is being recorded")
        self._close()

    @property
    def recording(self) -> FlowRecording:
        """What has been recorded so far (waits for the device); complete when the block has ended."""
        if self._recording is None or self._handles:
            self._recording = self._build()
        return self._recording

    # ---- what the hooks call

    def _passed(self, layer: int, output: Any) -> None:
        """`layer` made `output`."""
        output = _first_tensor(output)
        if output is None or not is_grad_enabled():
            return
        if self._optimizer is None and self._walked:
            self._close()
        step = self._step
        if self._optimizer is None and step.recorded and not step.has_weights:
            step.keep_weights()
        if self._newest is not None:
            self._newest.measure()
        self._settle(layer)
        self._latest[layer] = self._watch(layer, output)

    def _activated(self, name: str, inputs: tuple[Any, ...], output: Any) -> None:
        """An activation module was called; if on a layer's output, its own output takes that one's place."""
        output = _first_tensor(output)
        if output is None or not inputs or not is_grad_enabled():
            return
        for layer, passage in enumerate(self._latest):
            if passage is not None and passage.tensor() is inputs[0] and not passage.activated:
                passage.forget()
                self._outputs[layer] = name
                self._latest[layer] = replaced = self._watch(layer, output)
                replaced.activated = True
                return

    def _watch(self, layer: int, output: Any) -> _Passage:
        """Wait for the gradient of `output`, the h of `layer`."""
        self._newest = passage = _Passage(self, layer, output)
        if output.requires_grad:
            passage.handle = output.register_hook(passage)
            self._passages.append(passage.handle)
        return passage

    def _settle(self, layer: int) -> None:
        """Count the latest output of `layer` if no gradient will ever come for it."""
        passage = self._latest[layer]
        if passage is not None and passage.handle is None:
            self._count(passage)

    def _count(self, passage: _Passage) -> None:
        """Add an output to the step, once."""
        passage.measure()
        if passage.norm is not None:
            self._step.add_output(passage.layer, passage.norm, passage.count)
            passage.norm = None

    def _gradient_arrived(self, passage: _Passage, gradient: Any) -> None:
        if not self._arrived:
            self._arrived = True
            self._forgotten_zero_grad.backward_begins(self._step.number)
        if self._step.recorded:
            self._count(passage)
            with np.errstate(all="ignore"):
                self._step.add_output_gradient(passage.layer, gradient._data)

    def _after_backward(self, loss: Any) -> None:
        if not self._arrived:
            return  # the backward of another model
        self._arrived, self._walked = False, True
        self._step.backwards += 1
        for layer in range(len(self._layers)):
            self._settle(layer)
        if self._step.recorded:
            with np.errstate(all="ignore"):
                self._step.add_loss(loss._data)
                self._step.read_norms_at_backward()
                if self._optimizer is None:
                    self._step.read_gradients({})

    def _before_step(self, optimizer: Optimizer) -> None:
        self._forgotten_zero_grad.update_begins()
        if self._step.recorded:
            with np.errstate(all="ignore"):
                self._step.keep_weights()

    def _after_step(self, optimizer: Optimizer) -> None:
        if self._step.recorded:
            with np.errstate(all="ignore"):
                self._step.read_gradients(optimizer.gradient_norms())
            self._step.read_report(optimizer.raw_report)
        self._close()

    def _close(self) -> None:
        """The update is done: pack the step's numbers and begin the next step."""
        step = self._step
        if self._optimizer is None:
            self._forgotten_zero_grad.update_begins()
        if step.recorded:
            with np.errstate(all="ignore"):
                step.read_update()
                self._rows.append(step.packed())
            measured = step.measured()
            same = bool(self._measured) and np.array_equal(measured, self._measured[-1])
            self._measured.append(self._measured[-1] if same else measured)  # most steps share one row
            self._numbers.append(step.number)
            self._backwards.append(step.backwards)
            if len(self._rows) == _BUNDLE:
                self._bundles.append(backend.module_of(self._rows[0]).stack(self._rows))
                self._rows = []
        for handle in self._passages:
            handle.remove()
        self._passages = []
        self._latest, self._newest = [None] * len(self._layers), None
        number = step.number + 1
        self._step = Step(number, (number - self._first) % self._every == 0, self._layers)
        self._walked = self._arrived = False
        self._forgotten_zero_grad.step_begins()

    # ---- words

    def _build(self) -> FlowRecording:
        """The rows so far as a recording."""
        rows = [backend.to_numpy(bundle) for bundle in self._bundles]
        if self._rows:
            rows.append(backend.to_numpy(backend.module_of(self._rows[0]).stack(self._rows)))
        length, count = len(self._layers), len(self._numbers)
        width = len(PER_LAYER) * length + 1
        table = np.concatenate(rows) if rows else np.zeros((0, width))
        fields = table[:, :-1].reshape(count, len(PER_LAYER), length)
        measured = np.array(self._measured, dtype=bool).reshape(count, width)[:, :-1].reshape(fields.shape)
        fields = np.where(measured & np.isnan(fields), np.inf, fields)  # NaN is left to what was not there to measure
        values = {name: np.ascontiguousarray(fields[:, i]) for i, name in enumerate(PER_LAYER)}
        dtypes = [p.dtype for layer in self._layers for p in layer.parameters]
        return FlowRecording(
            layers=tuple(layer.name for layer in self._layers),
            outputs=tuple(self._outputs),
            steps=np.array(self._numbers, dtype=np.int64),
            loss=table[:, -1].copy(),
            dtype=str(min(dtypes, key=lambda dtype: dtype.itemsize)),
            notes=tuple(self._notes(values)),
            **values,
        )

    def _notes(self, values: dict[str, Any]) -> list[str]:
        notes: list[str] = []
        if self._optimizer is None:
            notes.append("no optimizer was given: gradients were read right after backward(), before any clipping")
        else:
            at_step, at_backward = values["layer_gradient_norm"], values["gradient_norm_at_backward"]
            with np.errstate(invalid="ignore"):
                changed = abs(at_step - at_backward) > _CHANGED * at_backward
                changed = (changed | (np.isfinite(at_step) & np.isinf(at_backward))).any(axis=1)
            if changed.any():
                with np.errstate(divide="ignore", invalid="ignore"):
                    factors = at_step[changed] / at_backward[changed]
                notes.append(
                    f"gradients were read after clipping: between backward() and step() they changed in "
                    f"{changed.sum()} of {len(changed)} recorded steps (at the least to {np.nanmin(factors):.2g} times "
                    f"their norm)"
                )
            else:
                notes.append("gradients were read when step() began; nothing changed them after backward()")
        most = max(self._backwards, default=0)
        if most > 1:
            notes.append(f"gradients were accumulated over up to {most} backward passes a step; the loss is their sum")
        if self._forgotten_zero_grad.finding is not None:
            notes.append(self._forgotten_zero_grad.finding)
        return notes


class _Passage:
    """One batch on its way through one layer; as a hook it meets dL/dh on the way back.

    Its output is measured when the gradient arrives, or when the next layer is called and it is known that no
    activation takes its place: so no array is kept from the graph's memory longer than the forward lasts.
    """

    __slots__ = ("activated", "count", "flow", "handle", "layer", "norm", "output", "tensor")

    def __init__(self, flow: GradientFlow, layer: int, output: Any) -> None:
        self.flow = flow
        self.layer = layer
        self.output = output._data if flow._step.recorded else None
        self.count = int(output._data.size)
        self.norm: Any = None
        self.tensor = weakref.ref(output)
        self.handle: RemovableHandle | None = None
        self.activated = False

    def __call__(self, gradient: Any) -> None:
        self.flow._gradient_arrived(self, gradient)

    def measure(self) -> None:
        """Take the norm of the output, and let go of it."""
        if self.output is not None:
            with np.errstate(all="ignore"):
                self.norm = norm([self.output])
            self.output = None

    def forget(self) -> None:
        """Another output takes the place of this one."""
        self.output = self.norm = None
        if self.handle is not None:
            self.handle.remove()


class _LayerHook:
    """Forward hook on a layer."""

    def __init__(self, flow: GradientFlow, layer: int) -> None:
        self.flow = flow
        self.layer = layer

    def __call__(self, module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.flow._passed(self.layer, output)


class _ActivationHook:
    """Forward hook on an activation module."""

    def __init__(self, flow: GradientFlow, name: str) -> None:
        self.flow = flow
        self.name = name

    def __call__(self, module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.flow._activated(self.name, inputs, output)


def _first_tensor(output: Any) -> Any:
    """`output`, or the first Tensor of a tuple, or None."""
    if isinstance(output, (tuple, list)):
        return next((x for x in output if isinstance(x, Variable)), None)
    return output if isinstance(output, Variable) else None
