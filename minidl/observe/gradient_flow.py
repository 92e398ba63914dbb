"""GradientFlow: watches a training loop that is not its own, by hooks, and takes them all away at the end."""

from __future__ import annotations

import weakref
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from minidl.autograd.hooks import RemovableHandle, after_backward
from minidl.autograd.modes import is_grad_enabled
from minidl.autograd.variable import Variable
from minidl.checks import is_whole
from minidl.nn import Module
from minidl.observe.assembly import assembled
from minidl.observe.forgotten_zero_grad import ForgottenZeroGrad
from minidl.observe.layers import layers_of
from minidl.observe.meter import Known, meters_of
from minidl.observe.notes import Unseen
from minidl.observe.passages import MODULES, NAMES, Passage, activation_on_the_way, tensors_in
from minidl.observe.recording import EVALUATION, PER_LAYER, TRAINING, FlowRecording
from minidl.observe.rows import Row, Rows
from minidl.observe.snapshots import Snapshots
from minidl.observe.statistics import norm
from minidl.observe.step import Step
from minidl.optim import Optimizer


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

    - *h of a layer* is the output of the layer (a module of `model.layers()`); but if one of the activation modules
      (ReLU, LeakyReLU, Sigmoid, Tanh, Softplus) is called on that very output, h is the activation's output.
      `recording.outputs` names which it was: "act1", or "tanh(fc1)" for a functional activation, `F.tanh(self.fc1(x))`,
      which is found in the graph when the next layer is called or the model is done (if nothing but a flatten, a
      dropout or the like stands between). Of an output that is a tuple or a dict the first Tensor counts. What was not
      seen, such as a layer whose weights are used without calling it, stands in the notes.
    - *activation and dL/dh*: when a backward brings dL/dh, both are measured. Forwards that no backward returns to
      (validation) do not count, and none in evaluation mode in a step that also trains; a layer that needs no gradient
      counts when it is called with grad mode on. Several passes in one step (accumulated batches, shared layers,
      unrolled time) make one root mean square over all their elements. Walks by `md.grad` through the model count too.
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
    the block ends or `recording` is read. The memory held is one row of numbers a step, 32 MiB of them at most (12,800
    steps of 20 layers; of a longer recording every second step is kept, then every fourth, ...; the first and the last
    always), and one copy of the weights.

    Args:
        model: the network; its `layers()` are recorded.
        optimizer: what updates it, or None.
        every: record steps 0, every, 2*every, ... only.
        steps: how many steps the loop will make, if that is known: then the last is recorded too.
        distances: also measure how far the weights are from where they began (a second copy of them, and a pass over
            them in each recorded step).
        distributions: also count how pre-activations, activations, dL/dh and dL/dW are distributed, at up to 64 of the
            recorded steps (which take about twice as long, and 330 kB for each layer; a device is waited for).

    Raises:
        ValueError: the model owns no parameters, or `every` or `steps` is no positive integer.

    Warns:
        UserWarning: the gradient of a step was still in place when the next step's arrived (a forgotten zero_grad).
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer | None = None,
        every: int = 1,
        steps: int | None = None,
        distances: bool = False,
        distributions: bool = False,
    ) -> None:
        if not is_whole(every, 1):
            raise ValueError(f"every must be a positive integer: every step (1), every tenth (10), ...; got {every!r}")
        if steps is not None and not is_whole(steps, 1):
            raise ValueError(f"steps must be a positive integer, how many steps the loop will make; got {steps!r}")
        self._model = model
        self._optimizer = optimizer
        self._every = every
        self._steps = steps
        self._with_distances = distances
        self._with_distributions = distributions
        self._layers = layers_of(model)
        self._meters = meters_of(self._layers)
        self._names = [layer.name for layer in self._layers]
        self._handles: list[RemovableHandle] = []
        self._recording: FlowRecording | None = None
        self._begin()

    def __repr__(self) -> str:
        return f"GradientFlow({len(self._layers)} layers, {len(self._rows)} steps recorded)"

    def _begin(self) -> None:
        self._first = self._optimizer.step_count if self._optimizer is not None else 0
        self._rows = Rows(len(PER_LAYER) * len(self._layers) + 1)
        self._snapshots = Snapshots(len(self._layers), self._with_distributions)
        self._unseen = Unseen()
        self._outputs = list(self._names)
        self._phase = self._mode()  # of the step before
        self._begin_step(self._first)
        remedy = "optimizer.zero_grad()" if self._optimizer is not None else "model.zero_grad()"
        self._forgotten_zero_grad = ForgottenZeroGrad([p for layer in self._layers for p in layer.parameters], remedy)

    def _begin_step(self, number: int) -> None:
        index, rest = divmod(number - self._first, self._every)
        last = self._steps is not None and number == self._first + self._steps - 1
        self._step = Step(number, rest == 0 or last, self._names, self._meters)
        self._snapshots.begin(index, last) if self._step.recorded else None
        self._latest: list[Passage | None] = [None] * len(self._layers)
        self._by_node: dict[int, Passage] = {}  # by the number of the node that made a layer's output
        self._followed: list[Passage] = []  # with a watcher on this step's graph
        self._newest: Passage | None = None
        self._arrived = False  # a gradient reached one of our layers since the last backward() ended
        self._arrived_in = TRAINING  # the phase of that gradient's forward
        self._walked = False  # a backward() of this step has ended

    # ---- the block

    def __enter__(self) -> GradientFlow:
        """Attach the hooks."""
        if self._handles:
            raise RuntimeError("this GradientFlow is already recording: leave its block first, or make another one")
        self._recording = None
        self._begin()
        if self._with_distances:
            for meter in self._meters:
                meter.keep_start()
        names = {id(module): name for name, module in self._model.named_modules()}
        for layer in self._layers:
            self._handles.append(layer.module.register_forward_hook(partial(self._layer_called, layer.index)))
        for module in self._model.modules():
            if isinstance(module, MODULES):
                self._handles.append(module.register_forward_hook(partial(self._activated, names[id(module)])))
        self._handles.append(self._model.register_forward_hook(self._done))
        self._handles.append(RemovableHandle(after_backward, self._after_backward))
        if self._optimizer is not None:
            self._handles.append(self._optimizer.register_step_pre_hook(self._before_step))
            self._handles.append(self._optimizer.register_step_post_hook(self._after_step))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        """Take all hooks away, also after an exception; then bring the numbers home."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if kind is None and self._optimizer is None and self._walked:
            self._close()
        self._let_go()
        self._begin_step(self._step.number)  # lets go of the arrays of an unfinished step
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

    def save(self, path: str | PathLike[str]) -> None:
        """Write the recording so far into an npz file; `md.observe.load` reads it."""
        self.recording.save(path)

    def verdict(self) -> str:
        """What the recording so far says, in words, with its numbers."""
        return self.recording.verdict()

    # ---- what the hooks call

    def _mode(self) -> str:
        return TRAINING if self._model.training else EVALUATION

    def _layer_called(self, layer: int, module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        """`layer` made `output` of `inputs`."""
        if not is_grad_enabled():
            return
        tensors = tensors_in(output)
        if not tensors:
            self._unseen.outputs.add(layer)
            return
        if self._optimizer is None and self._walked:
            self._close()
        step = self._step
        if not step.recorded:
            self._watch_arrivals(layer, tensors)
            return
        if self._optimizer is None and not step.has_weights:
            step.keep_weights()
        for x in inputs:
            self._find_activation(x)
        if self._newest is not None:
            self._newest.measure()
        self._settle(layer)
        self._newest = passage = Passage(self, layer, self._mode())
        self._latest[layer] = passage
        (passage.place, output), *others = tensors
        for place, other in others:
            if other._op is not None:
                second = Passage(self, layer, passage.phase)
                second.first, second.place = passage, place
                self._follow(second, other._data, other._op, "")
                second.measure()
        node = output._op
        self._follow(passage, output._data, node, "")
        if node is None:
            passage.tensor = weakref.ref(output)
        else:
            self._by_node[node.order] = passage
        if self._takes_snapshot(passage):
            self._snapshots.see("pre_activation", layer, output._data)

    def _watch_arrivals(self, layer: int, tensors: list[tuple[str, Any]]) -> None:
        """In a step that is not recorded: only notice when a backward comes to the last layer that was called."""
        while self._followed:
            self._followed.pop().let_go()
        for _, output in tensors:
            self._follow(Passage(self, layer, TRAINING), output._data, output._op, "")

    def _follow(self, passage: Passage, array: Any, node: Any, kind: str) -> None:
        if node is not None and passage.among is None:
            self._followed.append(passage)
        passage.follow(array, node, kind, keep=self._step.recorded)

    def _takes_snapshot(self, passage: Passage) -> bool:
        return self._snapshots.open and passage.phase == self._phase

    def _activated(self, name: str, module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        """An activation module was called; if on a layer's output, its own output takes that one's place."""
        if not self._step.recorded or not inputs or not is_grad_enabled() or not isinstance(output, Variable):
            return
        node = getattr(inputs[0], "_op", None)
        if node is not None:
            passage = self._by_node.get(node.order)
        else:
            passage = next((p for p in self._latest if p is not None and p.made(inputs[0])), None)
        if passage is not None and not passage.kind:
            op = output._op
            self._replace(passage, output._data, op, NAMES.get(type(op).plain, "other") if op else "other", name)

    def _find_activation(self, x: Any) -> None:
        """A layer is given x, or x is the model's result: a functional activation may have made it."""
        if isinstance(x, Variable) and x._op is not None and x._op.order not in self._by_node:
            found = activation_on_the_way(x, self._by_node)
            if found is not None and not found[0].kind:
                passage, node, array, kind = found
                self._replace(passage, array, node, kind, f"{kind}({self._names[passage.layer]})")

    def _replace(self, passage: Passage, array: Any, node: Any, kind: str, name: str) -> None:
        """h of `passage` is `array`, what an activation made of it."""
        self._outputs[passage.layer] = name
        if node is not None:
            self._by_node[node.order] = passage  # where it is found again, the next layer need not look
        self._follow(passage, array, node, kind)
        if self._takes_snapshot(passage):
            layer = self._layers[passage.layer]
            self._snapshots.see_activation(passage.layer, array, kind, layer.channels(array.ndim))

    def _done(self, model: Module, inputs: tuple[Any, ...], output: Any) -> None:
        """The model made `output`."""
        if not is_grad_enabled():
            self._unseen.evaluations += 1
        elif self._step.recorded:
            for _, x in tensors_in(output):
                self._find_activation(x)

    def _settle(self, layer: int) -> None:
        """Count the latest output of `layer` if no gradient will ever come for it."""
        passage = self._latest[layer]
        if passage is not None and passage.among is None:
            self._count(passage)

    def _count(self, passage: Passage) -> None:
        """Add an output to the step, once."""
        passage.measure()
        if passage.norm is not None and self._step.takes(passage.phase):
            self._step.add_output(passage.layer, passage.norm, passage.count)
        passage.norm = None

    def gradient_arrived(self, passage: Passage, gradient: Any) -> None:
        """dL/dh of a passage, a raw array."""
        if not self._arrived:
            self._arrived, self._arrived_in = True, passage.phase
            self._forgotten_zero_grad.backward_begins(self._step.number)
        if not self._step.recorded:
            return
        passage.arrived = True
        if passage.first is not None:
            passage.gradient_norm = norm([gradient])
        elif self._step.takes(passage.phase):
            self._count(passage)
            self._step.add_output_gradient(passage.layer, gradient)
            if self._takes_snapshot(passage):
                self._snapshots.see("output_gradient", passage.layer, gradient)

    def _after_backward(self, loss: Any) -> None:
        if not self._arrived:
            return  # the backward of another model
        self._arrived, self._walked = False, True
        self._step.backwards += 1
        if not self._step.recorded:
            return
        for layer in range(len(self._layers)):
            self._settle(layer)
        self._take_seconds()
        with np.errstate(all="ignore"):
            if self._step.takes(self._arrived_in):
                self._step.add_loss(loss._data)
            self._step.read_norms_at_backward()
            if self._optimizer is None:
                self._read_gradients(dict)

    def _take_seconds(self) -> None:
        """Count the second Tensor of a layer's tuple where a gradient came to it, and none to the first."""
        for passage in self._followed:
            first = passage.first
            if first is not None and passage.arrived and not first.arrived and self._step.takes(passage.phase):
                first.arrived = True
                self._step.add_output(passage.layer, passage.norm, passage.count)
                self._step.add_output_gradient_norm(passage.layer, passage.gradient_norm, passage.count)
                self._outputs[passage.layer] = self._names[passage.layer] + passage.place

    def _read_gradients(self, known: Known) -> None:
        self._step.read_gradients(known)
        if self._snapshots.open:
            for layer in self._layers:
                self._snapshots.see_gradients(layer)

    def _before_step(self, optimizer: Optimizer) -> None:
        self._forgotten_zero_grad.update_begins()
        if self._step.recorded:
            with np.errstate(all="ignore"):
                self._step.keep_weights()

    def _after_step(self, optimizer: Optimizer) -> None:
        if self._step.recorded:
            with np.errstate(all="ignore"):
                self._read_gradients(optimizer.gradient_norms)
            self._step.read_rates(optimizer.raw_rates())
        self._close()

    def _close(self) -> None:
        """The update is done: pack the step's numbers and begin the next step."""
        step = self._step
        if self._optimizer is None:
            self._forgotten_zero_grad.update_begins()
        if step.recorded:
            self._phase = step.phase = step.phase or self._phase
            self._unseen.left_out += step.left_out > 0
            with np.errstate(all="ignore"):
                step.read_update(self._with_distances)
                values, measured = step.packed()
            self._rows.append(Row(step.number, step.backwards, values, measured))
            self._snapshots.end(step.number)
        self._let_go()
        self._unseen.steps = step.number + 1 - self._first
        self._begin_step(step.number + 1)
        self._forgotten_zero_grad.step_begins()

    def _let_go(self) -> None:
        """Take the watchers off this step's graph."""
        for passage in self._followed:
            passage.let_go()

    def _build(self) -> FlowRecording:
        seen = self._layers, self._outputs, self._rows, self._snapshots
        return assembled(*seen, self._unseen, self._optimizer is not None, self._forgotten_zero_grad.finding)
