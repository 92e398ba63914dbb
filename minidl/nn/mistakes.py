"""Your first layer: what is said where it is made, called or filled otherwise than a Module has to be."""

from __future__ import annotations

from typing import Any

from minidl.errors import takes

_INIT = ("init", "int", "inti")  # what is written for __init__, beside its underscores


def refuse_options(cls: Any) -> None:
    """Raise a TypeError for a module that is given something when it is made, though its `__init__` takes nothing."""
    if takes(cls.__init__) == ("self",) and not cls.__init__.__code__.co_flags & 0xC:  # neither *args nor **kwargs
        inputs = ", ".join(takes(cls.forward)[1:]) if hasattr(cls, "forward") else "x"
        raise TypeError(
            f"{cls.__name__} takes no options: a module is made first and then called with its inputs, "
            f"{cls.__name__}()({inputs})"
        )


def call_remark(module: Any, error: Exception) -> str:
    """What to add about an error in a module's call, if its forward takes other inputs than it was called with."""
    at_the_call = error.__traceback__ is not None and error.__traceback__.tb_next is None
    if not isinstance(error, TypeError) or not at_the_call or not hasattr(module, "forward"):
        return ""
    names = takes(module.forward)
    if names[:1] != ("self",):
        return ". The first parameter of a method is the module itself: def forward(self, x)"
    return f". Its forward takes ({', '.join(names[1:])})"


def misspelt_init(cls: type[Any]) -> str:
    """What to add about a class without `__init__` that has a method of nearly that name."""
    written = next((name for name in vars(cls) if name != "__init__" and name.strip("_").lower() in _INIT), None)
    return f"; {cls.__name__} has {written!r}: is __init__ meant, with two underscores on each side?" if written else ""


def refuse_hidden(modules: list[tuple[str, Any]], module_class: type, parameter_class: type) -> None:
    """Refuse modules and parameters that were put into a plain list or dict of one of these modules, and only there.

    Raises:
        TypeError: it names the attribute.
    """
    held: set[int] = set()
    lists = []
    for _, module in modules:
        held.add(id(module))
        for key, value in module.__dict__.items():
            if isinstance(value, parameter_class):
                held.add(id(value))
            elif isinstance(value, (list, tuple, dict)):
                lists.append((module, key, value))
    for module, key, value in lists:
        contents = value.values() if isinstance(value, dict) else value
        if any(isinstance(x, (module_class, parameter_class)) and id(x) not in held for x in contents):
            raise TypeError(hidden(module, key, value))


def hidden(module: Any, key: str, value: Any) -> str:
    """What to say of modules or parameters in a list or dict that is an attribute of a module."""
    return (
        f"{type(module).__name__}.{key} = a {type(value).__name__} with modules or parameters in it: nobody would find "
        f"them there, so no optimizer would train them. Use nn.Sequential or nn.ModuleList, nn.ModuleDict, or an "
        f"attribute for each"
    )
