"""Imports run downward only: the floors of the house, read from the source and tried in a fresh process."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import minidl

ROOT = Path(minidl.__file__).parent

# From the ground up. A module imports from the floors below its own; rooms on one floor do not see each other, except
# within one package.
FLOORS: list[set[str]] = [
    {"version", "errors"},
    {"backend"},
    {"versions", "hooks", "modes", "diagnosis", "storage", "progress"},
    {"autograd", "data"},
    {"backward", "holder"},
    {"functional"},
    {"writing"},
    {"tensor"},
    {"creation", "gradients"},
    {"nn", "higher_order"},
    {"models", "optim", "curvature"},
    {"observe", "history", "interrupt"},
    {"checkpoint", "weights", "evaluation", "recordable"},
    {"training", "graphed"},
    {"plot", "stepper"},
    {"experiments"},
    {"cli"},
    {"__main__"},
]
HEAVY = {"matplotlib", "rich", "PIL", "cupy", "scipy", "torch", "threadpoolctl", "safetensors"}


def sources() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    """`nn/linear.py` is in room nn, `tensor.py` in room tensor, `__init__.py` in none: it is the front door."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def floor_of(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"minidl/{room} stands on no floor: say in this test which one is its own")


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """Each import statement with the dotted name of what it imports: `minidl.backend`, `numpy`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node, name.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the floors"
            assert node.module is not None
            if node.module == "minidl":
                for name in node.names:
                    yield node, f"minidl.{name.name}"
            else:
                yield node, node.module


def inside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from ast.walk(node)


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    """Statements under `if TYPE_CHECKING:`, which no program runs."""
    return {
        inner
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    room = room_of(path)
    unseen = type_checking_only(tree)
    for node, name in imports(tree):
        if not name.startswith("minidl.") or room == "__init__" or node in unseen:
            continue
        other = name.split(".")[1]
        if other not in (room, "__version__"):
            assert floor_of(other) < floor_of(room), f"{path.name}:{node.lineno} imports {name} from above or beside"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_inside_a_function_dodges_a_circle(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = set(inside_functions(tree))
    hidden = [name for node, name in imports(tree) if node in within and name.split(".")[0] == "minidl"]
    assert not hidden


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_backend_imports_cupy(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    if room_of(path) != "backend":
        assert "cupy" not in {name.split(".")[0] for _, name in imports(tree)}
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and "import_module" in ast.unparse(node)]
        assert not any("cupy" in ast.unparse(call) for call in calls)
        assert "sys.modules" not in source


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_operator_is_patched_on_from_outside(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                assert not (
                    target.attr.startswith("__") and target.attr.endswith("__") and target.value.id[0].isupper()
                )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_room(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420


def run(program: str, **variables: str) -> str:
    """What a fresh process prints."""
    environment = {name: value for name, value in os.environ.items() if name != "MINIDL_BACKEND"} | variables
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_program_on_the_cpu_loads_no_kernels() -> None:
    program = """
import sys, numpy as np, minidl as md, minidl.functional as F
x = md.tensor(np.ones((2, 1, 4, 4)), requires_grad=True)
y = F.max_pool2d(F.conv2d(x, x[:, :, :1, :1]), 2)
F.sum(F.softmax(F.batch_norm(F.gelu(y), None, None, training=True))).backward()
print(*[name for name in sys.modules if name.startswith("minidl.fast.gpu.kernels.")])
"""
    assert run(program) == "minidl.fast.gpu.kernels.launch"


def test_import_minidl_needs_numpy_alone() -> None:
    program = """
import sys, numpy
before = set(sys.modules)
import minidl
print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))
"""
    loaded = set(run(program).split())
    assert "minidl" in loaded
    assert not loaded & HEAVY
    assert loaded - {"minidl"} <= set(sys.stdlib_module_names) | {"numpy"}


def test_the_public_rooms_are_there_and_the_lazy_ones_load_when_used() -> None:
    program = """
import sys, minidl as md
print(*(name in sys.modules for name in ('minidl.observe', 'minidl.plot')))
print(md.nn.__name__, md.optim.__name__, md.data.__name__, md.models.__name__, md.observe.__name__)
print('minidl.observe' in sys.modules, 'matplotlib' in sys.modules)
"""
    first, rooms, last = run(program).splitlines()
    assert first == "False False"
    assert rooms.split() == ["minidl.nn", "minidl.optim", "minidl.data", "minidl.models", "minidl.observe"]
    assert last.startswith("True")


def test_importing_minidl_changes_nothing_of_numpys() -> None:
    program = """
import numpy
before = numpy.geterr(), numpy.get_printoptions(), set(vars(numpy))
import minidl
print(before == (numpy.geterr(), numpy.get_printoptions(), set(vars(numpy))))
"""
    assert run(program) == "True"
