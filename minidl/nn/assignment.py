"""Which value may be assigned to which attribute of a Module, and what the error says about one that may not."""

from __future__ import annotations

from typing import Any

from minidl.errors import meant_by
from minidl.habits.answers import answer
from minidl.nn.mistakes import hidden, misspelt_init
from minidl.nn.parameter import Parameter
from minidl.tensors.tensor import Tensor

_OWN = ("training", "_hooks", "_place", "_buffers", "forward")  # attributes of every Module
_MAY_BE_HIDDEN = ("layers",)  # what many call their layers; everything in minidl asks `layer_parameters()`


def check_assignment(module: Any, module_class: type, name: str, value: Any) -> None:
    """Raise if `module.name = value` would lose or hide a parameter or a module.

    Raises:
        AttributeError: super().__init__() was not called, or the name is one of Module's own, or of its methods.
        TypeError: a parameter, module or buffer would be replaced by something else; a list of modules.
        ValueError: the name has a dot or is empty, or the module would contain itself.
    """
    kind = type(module).__name__
    if isinstance(value, (Parameter, module_class)):
        _check_name(module, module_class, name, value)
        return
    hides = callable(getattr(module_class, name, None)) and name not in _MAY_BE_HIDDEN
    if (name == "forward" or hides) and not callable(value):
        raise AttributeError(_hiding(kind, name, value))
    if value is None:
        return
    held = module.__dict__.get(name)
    if isinstance(held, Parameter):
        raise TypeError(
            f"{kind}.{name} is a parameter and cannot become {_kind(value)}: wrap it, nn.Parameter(value), or write "
            f"the values: module.{name}.data = array"
        )
    if isinstance(held, module_class):
        raise TypeError(
            f"{kind}.{name} is a module and cannot become {_kind(value)}: assign a Module, or delete it first: "
            f"del module.{name}"
        )
    if name in module.__dict__.get("_buffers", ()) and not isinstance(value, Tensor):
        raise TypeError(f"{kind}.{name} is a buffer and cannot become {_kind(value)}: wrap it, md.Tensor(value)")
    contents = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    members = {id(x) for x in contents if isinstance(x, (Parameter, module_class))}
    if members and not members <= {id(x) for x in (*module.modules(), *module.parameters())}:
        raise TypeError(hidden(module, name, value))


def missing_attribute(module: Any, module_class: type, name: str) -> str:
    """What to say when a module has no attribute `name`."""
    kind = type(module).__name__
    if "training" not in module.__dict__:
        return f"{kind} has no {name!r}: {kind}.__init__ must call super().__init__() before it assigns anything"
    if name == "forward":
        classes = [cls for cls in type(module).__mro__ if cls is not module_class]
        written = meant_by("forward", (key for cls in classes for key in vars(cls)))
        remark = f"; it has {written!r}" if written else ""
        return f"{kind} does not say what it computes: define forward(self, x) in the class{remark}"
    held = [key for key, value in module.__dict__.items() if isinstance(value, (Parameter, module_class))]
    remark = misspelt_init(type(module)) or answer("Module", name)
    return f"{kind} has no attribute {name!r}; it holds {', '.join(held) or 'nothing'}{remark}"


def _check_name(module: Any, module_class: type, name: str, value: Any) -> None:
    """Raise unless the Parameter or Module `value` may be registered as `name`."""
    kind = type(module).__name__
    if "training" not in module.__dict__:
        raise AttributeError(
            f"{kind}.__init__ must call super().__init__() before it assigns {_kind(value)} to self.{name}"
        )
    if (hasattr(module_class, name) and name not in _MAY_BE_HIDDEN) or name in _OWN:
        raise AttributeError(_hiding(kind, name, value))
    if not name or "." in name:
        raise ValueError(f"the name of {_kind(value)} must not be empty or contain a dot; got {name!r}")
    if isinstance(value, module_class) and any(inner is module for inner in value.modules()):  # type: ignore[attr-defined]
        raise ValueError(f"{kind}.{name} = {_kind(value)} would make the module contain itself")


def _hiding(kind: str, name: str, value: Any) -> str:
    return f"{kind}.{name} = {_kind(value)} would hide {name!r} of every Module; use another name, such as {name}_"


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
