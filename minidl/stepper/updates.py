"""Updates: writes onto a tape what an optimizer's step, or the program by hand, does to the weights."""

from __future__ import annotations

from typing import Any

from minidl.stepper.events import UPDATE, Event
from minidl.stepper.registry import Registry, alike


class Updates:
    """The steps of optimizers, as a recorder sees them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tape = registry.tape
        self._before: dict[int, list[tuple[str, Any, int, Any]]] = {}  # by the id of an optimizer: what it will update

    def begin(self, optimizer: Any) -> None:
        """A step begins: look at its weights, and at their gradients as they are now, after any clipping."""
        named = [(name, p) for name, p in optimizer._parameters() if p._grad is not None and p._requires_grad]
        self._before[id(optimizer)] = [
            (name, p, self._registry.value_of(p, None), self._registry.keep(p._grad._data)) for name, p in named
        ]

    def end(self, optimizer: Any) -> None:
        """A step has ended: an event for each weight."""
        reports = optimizer.layer_report()
        layers = {name: layer.name for layer in optimizer.layers for name, _ in layer.parameters}
        line = self._registry.frames.look().line
        for name, p, value, gradient in self._before.pop(id(optimizer), []):
            before, after = self._tape.values[value].contents[-1][1], self._registry.keep(p._data)
            numbers = {"lr": float(optimizer.lr), "step": float(optimizer.step_count)}
            report, scale = reports.get(layers.get(name, "")), optimizer.scales.get(name)
            if report is not None:
                numbers |= {"multiplier": report.multiplier, "rate": report.rate, "gradient_norm": report.grad_norm}
            if scale is not None:
                numbers |= {"scale_lr": float(scale.lr), "scale_decay": float(scale.decay)}
            if optimizer.weight_decay:
                numbers["weight_decay"] = float(optimizer.weight_decay)
            self._registry.note_update(value, p, after)
            self._tape.events.append(
                Event(
                    len(self._tape.events), UPDATE, type(optimizer).__name__, repr(optimizer.layer_rate),
                    inputs=(value,), output=value, gradient=gradient, before=before, after=after, numbers=numbers,
                    caller=line, step=self._registry.step,
                )
            )  # fmt: skip
        self._registry.step += 1

    def note_writes(self, line: int | None, counted: bool = True) -> None:
        """An event for each leaf that the program has written to since it was last looked at: w -= 0.1 * w.grad.

        Args:
            line: the line that did so, if it is known.
            counted: only those whose writes were counted; else all whose numbers have changed, by whatever.
        """
        for x, value in self._registry.leaves():
            if counted and not self._registry.was_written(x):
                continue
            before, after = self._tape.values[value].contents[-1][1], self._registry.keep(x._data)
            if alike(before, after):
                continue
            gradient = None if x._grad is None else self._registry.keep(x._grad._data)
            self._registry.note_update(value, x, after)
            self._tape.events.append(
                Event(
                    len(self._tape.events), UPDATE, "write", inputs=(value,), output=value, gradient=gradient,
                    before=before, after=after, line=line, step=self._registry.step,
                    note="written in place by the program",
                )
            )  # fmt: skip

    def let_go(self) -> None:
        """Forget steps that did not end."""
        self._before = {}
