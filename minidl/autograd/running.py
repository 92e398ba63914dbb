"""Which layers are being called: read from the running program's frames, so that nobody has to keep account of it."""

from __future__ import annotations

import sys
from types import FrameType


def layers_now() -> tuple[str, ...]:
    """The dotted names of the modules whose `forward` is running, the innermost first; of a model itself its class."""
    found: dict[str, None] = {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "forward" and code.co_argcount:
            module = frame.f_locals.get(code.co_varnames[0])
            path = getattr(type(module), "_path", None)  # a module has it, an op has not
            if path is not None:
                found[path(module) or type(module).__name__] = None
        frame = frame.f_back
    return tuple(found)


def within(layer: str, layers: tuple[str, ...] | None) -> bool:
    """Whether one of `layers` is `layer` or a part of it."""
    return any(path == layer or path.startswith(f"{layer}.") for path in layers or ())
