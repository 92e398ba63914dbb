"""How modules show themselves: `repr(model)`, and the options in `extra_repr`."""

from __future__ import annotations

import inspect
from typing import Any


def module_text(module: Any) -> str:
    """What `repr(module)` gives: the class with its options and, on lines of their own, the modules inside it."""
    options = [module.extra_repr()] if module.extra_repr() else []
    children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in module.named_children()]
    if not children:
        return f"{type(module).__name__}({''.join(options)})"
    return f"{type(module).__name__}(\n  " + "\n  ".join([*options, *children]) + "\n)"


def options_text(module: Any, *first: str) -> str:
    """An `extra_repr` such as '8, eps=0.1': the texts `first`, then each option of `__init__` that is not its default.

    An option is found by its name among the module's attributes.
    """
    parts = list(first)
    for name, option in inspect.signature(type(module)).parameters.items():
        value, default = vars(module).get(name, option.default), option.default
        if default is option.empty or not isinstance(value, (bool, int, float, str, tuple, type(None))):
            continue
        if isinstance(value, tuple):  # one number for all axes was given, and is kept once for each
            value, default = sizes_text(value), sizes_text((default,) * len(value))
        elif value is None and default is True:  # bias=False leaves None in the place of the parameter
            value = False
        if value != default:
            parts.append(f"{name}={value}")
    return ", ".join(parts)


def sizes_text(sizes: Any) -> str:
    """The lengths of several axes in words: '3x3' for (3, 3); anything else as it is."""
    return "x".join(map(str, sizes)) if isinstance(sizes, tuple) else str(sizes)
