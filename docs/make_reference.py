"""Write docs/reference.md: every operation, layer, loss, optimizer, model and data source, from the code.

python docs/make_reference.py            write it
python docs/make_reference.py --check    only say whether it is up to date (a test does)
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from pages import table, write_or_check

import minidl as md
import minidl.functional as F
from minidl import data, models, nn, optim
from minidl.autograd.function import Function
from minidl.data import transforms
from minidl.nn import init, loss
from minidl.training.checkpoint import load_checkpoint, save_checkpoint

HEAD = """\
# What there is

Made from the code by `python docs/make_reference.py`; a test fails when it is out of date. The first sentence of each
docstring stands here; `help(md.nn.Linear)` shows the rest.

Every operation has derivatives of any order, through the same lines, unless its row says otherwise. `F` is
`minidl.functional`, `md` is `minidl`.

Here PyTorch 2.13 is no measure: its `layer_norm`, `batch_norm` and `instance_norm` are wrong from the third derivative
on ([#175754](https://github.com/pytorch/pytorch/issues/175754),
[#186256](https://github.com/pytorch/pytorch/issues/186256)). minidl's are right: a test compares orders 1 to 4 of every
operation and layer with its formula, composed of elementary ones.
"""


def first_sentence(thing: Any) -> str:
    """What the docstring begins with, on one line."""
    text = (inspect.getdoc(thing) or "").split("\n\n")[0]
    line = " ".join(text.split())
    for end in re.finditer(r"[.;](?= |$)", line):
        if not line[: end.start()].endswith((" eq", " al", " sec", " ch", ".")):
            return line[: end.start()]
    return line.rstrip(":")


def signature(thing: Callable[..., Any]) -> str:
    """`name(x, axis=None)`, without types."""
    if getattr(thing, "_is_protocol", False):
        return thing.__name__
    parts: list[str] = []
    for p in inspect.signature(thing).parameters.values():
        if p.name == "unknown":  # where options of PyTorch's are answered
            continue
        if p.kind is p.KEYWORD_ONLY and "*" not in parts and not any(part.startswith("*") for part in parts):
            parts.append("*")
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f"={_default(p.default)}"
        parts.append(f"{star}{p.name}{default}")
    return f"{thing.__name__}({', '.join(parts)})"


def _default(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)


def ops_of(function: Callable[..., Any]) -> list[type[Function]]:
    """The op classes of its own file that a function of minidl.functional uses, itself or through a helper there."""
    file = inspect.getmodule(function)
    found: list[type[Function]] = []
    for name in function.__code__.co_names:
        used = getattr(file, name, None)
        if getattr(used, "__module__", None) != function.__module__:
            continue
        if isinstance(used, type) and issubclass(used, Function):
            found.append(used)
        elif inspect.isfunction(used) and name.startswith("_"):
            found += ops_of(used)
    return list(dict.fromkeys(found))


def operations() -> str:
    """The functions of minidl.functional, file by file."""
    by_file: dict[str, list[tuple[str, ...]]] = {}
    for name in F.__all__:
        function = getattr(F, name)
        file = Path(inspect.getsourcefile(function) or "").name
        ops = ops_of(function)
        words = first_sentence(function)
        if ops and not any(op.differentiable for op in ops):
            words += " (no gradient)"
        row = (f"`{signature(function)}`", words, ", ".join(f"`{op.__name__}`" for op in ops) or "composed of others")
        if row not in by_file.setdefault(file, []):
            by_file[file].append(row)
    parts = []
    for file in sorted(by_file):
        parts.append(f"### {file.removesuffix('.py')}\n\n`minidl/functional/{file}`\n")
        parts.append(table(("function", "computes", "op class"), by_file[file]) + "\n")
    return "\n".join(parts)


def listed(room: ModuleType, keep: Callable[[Any], bool], head: str) -> str:
    """The public things of a module that `keep` holds, with signature and first sentence."""
    names = getattr(room, "__all__", None) or [n for n, v in vars(room).items() if not n.startswith("_")]
    things = [getattr(room, name) for name in names]
    rows = [(f"`{signature(thing)}`", first_sentence(thing)) for thing in things if callable(thing) and keep(thing)]
    return table((head, "what it is"), rows) + "\n"


def from_here(room: ModuleType) -> Callable[[Any], bool]:
    """Whether something was defined in the module itself."""
    return lambda thing: getattr(thing, "__module__", "") == room.__name__


def is_subclass(*bases: type) -> Callable[[Any], bool]:
    """Whether something is a class below one of `bases`."""
    return lambda thing: isinstance(thing, type) and issubclass(thing, bases)


def reference() -> str:
    """The whole page."""

    def is_layer(thing: Any) -> bool:
        return is_subclass(nn.Module)(thing) and thing.__module__ != loss.__name__

    def is_initialiser(thing: Any) -> bool:
        return from_here(init)(thing) and thing.__name__.endswith("_")

    def is_transform(thing: Any) -> bool:
        return isinstance(thing, type) and from_here(transforms)(thing) and thing.__name__ not in data.__all__

    derivatives = [md.grad, md.vjp, md.jvp, md.jacobian, md.hessian, md.hvp, md.gradcheck, md.gradgradcheck]
    rows = [(f"`md.{signature(f)}`", first_sentence(f)) for f in derivatives]
    working = [md.fit, md.evaluate, md.save, md.load, md.seed, md.use, md.using, md.detect_anomaly, md.no_grad]
    working += [save_checkpoint, load_checkpoint, optim.clip_grad_norm_, optim.clip_grad_value_]
    everyday = [(f"`{signature(f)}`", f"`{f.__module__}`", first_sentence(f)) for f in working]
    curvature = [f for f in vars(md.curvature).values() if inspect.isfunction(f) and from_here(md.curvature)(f)]
    rows += [(f"`md.curvature.{signature(f)}`", first_sentence(f)) for f in curvature if not f.__name__.startswith("_")]
    return "\n".join(
        [
            HEAD,
            "## Operations: `minidl.functional`\n",
            operations(),
            "## Layers: `minidl.nn`\n",
            listed(nn, is_layer, "layer"),
            "## Losses as layers: `minidl.nn`\n",
            listed(nn, from_here(loss), "loss"),
            "## Initialisers: `minidl.nn.init`\n",
            listed(init, is_initialiser, "initialiser"),
            "## Derivatives: `minidl`, `minidl.derivatives.curvature`\n",
            table(("function", "computes"), rows) + "\n",
            "## Optimizers: `minidl.optim`\n",
            listed(optim, is_subclass(optim.Optimizer), "method"),
            "### Layer rates\n",
            listed(optim, is_subclass(optim.LayerRate), "rate"),
            "### Schedules\n",
            listed(optim, is_subclass(optim.Schedule), "schedule"),
            "## Training, files and modes\n",
            table(("function", "in", "what it does"), everyday) + "\n",
            "## Models: `minidl.models`\n",
            listed(models, inspect.isfunction, "model"),
            "## Data: `minidl.data`\n",
            listed(data, lambda thing: True, "data"),
            "### Transforms: `minidl.data.transforms`\n",
            listed(transforms, is_transform, "transform"),
        ]
    )


if __name__ == "__main__":
    sys.exit(write_or_check(__file__, reference()))
