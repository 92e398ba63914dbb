"""`md.break_on`: stop in the debugger where an op, a layer, a step or a condition is met."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

from minidl.autograd.function import Function
from minidl.autograd.hooks import RemovableHandle, after_step, before_step
from minidl.autograd.modes import OBSERVED, mode
from minidl.autograd.observing import Observer, leave, observe, observers
from minidl.autograd.running import layers_now, within
from minidl.autograd.variable import Source, extras_of
from minidl.checks import choice, whole
from minidl.errors import warn
from minidl.functional import ops
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.stepper.stopping import stopping
from minidl.types import ArrayOrTensor

_HANDED = (
    "it is called as when(op, *inputs) in the forward, when(op, grad_out, *saved) in the backward and "
    "when(optimizer, *gradients) in an update: phase= chooses one"
)
_WAITING = "_minidl_waiting"  # an attribute of the classes made here: the breakpoints, each with what it asks
FORWARD, BACKWARD, UPDATE = PHASES = ("forward", "backward", "update")


class break_on(Observer):  # noqa: N801 - used as the function it reads as
    """Drop into the debugger where all that is asked for is met.

        with md.break_on(op="Mul", phase="backward"):
            loss.backward()

        stop = md.break_on(layer="fc1", step=3)  # from here on, until stop.remove()

    What the debugger shows is the op's own `forward` or `backward`, before its first line, with its arrays; the op that
    stops runs its plain lines even where a faster version would run. In an update it is the optimizer's
    `update_layer`. The debugger is whichever `breakpoint()` calls: pdb, that of your editor or notebook;
    PYTHONBREAKPOINT=0 turns all of them off. It stops in the thread (or task) in which it was set.

    Args:
        op: the op's name, as `tensor._op` shows it, or its class: "Mul", md.ops.Mul, your own op; for an update the
            optimizer's: "SGD". (`dir(md.ops)` lists all; a function may choose among several.)
        layer: the dotted name of a module, "encoder.fc1": stop only at ops called inside it, and at its update. (The
            breakpoint has to be there in the forward, for the backward to know.)
        phase: "forward", "backward" or "update"; by default all.
        step: only in the optimizer step with this number, from 1, counted from when the breakpoint was set; what comes
            before it, forward and backward, belongs to it.
        when: a function of the op and of the arrays it is about to be handed that returns True where to stop. In the
            forward these are its inputs, `when(op, *inputs)`; in the backward `when(op, grad_out, *saved)`; in an
            update `when(optimizer, *gradients_of_the_layer)`. Give `phase` too, unless it takes all of these.

    Raises:
        ValueError: there is no such op, phase or step; nothing was asked for.
        TypeError: `op` is no op, `layer` no text, or `when` cannot be called.
    """

    def __init__(
        self,
        op: str | type[Any] | None = None,
        layer: str | None = None,
        phase: str | None = None,
        step: int | None = None,
        when: Callable[..., Any] | None = None,
    ) -> None:
        if all(asked is None for asked in (op, layer, phase, step, when)):
            raise ValueError("break_on: say where to stop: op=, layer=, phase=, step=, when= or several of them")
        if phase is not None:
            choice(phase, "break_on: phase", PHASES)
        self.op = None if op is None else _op_named(op, phase)
        if layer is not None and (not isinstance(layer, str) or not layer):
            raise TypeError(f"break_on: expected layer as a dotted name, 'encoder.fc1'; got {_short(layer)}")
        if when is not None and not callable(when):
            raise TypeError(f"break_on: expected when as a function of the op and its arrays; got {_short(when)}")
        self.layer, self.phase, self.when = layer, phase, when
        self.step = None if step is None else whole(step, "break_on: step")
        self.stops = 0
        self._steps = 0  # that were made
        self._layers: dict[str, None] = {}  # that were seen
        self._ops: dict[str, None] = {}
        self._changed: list[tuple[Any, type[Any]]] = []  # ops that may still stop, with the class each had
        self._stepping: list[tuple[Any, type[Any]]] = []  # optimizers that are in a step, likewise
        self._removed = False
        self._hooks = RemovableHandle(before_step, self._before_step), RemovableHandle(after_step, self._after_step)
        observe(self)

    def __repr__(self) -> str:
        asked = {"op": self.op, "layer": self.layer, "phase": self.phase, "step": self.step, "when": self.when}
        words = [f"{name}={_shown(x)}" for name, x in asked.items() if x is not None]
        times = f"stopped {self.stops} time{'' if self.stops == 1 else 's'}"
        return f"break_on({', '.join(words)}; {times}{', removed' if self._removed else ''})"

    def remove(self) -> None:
        """Stop no more; a second call does nothing. Warns if the op or layer it waited for was never called."""
        if self._removed:
            return
        self._removed = True
        leave(self)
        self._restore()
        for optimizer, _ in list(self._stepping):
            self._end_of_step(optimizer)
        for hook in self._hooks:
            hook.remove()
        if self.layer is not None and self._layers and not within(self.layer, tuple(self._layers)):
            warn(f"break_on(layer={self.layer!r}): no such layer was called; there were {_first(self._layers)}")
        elif isinstance(self.op, str) and self._ops and self.op not in self._ops:
            warn(f"break_on(op={self.op!r}): no such op was called; there were {_first(self._ops)}")

    def __enter__(self) -> break_on:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    # ---- what it observes

    def before_forward(self, op: Any, inputs: tuple[Any, ...]) -> None:
        """Stop in the op's `forward`, if that is asked for."""
        self._restore()
        if self._fits(op, FORWARD) and self._in_layer(self._now()) and self._true(op, inputs):
            self._stop_in(op, "forward")

    def after_forward(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """Remember in which layer the op was called, for its backward."""
        self._restore()
        if self.layer is not None and result._op is op:
            extras_of(op).layers = self._now()

    def before_backward(self, node: Any, grad_out: ArrayOrTensor) -> None:
        """Stop in the op's `backward`, if that is asked for."""
        self._restore()
        layers = node._extras.layers if node._extras is not None else None
        if self._fits(node, BACKWARD) and self._in_layer(layers) and self._true(node, (grad_out, *node.saved())):
            self._stop_in(node, "backward")

    def after_backward(self, node: Any, grad_out: ArrayOrTensor, input_grads: tuple[Any, ...]) -> None:
        """It has stopped."""
        self._restore()

    def _before_step(self, optimizer: Any) -> None:
        if self not in observers():  # of another thread
            return
        self._end_of_step(optimizer)  # of one that was left by an error
        if not self._fits(optimizer, UPDATE):
            return
        cls = type(optimizer)
        whole_step = cls.plain.update_all is not Optimizer.update_all
        self._stop_in(optimizer, "update_all" if whole_step else "update_layer")

    def _after_step(self, optimizer: Any) -> None:
        if self in observers():
            self._end_of_step(optimizer)
            self._steps += 1

    # ---- whether it stops

    def _fits(self, what: Any, phase: str) -> bool:
        if self._removed or self.phase not in (None, phase) or self.step not in (None, self._steps + 1):
            return False
        self._ops[what.plain.__name__] = None
        return self.op is None or (
            what.plain.__name__ == self.op if isinstance(self.op, str) else issubclass(what.plain, self.op)
        )

    def _now(self) -> tuple[str, ...]:
        """The layers that are being called; none are looked for if no layer was asked for."""
        if self.layer is None:
            return ()
        layers = layers_now()
        self._layers |= dict.fromkeys(layers)
        return layers

    def _in_layer(self, layers: tuple[str, ...] | None) -> bool:
        return self.layer is None or within(self.layer, layers)

    def _true(self, what: Any, seen: tuple[Any, ...]) -> bool:
        """What `when` says of it."""
        if self.when is None:
            return True
        before = mode.set(mode.get() & ~OBSERVED)  # what it computes is not looked at
        waiting, stops = _waiting_for(what), type(what)
        if waiting:
            what.__class__ = stops.was  # the class it is known by
        try:
            return self._said_by(self.when, what, [x._data if isinstance(x, Source) else x for x in seen])
        except Exception as error:
            error.add_note(
                f"in the function `when` of {self!r}, called with {what!r} and {len(seen)} arrays; {_HANDED}"
            )
            raise
        finally:
            if any(other._waits_for(what) for other in waiting):  # it may have removed some
                what.__class__ = stops
            mode.reset(before)

    def _said_by(self, when: Callable[..., Any], what: Any, arrays: list[Any]) -> bool:
        found = when(what, *arrays)
        try:
            return bool(found)
        except ValueError as error:  # an array
            raise ValueError(
                f"break_on: when must return True or False; got {_short(found)}: use .any() or .all()"
            ) from error

    # ---- how it stops

    def _stop_in(self, what: Any, method: str) -> None:
        """Let the next call of `method` of an op or optimizer stop: until then it is of a class that does."""
        waiting = _waiting_for(what)  # other breakpoints, which have met it just now
        cls, was = (type(what).stands_for, type(what).was) if waiting else (what.plain, type(what))
        once = method in ("forward", "backward")

        def reached(this: Any, *arguments: Any) -> bool:
            if once:
                this.__class__ = cls
            if not self._waits_for(this):  # removed meanwhile, or a copy that somebody has kept
                return False
            if method == "update_layer":
                name, trained = arguments
                return self._in_layer((name,)) and self._true(this, tuple(p.gradient for p in trained))
            return once or self._true(this, ())

        waiting[self] = reached

        def any_reached(this: Any, *arguments: Any) -> bool:
            """All are asked, and it stops once."""
            met = [other for other, asked in waiting.items() if asked(this, *arguments)]
            left = [other for other in met if not other._removed]  # by the `when` of one that was asked later
            for other in left:
                other.stops += 1
            return bool(left)

        home = cls.__module__ if getattr(cls, "foreign", False) else __name__  # an op of yours stays one
        names = {method: stopping(getattr(cls, method), any_reached), "__slots__": (), "__module__": home,
                 "stands_for": cls, "was": was, _WAITING: waiting}  # fmt: skip
        stops = type(cls)(cls.__name__, (cls,), names)
        stops.__qualname__ = cls.__qualname__
        what.__class__ = stops
        (self._changed if once else self._stepping).append((what, was))

    def _restore(self) -> None:
        """Give back its class to an op that has not been called, or has been."""
        changed, self._changed = self._changed, []
        self._give_back(changed)

    def _end_of_step(self, optimizer: Any) -> None:
        ended = [(what, was) for what, was in self._stepping if what is optimizer]
        self._stepping = [(what, was) for what, was in self._stepping if what is not optimizer]
        self._give_back(ended)

    def _give_back(self, changed: list[tuple[Any, type[Any]]]) -> None:
        """Their classes; unless another breakpoint waits for one of them too."""
        for what, was in changed:
            waiting = _waiting_for(what)
            if waiting and not any(other._waits_for(what) for other in waiting):
                what.__class__ = was

    def _waits_for(self, what: Any) -> bool:
        return any(what is one for one, _ in (*self._changed, *self._stepping))


def _waiting_for(what: Any) -> dict[break_on, Callable[..., bool]]:
    """The breakpoints that wait for an op or optimizer, each with what it asks when that is called."""
    return dict(vars(type(what)).get(_WAITING, {}))


# ---- which op


def _first(names: Iterable[str]) -> str:
    return ", ".join(map(repr, list(names)[:8]))


def _shown(x: Any) -> str:
    """A name or number as it is, a class or function by its name."""
    return repr(x) if isinstance(x, (str, int)) else str(getattr(x, "__name__", type(x).__name__))


def _short(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= 60 else type(x).__name__


def _below(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        if subclass.plain is subclass and _WAITING not in vars(subclass):  # no faster version
            yield subclass
        yield from _below(subclass)


def _op_named(op: Any, phase: str | None) -> str | type[Any]:
    """`op` as the user gave it, if there is such an op or optimizer in such a phase."""
    roots = {FORWARD: (Function,), BACKWARD: (Function,), UPDATE: (Optimizer,)}.get(phase or "", (Function, Optimizer))
    if isinstance(op, type) and issubclass(op, (Function, Optimizer)):
        cls: type[Any] = op.plain
        if not issubclass(cls, roots):
            kind = "an op, and ops have" if issubclass(cls, Function) else "an optimizer, and optimizers have"
            raise ValueError(f"break_on: {cls.__name__} is {kind} no {phase}")
        return cls
    if isinstance(op, type) and issubclass(op, Module):
        raise TypeError(f"break_on: {op.__name__} is a layer's class; name the layer, as in layer='fc1'")
    if isinstance(op, FunctionType):
        raise TypeError(
            f"break_on: {op.__name__} is a function; give the op that it calls, or its name"
            f"{_nearest(op.__name__, set(dir(ops)))}"
        )
    if not isinstance(op, str):
        raise TypeError(f"break_on: expected op as a name or a class, 'Mul' or md.ops.Mul; got {_short(op)}")
    names = {cls.__name__ for root in roots for cls in _below(root)}
    if op not in names:
        raise ValueError(
            f"break_on: there is no {'optimizer' if phase == UPDATE else 'op'} called {_short(op)}"
            f"{_nearest(op, names)}; md.ops has those of minidl, and `tensor._op` says which one made a tensor"
        )
    return op


def _nearest(name: str, names: set[str]) -> str:
    by_letters = {other.lower(): other for other in sorted(names) if not other.startswith("_")}
    like = difflib.get_close_matches(name.lower().replace("_", ""), by_letters, n=3, cutoff=0.6)
    return f": did you mean {' or '.join(repr(by_letters[found]) for found in like)}?" if like else ""
