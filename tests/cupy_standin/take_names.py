"""Writes `cupy_names.txt`: what the installed CuPy has, with parameters. CuPy is importable without a GPU.

Run it with a newer CuPy to see what changed:

    python tests/cupy_standin/take_names.py > tests/cupy_standin/cupy_names.txt
"""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

ROOMS = (
    "",
    "cuda.Device",
    "cuda.Event",
    "cuda.MemoryPool",
    "cuda.Stream",
    "lib.stride_tricks",
    "linalg",
    "ndarray",
    "random",
    "random.Generator",
)
ALSO = (  # from rooms with hundreds of names nobody here needs
    "cuda.Device",
    "cuda.Event",
    "cuda.MemoryPool",
    "cuda.Stream",
    "cuda.PinnedMemoryPool",
    "_core.get_compute_type",
    "cuda.alloc_pinned_memory",
    "cuda.get_current_stream",
    "cuda.get_elapsed_time",
    "cuda.memory.OutOfMemoryError",
    "cuda.runtime.CUDARuntimeError",
    "cuda.runtime.driverGetVersion",
    "cuda.runtime.getDeviceCount",
    "cuda.runtime.memGetInfo",
    "cuda.runtime.runtimeGetVersion",
    "cuda.using_allocator",
    "random.Generator",
)


def parameters(function: Any) -> str | None:
    """`(a, axis=None, *, out=None)`; None where CuPy's compiled code does not tell."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # compiled: the first line of the docstring repeats the signature, with types
        signature = re.match(r"[\w.]+(\(.*?\))( ->.*)?$", (function.__doc__ or "").strip().split("\n")[0])
        if signature is None:
            return None
        words = [word.strip() for word in signature[1][1:-1].split(",")]
        return f"({', '.join(word if '=' not in word else _with_default(word) for word in _untyped(words))})"
    plain = [p.replace(annotation=p.empty, default=p.default if _is_plain(p.default) else ...) for p in found]
    return str(inspect.Signature(plain)).replace("Ellipsis", "...")


def _untyped(words: list[str]) -> list[str]:
    return [word if word.startswith("*") else re.sub(r"^\w+ (?=\w)", "", word) for word in words]


def _with_default(word: str) -> str:
    name, _, default = word.partition("=")
    return f"{name.split()[-1]}={default}"


def _is_plain(default: object) -> bool:
    return default is inspect.Parameter.empty or isinstance(default, (str, int, float, bool, type(None)))


def describe(name: str, thing: Any, ufunc: type) -> str:
    """One line: `add ufunc 2`, `where(condition, x=None, y=None)`, or the bare name."""
    if isinstance(thing, ufunc):
        return f"{name} ufunc {thing.nin}"
    return name + ((parameters(thing) or "(*args, **kwargs)") if callable(thing) else "")


def find(cupy: Any, name: str) -> Any:
    """`find(cupy, "cuda.Device")` is cupy.cuda.Device; with no name cupy itself."""
    for part in name.split(".") if name else ():
        cupy = getattr(cupy, part)
    return cupy


def main() -> None:
    """Print one line for each public name."""
    cupy = importlib.import_module("cupy")
    print(f"# cupy {cupy.__version__}; made by take_names.py")
    for name in ALSO:
        print(describe(name, find(cupy, name), cupy.ufunc))
    print(describe("cupyx.scipy.special.erf", importlib.import_module("cupyx.scipy.special").erf, cupy.ufunc))
    for room in ROOMS:
        holder = find(cupy, room)
        for name in sorted(dir(holder)):
            thing = getattr(holder, name)
            if name.startswith("_") or isinstance(thing, ModuleType) or name == "annotations":
                continue
            print(describe(f"{room}.{name}".lstrip("."), thing, cupy.ufunc))


if __name__ == "__main__":
    main()
