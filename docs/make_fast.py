"""Write docs/fast.md: how ops get faster versions, and which there are.

python docs/make_fast.py            write it
python docs/make_fast.py --check    only say whether it is up to date (a test does)
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from pages import table, write_or_check

import minidl as md
from minidl.autograd import versions as asking
from minidl.fast import versions
from minidl.functional.activation import ReLU

HEAD = """\
# Plain lines to read, faster versions to run

Made from the code by `python docs/make_fast.py`; a test fails when it is out of date.

What stands in `functional/`, `nn/`, `optim/` and `autograd/` is there to be read: the formula, the shapes, and nothing
else. An op says nothing about the processor's cache, threads, kernels of a GPU or captured steps, and runs as it stands
with all of these. What is there only for speed stands in `minidl/fast/`, as **versions**: a version is a subclass of
the op that computes the same, faster, for some operands, and says for which.

## One example

The op, in [functional/activation.py](../minidl/functional/activation.py):

```python
{op}```

A version of it; [fast/versions.py](../minidl/fast/versions.py) says what its lines must keep to:

```python
{version}```

Defining the class registers it. When `F.relu(x)` is called, the engine asks each version of the op whether it `fits`
these operands, and the first that does is what the node becomes; an op without versions is asked nothing.
This is the whole decision, in [autograd/versions.py](../minidl/autograd/versions.py):

```python
{chosen}```

- **Gradients of gradients take the plain lines.** Under `create_graph=True` a `backward` is handed Tensors, and the
  op's own `backward` runs, whoever computed the forward. So a version's forward leaves on `self` all that the plain
  one leaves, and its own backward needs to understand only arrays.
- **Every version is held equal to its op** by tests that find it in the table below: values, first and second
  gradients, dtypes, layouts and empty arrays. A version without such tests fails the suite.
- **`with md.plain():` turns all of them off**, the backward walk's too: then a debugger steps through nothing but what
  is there to be read. `MINIDL_PLAIN=1` does so for a whole program, `pytest --plain` for the tests.
- **`md.fast.use("winograd", False)` turns some off by name**, here those of a convolution that is faster and less
  exact ([winograd.md](winograd.md)).
- The same mechanism serves the call of an op itself, the backward walk, an optimizer's step, and recurrent layers.

## All versions

`print(md.fast.table())` shows this table.

"""

TAIL = """
## What minidl changes in its process

{process}
"""


def example() -> str:
    """The example of a version, from the docstring that says what one must keep to."""
    code = re.search(r"\n((?: {4}.*\n|\n)+)", inspect.getmodule(versions.Faster).__doc__ or "")
    assert code, "the docstring of fast/versions.py has no example"
    return textwrap.dedent(code[1]).strip("\n") + "\n"


def process() -> str:
    """What fast/process.py says of itself."""
    text = inspect.getdoc(sys.modules[md.fast.tune_process.__module__]) or ""
    return "\n".join(text.splitlines()[2:])


def link(file: str) -> str:
    """A link to a file of the package."""
    return f"[{Path(file).relative_to('minidl/fast').as_posix()}](../{file})"


def page() -> str:
    """The whole page."""
    rows: Any = md.fast.table()
    return (
        HEAD.format(op=inspect.getsource(ReLU), version=example(), chosen=inspect.getsource(asking.chosen))
        + table(("op", "version", "fits", "file"), [(f"`{op}`", f"`{v}`", w, link(f)) for op, v, w, f in rows])
        + "\n"
        + TAIL.format(process=process())
    )


if __name__ == "__main__":
    sys.exit(write_or_check(__file__, page()))
