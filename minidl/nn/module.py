"""Module: the class of every layer and every model. What is called in training is here; more methods: methods.py."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from minidl.errors import describe
from minidl.nn.assignment import check_assignment, missing_attribute
from minidl.nn.display import module_text
from minidl.nn.hooks import ModuleHooks, call_with_hooks
from minidl.nn.methods import ModelMethods
from minidl.nn.mistakes import call_remark, refuse_hidden
from minidl.nn.parameter import Parameter
from minidl.nn.state import dotted
from minidl.tensors.tensor import Tensor
from minidl.types import TensorLike


class Module(ModelMethods):
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
            self._add_note(error, inputs)
            raise

    def _add_note(self, error: Exception, inputs: tuple[Any, ...]) -> None:
        """Add to an error in `forward` in which layer it happened, unless a module inside this one has done so."""
        if any(note.startswith("in layer ") for note in getattr(error, "__notes__", ())):
            return
        path, label = self._path(), self._label()
        where = f"{path!r} ({label})" if path else label
        came = ", ".join(describe(x) for x in inputs) or "nothing"
        error.add_note(f"in layer {where}, called with {came}{call_remark(self, error)}")

    # ---- the parameters and modules it holds

    def __setattr__(self, name: str, value: Any) -> None:
        check_assignment(self, Module, name, value)
        object.__setattr__(self, name, value)
        if isinstance(value, (Parameter, Module)):
            value._claim(self, name)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(missing_attribute(self, Module, name), name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self.__dict__["_buffers"] = tuple(key for key in self._buffers if key != name)

    def register_buffer(self, name: str, value: TensorLike) -> None:
        """Keep a tensor that is not learned but belongs to the state: saved with it, and moved by `to`.

        Args:
            name: the attribute it becomes.
            value: a Tensor or array.

        Raises:
            AttributeError: there is another attribute of that name.
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
        return [value for value in self.__dict__.values() if isinstance(value, Module)]

    def named_modules(self) -> list[tuple[str, Module]]:
        """(dotted name, module) for this module, named '', and all below it; parents first, each once."""
        found: dict[int, tuple[str, Module]] = {}
        waiting: list[tuple[str, Module]] = [("", self)]
        while waiting:
            name, module = waiting.pop()
            if id(module) not in found:
                found[id(module)] = name, module
                waiting += [(dotted(name, key), child) for key, child in reversed(module.named_children())]
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
        refuse_hidden(modules, Module, Parameter)
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
                        own.append((dotted(name, key), value))
            if own:
                layers.append((name or type(self).__name__, module, own))
        return layers

    def layers(self) -> list[tuple[str, Module]]:
        """(dotted name, module) of every module that owns parameters itself: "the layers" of the model.

        A model with an attribute of this name hides it, and has `layer_parameters()`.
        """
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
        return [(dotted(name, key), module.__dict__[key]) for name, module in modules for key in module._buffers]

    # ---- its place in a model

    def _claim(self, module: Module, key: str) -> None:
        """Make `module`, which has this one as its attribute `key`, the parent that names it, unless there is one."""
        if self._parent() is None:
            self._place = weakref.ref(module), key

    def _parent(self) -> tuple[Module, str] | None:
        """The module this one belongs to and its name there; None for a model by itself."""
        place: tuple[weakref.ref[Module], str] | None = self.__dict__.get("_place")
        parent = None if place is None else place[0]()
        if place is None or parent is None or parent.__dict__.get(place[1]) is not self:
            return None
        return parent, place[1]

    def _path(self) -> str:
        """The dotted name of this module in the model it belongs to, 'encoder.fc1'; '' for the model itself."""
        keys: list[str] = []
        parent = self._parent()
        while parent is not None:
            keys.append(parent[1])
            parent = parent[0]._parent()
        return ".".join(reversed(keys))

    # ---- how it shows itself

    def extra_repr(self) -> str:
        """What a layer says of itself beside its class: '30->10'. For subclasses to override."""
        return ""

    def _label(self) -> str:
        """The class with what the layer says of itself: 'Linear 30->10'."""
        return f"{type(self).__name__} {self.extra_repr()}".rstrip()

    def __repr__(self) -> str:
        return module_text(self)

    # ---- copies (copy.deepcopy, pickle): independent, with their own owners and parents, and without hooks

    def __getstate__(self) -> dict[str, Any]:
        owned = [key for key, value in self.__dict__.items() if isinstance(value, Parameter) and value.owner is self]
        placed = [key for key, value in self.named_children() if value._parent() == (self, key)]
        return {**self.__dict__, "_hooks": None, "_place": None, "_claimed": [*owned, *placed]}

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        claimed = attributes.pop("_claimed")
        self.__dict__.update(attributes)
        for key in claimed:
            self.__dict__[key]._claim(self, key)
