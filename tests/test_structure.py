"""The house as docs/house.py describes it: imports run downward, and what is read asks nothing about speed."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import minidl
from docs import house

TESTS = Path(__file__).parent
HEAVY = {"matplotlib", "rich", "PIL", "cupy", "scipy", "torch", "threadpoolctl", "safetensors", "dask", "distributed"}
UNHURRIED = {"shutil", "traceback", "zipfile", "tarfile", "hashlib", "gzip"}  # Python's, imported where they are used
LINES = 420


def name_of(path: Path) -> str:
    return path.relative_to(house.ROOT).as_posix()


def test_the_package_under_test_is_the_one_that_is_read() -> None:
    assert Path(minidl.__file__).parent == house.ROOT


# ---- floors


def test_imports_run_downward() -> None:
    wrong = []
    for path in house.sources():
        room = house.room_of(house.module_of(path))
        if not room:
            continue
        floor = house.floor_of(room)
        assert floor is not None, f"minidl/{room} stands on no floor: say in docs/house.py which one is its own"
        for line, name in house.imports(path):
            assert not name.startswith("."), f"{name_of(path)}:{line}: a relative import hides the floors"
            other = house.room_of(name)
            if name.split(".")[0] == "minidl" and other != room:
                below = house.floor_of(other)
                if below is None or below >= floor:
                    wrong.append(f"{name_of(path)}:{line} imports {name} from above or beside")
    assert not wrong


@pytest.mark.parametrize("room", house.INNER)
def test_imports_run_downward_inside_a_room(room: str) -> None:
    floors = house.INNER[room]
    found = []
    for path in (house.ROOT / room).rglob("*.py"):
        own = house.floor_of(path.relative_to(house.ROOT / room).parts[0].removesuffix(".py"), floors)
        for line, name in house.imports(path):
            parts = name.split(".")
            other = house.floor_of(parts[2], floors) if parts[:2] == ["minidl", room] and len(parts) > 2 else None
            here = path.relative_to(house.ROOT / room).parts[0]
            if own is not None and other is not None and other >= own and parts[2] != here.removesuffix(".py"):
                found.append(f"{path.relative_to(house.ROOT)}:{line} imports {name}")
    assert not found


def test_no_imports_run_in_a_circle() -> None:
    """Rooms' insides, what only a type checker sees, and the `__init__` of every package counted."""
    assert house.circle(house.graph()) == []


def test_a_circle_would_be_found() -> None:
    assert house.circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert house.circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


LOADED_WHEN_USED = {"training/history.py": "minidl.plot"}  # on a floor below, but it loads matplotlib


