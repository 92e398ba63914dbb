"""Module: what every layer and every model is."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from minidl import backend
from minidl.autograd.hooks import RemovableHandle
from minidl.errors import DTypeError, describe
from minidl.nn import state
from minidl.nn.attributes import check_assignment
from minidl.nn.hooks import ModuleHooks, call_with_hooks
from minidl.nn.parameter import Parameter
from minidl.nn.summary import summarize
from minidl.tensors.tensor import Tensor


class Module:
    """A part of a network, with parameters and modules of its own.

    A subclass calls `super().__init__()`, assigns Parameters and Modules to attributes, and defines `forward`:

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc1 = nn.Linear(64, 30)
                self.fc2 = nn.Linear(30, 10)

            def forward(self, x):
                return self.fc2(F.relu(self.fc1(x)))

    Calling the module, `net(x)`, runs `forward` and the hooks. Parameters and modules keep the order in which they
    were assigned, and have dotted names: 'fc1.weight'. A *layer* is a module that owns parameters itself (`layers()`):
    optimizers, recordings and figures mean this when they speak of layers. A tied weight, assigned to two modules,
    belongs to the first and is listed once.

    Attributes:
        training: whether dropout and its like are active; `train()` and `eval()` set it for the whole tree.
    """

    training: bool
    _hooks: ModuleHooks | None
    _buffers: tuple[str, ...]
    _place: tuple[weakref.ref[Module], str] | None  # the first module this one was assigned to, and as what
    forward: Callable[..., Any]

    def __init__(self) -> None:
        self.training = True
        self._hooks = None
        self._buffers = ()
        self._place = None

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Run `forward` on the inputs, with the hooks around it if there are any."""
        try:
            if self._hooks is not None:
                return call_with_hooks(self, self._hooks, inputs, named)
            if len(inputs) == 1 and not named:  # most calls; with stars Python takes longer
                return self.forward(inputs[0])
            return self.forward(*inputs, **named)
        except Exception as error:
            self._note_place(error, inputs)
            raise

    def _note_place(self, error: Exception, inputs: tuple[Any, ...]) -> None:
        """Add to an error in `forward` in which layer it happened; the innermost module speaks."""
        if any(note.startswith("in layer ") for note in getattr(error, "__notes__", ())):
            return
        path, label = self._path(), self._label()
        where = f"{path!r} ({label})" if path else label
        error.add_note(f"in layer {where}, called with {', '.join(describe(x) for x in inputs) or 'nothing'}")

    # ---- what it holds

    def __setattr__(self, name: str, value: Any) -> None:
        check_assignment(self, Module, name, value)
        object.__setattr__(self, name, value)
        if isinstance(value, (Parameter, Module)):
            value._claim(self, name)

    def __getattr__(self, name: str) -> Any:
        if "training" not in self.__dict__:
            kind = type(self).__name__
            message = f"{kind} has no {name!r}: {kind}.__init__ must call super().__init__() before it assigns anything"
        elif name == "forward":
            message = f"{type(self).__name__} does not say what it computes: define forward(self, x) in the class"
        else:
            held = [key for key, value in self.__dict__.items() if isinstance(value, (Parameter, Module))]
            message = f"{type(self).__name__} has no attribute {name!r}; it holds {', '.join(held) or 'nothing'}"
        raise AttributeError(message, name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self.__dict__["_buffers"] = tuple(key for key in self._buffers if key != name)

    def _claim(self, module: Module, key: str) -> None:
        """Make `module`, which has this one as its attribute `key`, the parent that names it, unless there is one."""
        if self._home() is None:
            self._place = weakref.ref(module), key

    def _home(self) -> tuple[Module, str] | None:
        """The module this one belongs to and its name there; None for a model by itself."""
        place: tuple[weakref.ref[Module], str] | None = self.__dict__.get("_place")
        parent = None if place is None else place[0]()
        if place is None or parent is None or parent.__dict__.get(place[1]) is not self:
            return None
        return parent, place[1]

    def _path(self) -> str:
        """The dotted name of this module in the model it belongs to, 'encoder.fc1'; '' for the model itself."""
        keys: list[str] = []
        home = self._home()
        while home is not None:
            keys.append(home[1])
            home = home[0]._home()
        return ".".join(reversed(keys))

    def register_buffer(self, name: str, value: Any) -> None:
        """Keep a tensor that is not learned but belongs to the state: saved with it, and moved by `to`.

        Args:
            name: the attribute it becomes.
            value: a Tensor or array.
        """
        if name not in self._buffers and name in self.__dict__:
            raise AttributeError(f"register_buffer: {type(self).__name__} already has an attribute {name!r}")
        setattr(self, name, value if isinstance(value, Tensor) else Tensor(value))
        self._buffers = (*(key for key in self._buffers if key != name), name)

    def named_children(self) -> list[tuple[str, Module]]:
        """(attribute name, module) for each module assigned to this one."""
        return [(key, value) for key, value in self.__dict__.items() if isinstance(value, Module)]

    def children(self) -> list[Module]:
        """The modules assigned to this one."""
        return [child for _, child in self.named_children()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """(dotted name, module) for this module, named '', and all below it; parents first, each once."""
        found: dict[int, tuple[str, Module]] = {}
        waiting: list[tuple[str, Module]] = [("", self)]
        while waiting:
            name, module = waiting.pop()
            if id(module) not in found:
                found[id(module)] = name, module
                waiting += [(_join(name, key), child) for key, child in reversed(module.named_children())]
        return list(found.values())

    def modules(self) -> list[Module]:
        """The module itself and all below it, parents first."""
        return [module for _, module in self.named_modules()]

    def layer_parameters(self) -> list[tuple[str, Module, list[tuple[str, Parameter]]]]:
        """(layer name, layer, its parameters with their dotted names) for each layer, each parameter once.

        A parameter that several modules hold is listed under its owner; if its owner is not in this model, under the
        first that holds it. Parameters of the model itself form a layer named after its class.
        """
        modules = self.named_modules()
        inside = {id(module) for _, module in modules}
        listed: set[int] = set()
        layers = []
        for name, module in modules:
            own = []
            for key, value in module.__dict__.items():
                if isinstance(value, Parameter) and id(value) not in listed:
                    value._claim(module, key)  # its first owner may be gone
                    if value.owner is module or id(value.owner) not in inside:
                        listed.add(id(value))
                        own.append((_join(name, key), value))
            if own:
                layers.append((name or type(self).__name__, module, own))
        return layers

    def layers(self) -> list[tuple[str, Module]]:
        """(dotted name, module) of every module that owns parameters itself: "the layers" of the model."""
        return [(name, module) for name, module, _ in self.layer_parameters()]

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """(dotted name, parameter) for all parameters, layer by layer; a tied one once, under its owner."""
        return [named for _, _, own in self.layer_parameters() for named in own]

    def parameters(self) -> list[Parameter]:
        """All parameters, layer by layer, each once."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        """(dotted name, tensor) for all buffers."""
        modules = self.named_modules()
        return [(_join(name, key), module.__dict__[key]) for name, module in modules for key in module._buffers]

    # ---- what is done to the whole tree

    def train(self, mode: bool = True) -> Self:
        """Go into training mode (dropout active), or with False out of it; returns self."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Go into evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, required: bool = True) -> Self:
        """Freeze (False) or unfreeze all parameters; a frozen one gets no gradient. Returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = required
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call `function(module)` for every module below this one and then for this one; returns self."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, device: Any = None, dtype: Any = None) -> Self:
        """Move parameters, their gradients and buffers to 'numpy' or 'cupy', and floating ones to `dtype`; in place.

        `to("float64")`, `to(np.float64)` and `double()` mean the dtype. Move the model before an optimizer is made for
        it, or move the optimizer too: `optimizer.to(device)`.

        Raises:
            DeviceError, DTypeError: there is no such device, or the dtype is not floating; nothing was moved.
            MemoryError: there is too little of it; nothing was moved.
        """
        if dtype is None and _is_dtype(device):
            device, dtype = None, device
        if device is not None:
            backend.module(device)  # refuse before anything has moved
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise DTypeError(f"to: expected a floating dtype for the parameters; got {np.dtype(dtype)}")
        tensors = [x for _, x in [*self.named_parameters(), *self.named_buffers()]]
        moved = [
            (_moved(x._data, device, dtype), None if x.grad is None else Tensor(_moved(x.grad._data, device, dtype)))
            for x in tensors
        ]
        for x, (data, grad) in zip(tensors, moved, strict=True):
            if data is not x._data:
                x.data = data
            x.grad = grad
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

    def state_dict(self) -> dict[str, Any]:
        """NumPy copies of all parameters and buffers, by dotted name; a tied parameter once, under its first name."""
        return state.save(self._state())

    def load_state_dict(self, values: Mapping[str, Any], strict: bool = True) -> state.Unmatched:
        """Set parameters and buffers to the arrays in `values`, converted to their dtype and device.

        Args:
            values: arrays by dotted name, as `state_dict` gives them. A tied parameter may be there under its other
                names too, with the same numbers.
            strict: refuse missing and unexpected names; otherwise they are left out and returned.

        Raises:
            ValueError: names, shapes or dtypes do not fit. The message lists all that are wrong; nothing was changed.
        """
        return state.load(self._label(), self._state(), values, strict, self._tied_names())

    def _state(self) -> dict[str, Tensor]:
        """All parameters and buffers by name, module by module: the order of PyTorch's state."""
        own = {id(module): parameters for _, module, parameters in self.layer_parameters()}
        entries: dict[str, Tensor] = {}
        for name, module in self.named_modules():
            entries.update(own.get(id(module), []))
            entries.update((_join(name, key), module.__dict__[key]) for key in module._buffers)
        return entries

    def _tied_names(self) -> dict[str, str]:
        """The further names of tied parameters, and of modules' that are there twice, each with the name listed."""
        listed = {id(x): name for name, x in self._state().items()}
        further: dict[str, str] = {}
        waiting: list[tuple[str, Module]] = [("", self)]
        while waiting:  # by every path, where `named_modules` takes each module once
            path, module = waiting.pop()
            for key, value in module.__dict__.items():
                name = _join(path, key)
                if isinstance(value, Module):
                    waiting.append((name, value))
                elif listed.get(id(value), name) != name:
                    further[name] = listed[id(value)]
        return further

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

    # ---- how it shows itself

    def extra_repr(self) -> str:
        """What a layer says of itself beside its class: '30->10'. For subclasses to override."""
        return ""

    def _label(self) -> str:
        """The class with what the layer says of itself: 'Linear 30->10'."""
        return f"{type(self).__name__} {self.extra_repr()}".rstrip()

    def __repr__(self) -> str:
        inside = [self.extra_repr()] if self.extra_repr() else []
        children = [f"({key}): {child!r}".replace("\n", "\n  ") for key, child in self.named_children()]
        if not children:
            return f"{type(self).__name__}({''.join(inside)})"
        return f"{type(self).__name__}(\n  " + "\n  ".join([*inside, *children]) + "\n)"

    def summary(self, inputs: Any = None) -> str:
        """A table of the model: each layer's name, type, output shape, number of parameters, trainable or frozen.

        The output shapes come from one forward in evaluation mode, which leaves the model, its hooks and the random
        streams as they were.

        Args:
            inputs: the shape of a batch, such as (32, 64); or an example batch (a Tensor or array; a tuple of them for
                several inputs); without it the output shapes are left out.
        """
        return summarize(self, inputs)

    # ---- copies (copy.deepcopy, pickle): independent, with links of their own and without the original's hooks

    def __getstate__(self) -> dict[str, Any]:
        owned = [key for key, value in self.__dict__.items() if isinstance(value, Parameter) and value.owner is self]
        placed = [key for key, value in self.named_children() if value._home() == (self, key)]
        return {**self.__dict__, "_hooks": None, "_place": None, "_claimed": [*owned, *placed]}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        claimed = attributes.pop("_claimed")
        self.__dict__.update(attributes)
        for key in claimed:
            self.__dict__[key]._claim(self, key)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _moved(array: Any, device: str | None, dtype: Any) -> Any:
    if dtype is not None and array.dtype.kind == "f":
        array = array.astype(dtype, copy=False)
    return array if device is None else backend.to_device(array, device)


def _is_dtype(value: Any) -> bool:
    """Whether what stands in the place of a device is a dtype: np.float64 or 'float64'."""
    try:
        return value is not None and np.dtype(value) is not None
    except TypeError:
        return False
