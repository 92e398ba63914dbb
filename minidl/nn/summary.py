"""The table that `Module.summary` returns."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.modes import no_grad
from minidl.autograd.variable import Variable
from minidl.errors import DTypeError
from minidl.nn.hooks import ModuleHooks
from minidl.nn.parameter import Parameter
from minidl.tables import Text, text_table
from minidl.tensors.array import DEFAULT_DTYPE
from minidl.tensors.tensor import Tensor

_HEAD = ("layer", "type", "output shape", "parameters", "")


def summarize(model: Any, inputs: Any = None) -> Text:
    """The table of `model`; see `Module.summary`."""
    shapes = {} if inputs is None else _shapes_for(model, inputs)
    own = {id(layer): parameters for _, layer, parameters in model.layer_parameters()}
    rows = []
    for name, module in model.named_modules():
        parameters = [parameter for _, parameter in own.get(id(module), [])]
        if module.children() and not parameters:
            continue  # a container: its layers have rows of their own
        count = sum(parameter.size for parameter in parameters)
        note = _tied(module, parameters) or _trainable(parameters)
        rows.append((name or "(model)", module._label(), shapes.get(id(module), ""), f"{count:,}", note))
    header = _HEAD if shapes else (*_HEAD[:2], "", *_HEAD[3:])
    return Text("\n".join([text_table([header, *rows], numbers=(3,)), *_totals(model.parameters())]))


def _shapes_for(model: Any, inputs: Any) -> dict[int, str]:
    """`output_shapes` for an example, or for zeros in the shape of a batch: floating, or else whole numbers.

    Whole numbers are what a model takes that begins with an embedding.
    """
    examples, given = _as_inputs(model, inputs)
    try:
        return output_shapes(model, examples)
    except Exception as error:
        if given:
            raise
        if isinstance(error, DTypeError):
            with suppress(Exception):
                return output_shapes(model, tuple(x.astype(np.int64) for x in examples))
        error.add_note(
            f"in summary, called with zeros in the shape {tuple(inputs)} of a batch, {examples[0].dtype}: if the model "
            f"takes something else, give it an example batch, model.summary(x), or a tuple of its several inputs"
        )
        raise


def output_shapes(model: Any, inputs: tuple[Any, ...]) -> dict[int, str]:
    """The shape of what each module returns (by id), found by one forward that leaves the model as it was.

    The forward runs in evaluation mode, without recording and without the hooks of the user. Modes and hooks are put
    back also when it fails, and the random streams stay as they are.
    """
    shapes: dict[int, str] = {}

    def note(module: Any, _: tuple[Any, ...], output: Any) -> None:
        shapes.setdefault(id(module), _shape(output))

    before = [(module, module.training, module._hooks) for module in model.modules()]
    try:
        for module, _, _ in before:
            module.training, module._hooks = False, ModuleHooks()
            module._hooks.forward[0] = note
        with no_grad(), backend.random_apart():
            model(*inputs)
    finally:
        for module, training, hooks in before:
            module.training, module._hooks = training, hooks
    return shapes


def _as_inputs(model: Any, inputs: Any) -> tuple[tuple[Any, ...], bool]:
    """What the model is called with, and whether it was given: the example, or zeros of the shape that was given.

    Zeros are in the first parameter's dtype and place.
    """
    given = True
    if isinstance(inputs, Variable) or backend.is_array(inputs):
        examples: tuple[Any, ...] = (inputs,)
    elif isinstance(inputs, (tuple, list)) and all(isinstance(n, (int, np.integer)) for n in inputs):
        first = next(iter(model.parameters()), None)
        dtype, device = (DEFAULT_DTYPE, backend.current()) if first is None else (first.dtype, first.device)
        examples, given = (backend.to_device(np.zeros(tuple(inputs), dtype), device),), False
    elif isinstance(inputs, (tuple, list)):
        examples = tuple(inputs)
    else:
        raise TypeError(
            f"summary: expected the shape of a batch, such as (32, 64), or an example; got {type(inputs).__name__}"
        )
    return tuple(Tensor(x) if backend.is_array(x) else x for x in examples), given


def _shape(output: Any) -> str:
    if isinstance(output, (tuple, list)):
        return ", ".join(_shape(x) for x in output)
    return str(tuple(output.shape)) if hasattr(output, "shape") else type(output).__name__


def _trainable(parameters: list[Parameter]) -> str:
    trainable = sum(parameter.requires_grad for parameter in parameters)
    if not parameters:
        return ""
    return "trainable" if trainable == len(parameters) else "partly frozen" if trainable else "frozen"


def _tied(module: Any, own: list[Parameter]) -> str:
    """'tied to fc1' if some parameters of `module` belong to other layers."""
    listed = {id(parameter) for parameter in own}
    held = [value for value in module.__dict__.values() if isinstance(value, Parameter)]
    others = [str(value.name) for value in held if id(value) not in listed]
    return f"{_trainable(held)}, tied: {', '.join(others)}" if others else ""


def _totals(parameters: list[Parameter]) -> list[str]:
    total = sum(parameter.size for parameter in parameters)
    trainable = sum(parameter.size for parameter in parameters if parameter.requires_grad)
    size = sum(parameter.size * parameter.dtype.itemsize for parameter in parameters)
    parts = f"{trainable:,} trainable, {total - trainable:,} frozen"
    return [f"{total:,} parameters ({parts}), {_bytes(size)}"]


def _bytes(n: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.1f} {unit}" if unit != "bytes" else f"{n} bytes"
        n /= 1024
    return f"{n:.1f} GiB"
