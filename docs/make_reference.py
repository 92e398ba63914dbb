"""Write docs/reference.md: everything public by subject; and docs/reference/*.md: the same with examples, by package.

python docs/make_reference.py            write them
python docs/make_reference.py --check    only say whether they are up to date (a test does)
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from described import PACKAGES, anchors, first_sentence, methods, ops_of, page, rows, signature, words
from pages import table, write_or_check

import minidl as md
import minidl.functional as F
from minidl import nn, optim, training
from minidl.nn import loss

HEAD = """\
# What there is

Made from the code by `python docs/make_reference.py`; a test fails when it is out of date. The first sentence of each
docstring stands here. Each name leads to its example; `help(md.nn.Linear)` shows everything.

Every operation has derivatives of any order, through the same lines, unless its row says otherwise. `F` is
`minidl.functional`, `md` is `minidl`, `nn` is `md.nn`.

{contents}

Here PyTorch 2.13 is no measure: its `layer_norm`, `batch_norm` and `instance_norm` are wrong from the third derivative
on ([#175754](https://github.com/pytorch/pytorch/issues/175754),
[#186256](https://github.com/pytorch/pytorch/issues/186256)). minidl's are right: a test compares orders 1 to 4 of every
operation and layer with its formula, composed of elementary ones.
"""

CREATION = ["tensor", "arange", "eye", "full", "full_like", "linspace", "ones", "ones_like", "permutation", "rand"]
CREATION += ["randint", "randn", "zeros", "zeros_like"]
DERIVATIVES = ["grad", "vjp", "jvp", "jacobian", "hessian", "hvp", "gradcheck", "gradgradcheck"]
MODES = ["no_grad", "enable_grad", "is_grad_enabled", "detect_anomaly", "plain"]
STEPPING = ["record", "walk", "break_on"]
ERRORS = ["DTypeError", "DeviceError", "GraphError", "ShapeError"]
TOLD = {*CREATION, *DERIVATIVES, *MODES, *STEPPING, *ERRORS, "Tensor", "Function", "load", "save"}

CALLBACKS = """\
`fit(..., callbacks=[...])` takes objects with a method `on_step(state)`, `on_epoch(state)` or both; `state` is a
`TrainingState`. They are called when the checkpoint that is due has been written. To end the training, set
`state.stop = True`.
"""


def operations() -> str:
    """The functions of minidl.functional, file by file."""
    places = anchors("functional")
    by_file: dict[str, list[tuple[str, ...]]] = {}
    for name in F.__all__:
        function = getattr(F, name)
        ops = ops_of(function)
        text = words(name, function)
        if ops and not any(op.differentiable for op in ops):
            text += " (no gradient)"
        link = f"[`{signature(function, name)}`](reference/functional.md#{places.get(name, '')})"
        row = (link, text, ", ".join(f"`{op.__name__}`" for op in ops) or "composed of others")
        by_file.setdefault(Path(inspect.getsourcefile(function) or "").name, []).append(row)
    parts = []
    for file in sorted(by_file):
        parts.append(f"### {file.removesuffix('.py')}\n\n`minidl/functional/{file}`\n")
        parts.append(table(("function", "computes", "op class"), by_file[file]) + "\n")
    return "\n".join(parts)


def listed(file: str, keep: Callable[[str, Any], bool], head: str) -> str:
    """The public things of a package that `keep` holds, with signature and first sentence."""
    room, _ = PACKAGES[file]
    names = [name for name in anchors(file) if keep(name, getattr(room, name))]
    return table((head, "what it is"), rows(file, names)) + "\n"


def of(*names: str) -> Callable[[str, Any], bool]:
    """Whether something has one of the names."""
    return lambda name, thing: name in names


def below(*bases: type) -> Callable[[str, Any], bool]:
    """Whether something is a class below one of `bases`."""
    return lambda name, thing: isinstance(thing, type) and issubclass(thing, bases)


def members(cls: type) -> str:
    """The methods and attributes of a class."""
    return table((f"of a `{cls.__name__}`", "what it does"), methods(cls)) + "\n"


def files() -> str:
    """What writes files, and what reads them."""
    pairs = [
        ("weights and other arrays by name", md.save, md.load, "md."),
        ("a training that can go on", training.save_checkpoint, training.load_checkpoint, "md.training."),
        ("the course of a training", training.History.save, training.History.load, "History."),
        ("a recording", md.observe.FlowRecording.save, md.observe.FlowRecording.load, "FlowRecording."),
        ("a comparison", md.observe.RaceRecording.save, md.observe.RaceRecording.load, "RaceRecording."),
        ("a tape", md.stepper.Tape.save, md.stepper.Tape.load, "Tape."),
        ("a figure", md.plot.save_figure, None, "md.plot."),
    ]
    lines = []
    for what, write, read, prefix in pairs:
        texts = [f"`{prefix}{signature(f).replace('(self, ', '(')}`" if f is not None else "" for f in (write, read)]
        lines.append((what, *texts, first_sentence(write)))
    return table(("file", "written by", "read by", "how"), lines) + "\n"


def is_layer(name: str, thing: Any) -> bool:
    """Whether something is a layer, and no loss."""
    return below(nn.Module)(name, thing) and thing.__module__ != loss.__name__


def everything(name: str, thing: Any) -> bool:
    """All there is."""
    return True


def rest_of_optim(name: str, thing: Any) -> bool:
    """What is neither a method nor a rate nor a schedule."""
    return not below(optim.Optimizer, optim.LayerRate, optim.Schedule)(name, thing)


def sections() -> list[tuple[str, ...]]:
    """Heading and parts of each subject."""
    return [
        ("Tensors", listed("minidl", of("Tensor", *CREATION), "function"), members(md.Tensor)),
        ("Operations: `minidl.functional`", operations()),
        ("An operation of your own", listed("minidl", of("Function"), "class"), members(md.Function)),
        (
            "Layers: `minidl.nn`",
            listed("nn", is_layer, "layer"),
            members(nn.Module),
            listed("nn", of("Parameter"), "class"),
        ),
        ("Losses as layers: `minidl.nn`", listed("nn", lambda name, x: x.__module__ == loss.__name__, "loss")),
        ("Initialisers: `minidl.nn.init`", listed("init", everything, "initialiser")),
        (
            "Derivatives: `minidl`, `minidl.curvature`",
            listed("minidl", of(*DERIVATIVES), "function"),
            listed("curvature", everything, "of curvature"),
        ),
        (
            "Optimizers: `minidl.optim`",
            listed("optim", below(optim.Optimizer), "method"),
            members(optim.Optimizer),
            "### Layer rates\n",
            listed("optim", below(optim.LayerRate), "rate"),
            "### Schedules\n",
            listed("optim", below(optim.Schedule), "schedule"),
            "### Clipping, and what an optimizer tells\n",
            listed("optim", rest_of_optim, "name"),
        ),
        (
            "Training: `minidl`, `minidl.training`",
            "`md.fit` and `md.evaluate` are those of `md.training`.\n",
            listed("training", everything, "name"),
            members(training.History),
            "### Callbacks\n",
            CALLBACKS,
            "### On a GPU\n",
            listed("minidl", of("GraphedStep"), "class"),
        ),
        (
            "Data: `minidl.data`",
            listed("data", everything, "data"),
            members(md.data.Loader),
            members(md.data.Dataset),
            "### Transforms: `minidl.data.transforms`\n",
            listed("transforms", everything, "transform"),
        ),
        ("Models: `minidl.models`", listed("models", everything, "model")),
        (
            "Recording: `minidl.observe`",
            listed("observe", everything, "class"),
            members(md.observe.GradientFlow),
            members(md.observe.FlowRecording),
        ),
        ("Figures: `minidl.plot`", listed("plot", everything, "figure")),
        (
            "Stepping: `minidl`, `minidl.stepper`",
            listed("minidl", of(*STEPPING), "name"),
            members(md.stepper.Tape),
            "### What a tape holds\n",
            listed("stepper", lambda name, x: name != "Tape", "class"),
        ),
        ("Files", files()),
        ("Modes", listed("minidl", of(*MODES), "mode")),
        (
            "Devices, random numbers, threads: `minidl`, `minidl.backend`",
            listed("minidl", lambda name, x: name not in {*TOLD, "GraphedStep"}, "function"),
            listed("backend", everything, "function"),
            listed("fast", everything, "function"),
        ),
        ("Errors", listed("minidl", of(*ERRORS), "error")),
    ]


def reference() -> str:
    """The page of everything, by subject."""
    subjects = sections()
    contents = "\n".join(f"- [{title}](#{anchor(title)})" for title, *_ in subjects)
    head = HEAD.replace("{contents}", f"{contents}\n\nWith examples: {pages_with_examples()}.")
    return "\n".join([head, *(part for title, *parts in subjects for part in (f"## {title}\n", *parts))])


def anchor(title: str) -> str:
    """Where GitHub puts a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def pages_with_examples() -> str:
    """Links to the pages by package."""
    return ", ".join(f"[{room.__name__}](reference/{file}.md)" for file, (room, _) in PACKAGES.items())


if __name__ == "__main__":
    made = {f"reference/{file}": page(file) for file in PACKAGES}
    sys.exit(write_or_check(__file__, reference(), made))
