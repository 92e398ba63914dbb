"""How often the program had to wait for the device."""

from __future__ import annotations

_waits: list[str] = []


def synchronize(what: str) -> None:
    """Note one wait; `what` says which call caused it."""
    _waits.append(what)


def synchronizations() -> tuple[str, ...]:
    """What made the program wait since the last reset, in order: `("float()", "asnumpy")`."""
    return tuple(_waits)


def reset_synchronizations() -> None:
    """Start counting anew."""
    _waits.clear()
