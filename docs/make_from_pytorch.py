"""Write docs/from_pytorch.md: what PyTorch's lines are called here, from the tables that the errors answer from.

python docs/make_from_pytorch.py            write it
python docs/make_from_pytorch.py --check    only say whether it is up to date (a test does)
"""

from __future__ import annotations

import sys

from pages import table, write_or_check

from minidl.habits.answers import PLACES
from minidl.habits.differences import DIFFERENCES
from minidl.habits.option_names import LEFT_OUT, RENAMED
from minidl.habits.training_names import NEAR

HEAD = """\
# From PyTorch to minidl

Made from the code by `python docs/make_from_pytorch.py`; a test fails when it is out of date, and runs every line.

Array functions and Tensors' methods are NumPy's (`axis`, `keepdims`, `reshape`, `expand_dims`); layers, losses,
optimizers and the training loop are PyTorch's. Functions that NumPy has too are in `md` as well as in `F`: `md.exp(x)`
is `F.exp(x)`. `md` is `minidl`, `F` is `minidl.functional`, `nn` is `md.nn`, `optim` is `md.optim`. Whoever types what
is in the left column of a table below gets an error that says what is in the right one.

`x.data` is not a Tensor but the raw array, NumPy's or CuPy's, whose errors say nothing of minidl. A step of gradient
descent is `w.data -= lr * w.grad`, and `w.grad = None` forgets a gradient. What `model.state_dict()` holds are such
arrays too, copies of the weights: `v.clone()` of them is `v.copy()`, and is not needed.
"""

TITLES = {
    "Tensor": "Methods and attributes of Tensors",
    "minidl": "Functions: `torch.` as `md.`, `torch.nn.functional` as `F`",
    "minidl.autograd": "`torch.autograd`",
    "Function": "An operation of your own",
    "minidl.nn": "Layers",
    "minidl.nn.init": "Initialisers",
    "Module": "Methods of models",
    "minidl.optim": "Optimizers and schedules",
    "Optimizer": "Attributes of optimizers",
    "Schedule": "Attributes of schedules",
    "minidl.data": "Data",
    "minidl.data.transforms": "Transforms",
}


def code(text: str) -> str:
    """`text` as code."""
    return f"`{text}`"


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## What runs and means something else\n",
        table(
            ("line", "in PyTorch", "in minidl", "write"),
            [(code(line), theirs, ours, code(write)) for line, theirs, ours, write in DIFFERENCES],
        )
        + "\n",
    ]
    for place, title in TITLES.items():
        entries = [(name, *entry) for known in PLACES[place] for name, entry in known.items()]
        rows = [(code(typed), f"{code(write)}{' (the nearest)' if n in NEAR else ''}") for n, typed, write in entries]
        parts += [f"## {title}\n", table(("typed", "write"), rows) + "\n"]
    renamed = [(code(f"{theirs}="), code(f"{ours}=")) for theirs, ours in RENAMED.items()]
    left_out = [(code(f"{name}="), reason) for name, reason in LEFT_OUT.items()]
    parts += ["## Options with another name\n", table(("typed", "write"), renamed) + "\n"]
    parts += ["## Options to leave out\n", table(("typed", "because"), left_out) + "\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(write_or_check(__file__, page()))