def test_no_import_inside_a_function_dodges_a_circle() -> None:
    hidden = []
    for path in house.sources():
        functions = [n for n in ast.walk(house.tree_of(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for line, name in house.imports(path):
            if name.startswith(LOADED_WHEN_USED.get(name_of(path), "?")):
                continue
            if name.split(".")[0] == "minidl" and any(f.lineno < line <= (f.end_lineno or 0) for f in functions):
                hidden.append(f"{name_of(path)}:{line} imports {name}")
    assert not hidden


SETS_MAIN = "stepper/running.py"  # a script that it runs is the main module


def test_only_the_backend_and_the_gpus_rooms_import_cupy() -> None:
    found = []
    for path in house.sources():
        if house.module_of(path).startswith(("minidl.backend", "minidl.fast.gpu", "minidl.fast.graph")):
            continue
        calls = [ast.unparse(node) for node in ast.walk(house.tree_of(path)) if isinstance(node, ast.Call)]
        loads = any("import_module" in call and "cupy" in call for call in calls)
        looks = "sys.modules" in path.read_text(encoding="utf-8") and name_of(path) != SETS_MAIN
        if loads or looks or any(name.split(".")[0] == "cupy" for _, name in house.imports(path)):
            found.append(name_of(path))
    assert not found


def test_nobody_but_the_front_door_imports_what_is_only_there_for_speed() -> None:
    found = [
        f"{path.relative_to(house.ROOT)}:{line}"
        for path in house.sources()
        for line, name in house.imports(path)
        if house.room_of(name) == "fast" and house.room_of(house.module_of(path)) not in ("fast", "")
    ]
    assert not found


def test_only_these_lie_directly_under_the_package() -> None:
    names = {path.stem for path in house.ROOT.glob("*.py")}
    assert names == {"__init__", "__main__", "cli", "errors", "checks", "settings", "tables", "types", "version"}


def test_no_module_is_hidden_by_something_of_its_own_name() -> None:
    """`minidl.data.fetch` cannot be read by whoever gets a function under that name."""
    hidden = []
    for module in map(house.module_of, house.sources()):
        if "." in module and not module.endswith("__main__"):
            found = importlib.import_module(module)
            parent, name = module.rsplit(".", 1)
            if getattr(importlib.import_module(parent), name) is not found:
                hidden.append(module)
    assert not hidden


def test_no_operator_is_patched_on_from_outside() -> None:
    patched = []
    for path in house.sources():
        for node in ast.walk(house.tree_of(path)):
            for target in node.targets if isinstance(node, ast.Assign) else []:
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id[0].isupper()
                    and target.attr.startswith("__")
                    and target.attr.endswith("__")
                ):
                    patched.append(f"{name_of(path)}:{node.lineno}")
    assert not patched


# ---- what is there to be read


def test_a_file_has_one_subject() -> None:
    """A file of over 400 lines is two."""
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in house.sources()}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


READ = ("functional", "nn", "optim", "autograd")
SPEED = {
    # devices
    "kernels", "on_device", "device_of", "devices_of", "to_device", "is_numpy", "is_cupy", "cupy", "pinned",
    "synchronize",
    # threads, caches and blocks
    "threading", "Thread", "Lock", "ThreadPoolExecutor", "threadpoolctl", "num_threads", "in_blocks", "shared_out",
    "per_block", "BLOCK", "DEVICE_BLOCK", "workspace",
    # captured steps
    "capture", "captured", "capturing", "is_capturing", "recording", "graphed",
}  # fmt: skip

# What is asked about devices and threads for another reason than speed.
BOTH_NAMED = "an error that names both devices"
MOVED = "what was loaded, drawn or handed over is put where it belongs"
ALLOWED = {
    ("functional/__init__.py", "to_device"): "F.to_device is the op that moves",
    ("functional/shape.py", "to_device"): "F.to_device",
    ("functional/shape.py", "device_of"): "its backward moves back",
    ("functional/targets.py", "device_of"): BOTH_NAMED,
    ("nn/init.py", "to_device"): MOVED,
    ("nn/moving.py", "to_device"): "Module.to",
    ("nn/state.py", "to_device"): MOVED,
    ("nn/state.py", "device_of"): MOVED,
    ("nn/summary.py", "to_device"): MOVED,
    ("optim/clipping.py", "devices_of"): BOTH_NAMED,
    ("optim/multipliers.py", "backend.module_of(multiplier) is not np"): BOTH_NAMED,
    ("optim/multipliers.py", "backend.module_of(view.params[0]) is np"): BOTH_NAMED,
    ("optim/optimizer.py", "to_device"): "Optimizer.to",
    ("optim/state.py", "to_device"): MOVED,
    ("optim/state.py", "device_of"): MOVED,
    ("optim/trained.py", "device_of"): BOTH_NAMED,
    ("autograd/diagnosis.py", "devices_of"): BOTH_NAMED,
    ("autograd/backward.py", "to_device"): MOVED,
    ("autograd/backward.py", "device_of"): BOTH_NAMED,
    ("autograd/accumulation.py", "threading"): "two threads may add to the .grad of one shared weight",
    ("autograd/accumulation.py", "Lock"): "two threads may add to the .grad of one shared weight",
    # The engine looks at every result: whether it is an array at all. Most often one look is enough for the answer.
    ("autograd/backward.py", "type(grad) is not np.ndarray"): "is it an array?",
    ("autograd/operands.py", "type(arrays[0]) is not np.ndarray"): "is it an array?",
    ("autograd/operands.py", "type(x) is np.ndarray"): "is it an array?",
}


def read_files() -> list[Path]:
    return [path for room in READ for path in sorted((house.ROOT / room).rglob("*.py"))]


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the word of each name, attribute and import of a file; docstrings and comments do not count."""
    for node in ast.walk(house.tree_of(path)):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((node.lineno, word) for name in node.names for word in name.name.split("."))


def questions_about_numpy(path: Path) -> Iterator[tuple[int, str]]:
    """Comparisons such as `type(x) is np.ndarray` and `module_of(x) is not np`: they ask where an array lives."""
    for node in ast.walk(house.tree_of(path)):
        if isinstance(node, ast.Compare):
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            if {"np", "numpy", "np.ndarray", "numpy.ndarray"} & set(sides):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance" and "ndarray" in ast.unparse(node):
            yield node.lineno, ast.unparse(node)


def test_what_is_read_asks_nothing_about_devices_threads_blocks_or_capture() -> None:
    asked = []
    for path in read_files():
        words = [(line, word) for line, word in words_of(path) if word in SPEED]
        for line, question in (*words, *questions_about_numpy(path)):
            if (name_of(path), question) not in ALLOWED:
                asked.append(f"{name_of(path)}:{line}: {question}")
    assert not asked


def test_such_questions_would_be_seen() -> None:
    """They are asked where they belong, in fast/."""
    fast = sorted((house.ROOT / "fast").rglob("*.py"))
    assert {"kernels", "threading", "per_block"} <= {word for path in fast for _, word in words_of(path)} & SPEED
    assert "type(x) is np.ndarray" in {question for path in fast for _, question in questions_about_numpy(path)}


def test_every_exception_is_needed() -> None:
    used = {
        (name_of(path), word) for path in read_files() for _, word in (*words_of(path), *questions_about_numpy(path))
    }
    assert not set(ALLOWED) - used


# ---- tests mirror sources

# What has its tests elsewhere, and where.
ELSEWHERE = {
    "backend/indices.py": "functional/test_indexing.py",
    "check/attention.py": "tutorials/test_t12.py",
    "check/batch_norm.py": "tutorials/test_t10.py",
    "autograd/accumulation.py": "autograd/test_backward.py",
    "autograd/nonfinite.py": "autograd/test_anomaly.py",
    "autograd/operands.py": "autograd/test_function.py",
    "autograd/passing.py": "autograd/test_hooks.py",
    "autograd/running.py": "autograd/test_anomaly.py",
    "autograd/variable.py": "autograd/test_function.py",
    "autograd/way.py": "derivatives/test_gradients.py",
    "fast/gpu/kernels/launch.py": "fast/gpu/kernels/test_without.py",
    "fast/gpu/kernels/library.py": "fast/gpu/kernels/test_compiles.py",
    "fast/gpu/kernels/updates.py": "fast/gpu/test_update.py",
    "fast/graph/capture.py": "fast/graph/test_step.py",
    "fast/walk.py": "autograd/test_backward.py",
    "habits/differences.py": "habits/test_answers.py",
    "habits/function_names.py": "habits/test_answers.py",
    "habits/option_names.py": "habits/test_answers.py",
    "habits/tensor_names.py": "habits/test_answers.py",
    "habits/training_names.py": "habits/test_answers.py",
    "observe/history.py": "training/test_history.py",
    "observe/assembly.py": "observe/test_gradient_flow.py",
    "observe/step.py": "observe/test_gradient_flow.py",
    "stepper/asking.py": "stepper/test_terminal.py",
    "stepper/backwards.py": "stepper/test_recorder.py",
    "stepper/command.py": "stepper/test_running.py",
    "stepper/computation.py": "stepper/test_worked.py",
    "stepper/evaluating.py": "stepper/test_formulas.py",
    "stepper/events.py": "stepper/test_contents.py",
    "stepper/explaining.py": "stepper/test_terminal.py",
    "stepper/formula_table.py": "stepper/test_formulas.py",
    "stepper/lessons.py": "stepper/test_terminal.py",
    "stepper/lines.py": "stepper/test_worked.py",
    "stepper/looking.py": "stepper/test_terminal.py",
    "stepper/mistakes.py": "stepper/test_quiz.py",
    "stepper/notation.py": "stepper/test_mathml.py",
    "stepper/overview.py": "stepper/test_terminal.py",
    "stepper/quizzing.py": "stepper/test_terminal.py",
    "stepper/registry.py": "stepper/test_recorder.py",
    "stepper/replay.py": "stepper/test_checking.py",
    "stepper/tape.py": "stepper/test_recorder.py",
    "stepper/updates.py": "stepper/test_recorder.py",
    "stepper/views.py": "stepper/test_terminal.py",
    "stepper/work_elementwise.py": "stepper/test_worked.py",
    "stepper/work_products.py": "stepper/test_worked.py",
    "stepper/work_reductions.py": "stepper/test_worked.py",
    "stepper/work_windows.py": "stepper/test_worked.py",
    "tensors/array.py": "tensors/test_tensor.py",
    "tensors/creation.py": "tensors/test_tensor.py",
    "tensors/methods.py": "tensors/test_tensor.py",
    "tensors/showing.py": "tensors/test_summary_line.py",
}


def test_a_source_file_has_a_test_file_of_its_name() -> None:
    untested, twice = [], []
    for path in house.sources():
        source = path.relative_to(house.ROOT)
        if source.stem in ("__init__", "__main__", "version", "types"):
            continue
        room = Path("tutorials") if re.fullmatch(r"check/t\d\d\.py", source.as_posix()) else source.parent
        mirror = TESTS / room / f"test_{source.name}"
        if source.as_posix() in ELSEWHERE:
            assert (TESTS / ELSEWHERE[source.as_posix()]).exists()
            twice += [source.as_posix()] * mirror.exists()
        elif not mirror.exists():
            untested.append(source.as_posix())
    assert not untested, "expected a test file of the same name, or where it is tested in ELSEWHERE"
    assert not twice, "has a test file of its name: take it out of ELSEWHERE"


def test_nothing_is_said_about_files_that_are_gone() -> None:
    assert [source for source in ELSEWHERE if not (house.ROOT / source).exists()] == []


def test_no_test_needs_pytorch() -> None:
    """`from tests.pytorch import TF, torch` skips a test where it is not installed."""
    direct = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line, name in house.imports(path)
        if f"{name}.".startswith(("torch.", "safetensors.torch.")) and path.name != "pytorch.py"
    ]
    assert not direct


# ---- what an import does


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
    assert not loaded & (HEAVY | UNHURRIED)
    assert loaded - {"minidl"} <= set(sys.stdlib_module_names) | {"numpy"}


def test_the_public_rooms_are_there_and_the_lazy_ones_load_when_used() -> None:
    program = """
import sys, minidl as md
print(*(name in sys.modules for name in ('minidl.observe', 'minidl.plot')))
print(*(getattr(md, name).__name__ for name in ('nn', 'optim', 'data', 'models', 'observe', 'training')))
print('minidl.observe' in sys.modules, 'matplotlib' in sys.modules)
"""
    first, rooms, last = run(program).splitlines()
    assert first == "False False"
    assert rooms.split() == [f"minidl.{name}" for name in ("nn", "optim", "data", "models", "observe", "training")]
    assert last.startswith("True")


def test_every_public_name_is_there() -> None:
    program = "import minidl as md; print(*(type(getattr(md, name)).__name__ for name in dir(md)))"
    assert run(program)
    assert set(minidl.__all__) <= set(dir(minidl))
    with pytest.raises(AttributeError, match="module 'minidl' has no attribute 'fitt'"):
        minidl.fitt


def test_importing_minidl_changes_nothing_of_numpys() -> None:
    program = """
import numpy
before = numpy.geterr(), numpy.get_printoptions(), set(vars(numpy))
import minidl
print(before == (numpy.geterr(), numpy.get_printoptions(), set(vars(numpy))))
"""
    assert run(program) == "True"
