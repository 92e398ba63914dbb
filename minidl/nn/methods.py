"""Methods of a Module that act on the whole model: modes, freezing, moving, saving, hooks, and the summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from minidl.autograd.hooks import RemovableHandle
from minidl.checks import yes_or_no
from minidl.habits.answers import Options
from minidl.nn import state
from minidl.nn.hooks import ModuleHooks
from minidl.nn.mistakes import refuse_options
from minidl.nn.moving import move
from minidl.nn.parameter import Parameter
from minidl.nn.summary import summarize
from minidl.tensors.tensor import Tensor
from minidl.types import Array, DTypeLike, TensorLike


class ModelMethods(Options):
    """What every Module inherits. It holds nothing itself: what is in a model it asks the Module."""

    _hooks: ModuleHooks | None
    _label: Callable[[], str]
    children: Callable[[], list[Any]]
    modules: Callable[[], list[Any]]
    parameters: Callable[[], list[Parameter]]
    named_parameters: Callable[[], list[tuple[str, Parameter]]]
    named_buffers: Callable[[], list[tuple[str, Tensor]]]

    def __new__(cls, *options: Any, **named: Any) -> Self:
        """Make a module; one that takes no options, as ReLU, is not made of its inputs."""
        if not all(isinstance(option, bool) for option in options):  # of PyTorch's ReLU(True) there is more to say
            refuse_options(cls)
        made = super().__new__(cls, *options, **named)  # says what PyTorch's options are here
        if options or named:
            refuse_options(cls)
        return made

    def train(self, mode: bool = True) -> Self:
        """Go into training mode (dropout active), or with False out of it; returns self."""
        mode = yes_or_no(mode, f"{self._label()}: train(mode)")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Go into evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, required: bool = True) -> Self:
        """Freeze (False) or unfreeze all parameters; a frozen one gets no gradient. Returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = required
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters: each becomes None, or with `set_to_none=False` 0."""
        for parameter in self.parameters():
            parameter.zero_grad(set_to_none)

    def apply(self, function: Callable[[Any], Any]) -> Self:
        """Call `function(module)` for every module below this one and then for this one; returns self."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, device: str | DTypeLike | None = None, dtype: DTypeLike = None) -> Self:
        """Move parameters, their gradients and buffers to 'numpy' or 'cupy', and floating ones to `dtype`; in place.

        `to("float64")`, `to(np.float64)` and `double()` mean the dtype. Move the model before an optimizer is made for
        it, or move the optimizer too: `optimizer.to(device)`.

        Raises:
            DeviceError, DTypeError: there is no such device, or the dtype is not floating; nothing was moved.
            MemoryError: the memory does not suffice; nothing was moved.
        """
        move([x for _, x in [*self.named_parameters(), *self.named_buffers()]], device, dtype)
        return self

    def double(self) -> Self:
        """Convert floating parameters and buffers to float64; returns self."""
        return self.to(dtype=np.float64)

    def float(self) -> Self:
        """Convert floating parameters and buffers to float32; returns self."""
        return self.to(dtype=np.float32)

    def half(self) -> Self:
        """Convert floating parameters and buffers to float16; returns self."""
        return self.to(dtype=np.float16)

    def state_dict(self) -> dict[str, Array]:
        """NumPy copies of all parameters and buffers, by dotted name; a tied parameter once, under its first name."""
        return state.save(state.tensors_by_name(self))

    def load_state_dict(self, values: Mapping[str, TensorLike], strict: bool = True) -> state.Unmatched:
        """Set parameters and buffers to the arrays in `values`, converted to their dtype and device.

        Args:
            values: arrays by dotted name, as `state_dict` gives them. A tied parameter may be there under its other
                names too, with the same numbers.
            strict: refuse missing and unexpected names; otherwise they are left out and returned.

        Raises:
            TypeError: `values` is no mapping from names to arrays.
            ValueError: names, shapes or dtypes do not fit. The message lists all that are wrong; nothing was changed.
        """
        return state.load(
            self._label(), state.tensors_by_name(self), values, yes_or_no(strict, "strict"), state.tied_names(self)
        )

    # ---- hooks

    def _own_hooks(self) -> ModuleHooks:
        if self._hooks is None:
            self._hooks = ModuleHooks()
        return self._hooks

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> RemovableHandle:
        """Call `hook(module, inputs)` before every forward; it may return other inputs (a tuple, or the only one).

        All three kinds of hook return a handle with `remove()`, which is also a context manager.
        """
        return RemovableHandle(self._own_hooks().pre, hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> RemovableHandle:
        """Call `hook(module, inputs, output)` after every forward; it may return another output."""
        return RemovableHandle(self._own_hooks().forward, hook)

    def register_full_backward_hook(
        self, hook: Callable[[Any, tuple[Tensor | None, ...], tuple[Tensor | None, ...]], Any]
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` in every backward through a forward made from now on.

        Both are tuples of Tensors: dL/d(each positional input), None for one that requires no gradient, and dL/d(each
        output). The hook may return another grad_input if only one input requires a gradient. It is called when
        the gradients of all inputs are complete, or those of all outputs if no input requires one (so not by an
        `md.grad` that asks for some of them only).

        Raises:
            GraphError: (in the forward) the module returned no Tensor and no tuple or list with Tensors.
        """
        return RemovableHandle(self._own_hooks().backward, hook)

    # ---- the summary

    def summary(self, inputs: Any = None) -> str:
        """A table of the model: each layer's name, type, output shape, number of parameters, trainable or frozen.

        The output shapes come from one forward in evaluation mode, which leaves the model, its hooks and the random
        streams as they were.

        Args:
            inputs: the shape of a batch, such as (32, 64), for zeros in the dtype of the weights, or whole numbers if
                the model takes these, as one does that begins with an embedding; or an example batch (a Tensor or
                array; a tuple of them for several inputs); without it the output shapes are left out.
        """
        return summarize(self, inputs)
