"""How fast minidl trains on a GPU, beside PyTorch eager on the same card in the same run.

    python -m benchmarks.gpu --output gpu_run            all of it, at most 8 minutes
    python -m benchmarks.gpu --output gpu_run --only lenet alexnet --minutes 3
    python -m benchmarks.gpu --output small --standin    tiny sizes on the stand-in and PyTorch's CPU: a test of this

Both libraries start from the same weights and data and must agree in the losses of the first steps. Then they take
turns: a turn is many steps between two waits for the device, a result the median of turns. All of it twice: with
products of float32 matrices exact, and with TF32 (a mantissa of 10 bits, several times faster on the tensor cores), set
alike in both. Each case is a process of its own, so that a kernel that goes wrong spoils no other; what it has found
out is kept however it ends. The process of the next case is started, and imports both libraries, while one is timed.
The cases that tell most come first, for where time is short. `results.json` and `gpu.md` in the output folder are
written anew after every case.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu_cases import CASES, Case, Step
from benchmarks.gpu_report import markdown

TURNS = 7
TURN = 0.15  # seconds
WARM_UP = 5  # steps: kernels are compiled, memory is allocated
AGREE = 3  # steps of which the losses must be the same
TOLERANCE = {"float32": 2e-3, "TF32": 5e-2}
LONGEST = 100  # seconds that a case may take
SHORTEST = 12  # seconds without which none is begun
TOP = 10  # kernels in a profile
FIRST = ["alexnet", "quick", "lenet", "mlp", "lstm", "deep", "chain", "Ca", "Cb", "Cc"]  # the cases that tell most
TF32_PRODUCTS, DEFAULT_PRODUCTS = 3, 0  # cuBLAS's math modes
COMPUTE_TF32, COMPUTE_DEFAULT = 7, 1  # CuPy's types to compute in


# ---- the two libraries


def use_tf32(on: bool) -> None:
    """Products of float32 matrices on the tensor cores, or exact, in both libraries."""
    import cupy
    import torch

    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on
    if not hasattr(cupy, "show_config"):  # the stand-in
        return
    from cupy_backends.cuda.libs import cublas

    # Products of two matrices go by CuPy's type to compute in, products of stacks of matrices by the handle's mode.
    cupy._core.set_compute_type(np.dtype(np.float32), COMPUTE_TF32 if on else COMPUTE_DEFAULT)
    handle = cupy.cuda.device.get_cublas_handle()
    cublas.setMathMode(handle, TF32_PRODUCTS if on else DEFAULT_PRODUCTS)


def wait() -> None:
    """Until the device has done everything that was asked of it."""
    import cupy
    import torch

    cupy.cuda.Device().synchronize()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def captured(step: Step) -> Step:
    """minidl's training step of a network, captured as a CUDA graph and warmed up."""
    import minidl as md

    model, optimizer, loss, inputs, labels = step.parts  # type: ignore[attr-defined]
    graphed = md.GraphedStep(model, optimizer, loss)

    def again() -> Any:
        return graphed(inputs, labels)

    for _ in range(WARM_UP):
        again()
    return again


def begun(make: Callable[[], Step], library: str) -> tuple[Step, list[float], float]:
    """The step, warmed up; the losses of its first steps; how many MiB its library has taken from the device for it."""
    import cupy
    import torch

    pool = cupy.get_default_memory_pool()
    gc.collect()
    pool.free_all_blocks()
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def taken() -> int:
        if library == "minidl":
            return int(pool.total_bytes())
        return int(torch.cuda.max_memory_reserved()) if cuda else 0

    before = taken()
    step = make()
    first = losses(step, AGREE)
    for _ in range(WARM_UP):
        step()
    wait()
    return step, first, (taken() - before) / 2**20


# ---- one case


def losses(step: Step, number: int) -> list[float]:
    """Of so many steps, without dropout."""
    model = getattr(step, "model", None)
    if model is not None:
        model.eval()
    found = [float(step()) for _ in range(number)]
    if model is not None:
        model.train()
    return found


def turn(step: Step, number: int) -> tuple[float, float]:
    """Seconds a step took, and seconds it took to ask for it."""
    wait()
    began = time.perf_counter()
    for _ in range(number):
        step()
    asked = time.perf_counter()
    wait()
    return (time.perf_counter() - began) / number, (asked - began) / number


def nothing_of(name: str, mode: str) -> dict[str, Any]:
    """What is known of a case before it begins."""
    return {"case": name, "mode": mode, "losses": {}, "agree": False, "libraries": {}, "errors": {}}


def run(case: Case, mode: str, small: bool, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Everything that is known about a case in one mode; `keep` is handed it as it grows.

    What fails in one library is noted, and leaves the other's figures.
    """
    use_tf32(mode == "TF32")
    result = nothing_of(case.name, mode)
    steps, memory = {}, {}

    def attempt(what: str, work: Callable[[], Any]) -> None:
        try:
            work()
        except Exception:
            result["errors"][what] = traceback.format_exc()
        keep(result)

    def prepare(library: str, make: Callable[[bool], Step]) -> None:
        steps[library], result["losses"][library], memory[library] = begun(lambda: make(small), library)

    def record() -> None:
        steps["graph"] = captured(case.minidl(small))

    for library, make in (("torch", case.torch), ("minidl", case.minidl)):
        attempt(library, lambda library=library, make=make: prepare(library, make))  # type: ignore[misc]
    if case.graph:
        attempt("graph", record)
    first = result["losses"]
    result["agree"] = len(first) == 2 and bool(
        np.allclose(first["torch"], first["minidl"], rtol=TOLERANCE[mode], atol=1e-4)
    )

    numbers = {name: 1 if small else max(1, int(TURN / turn(step, 3)[0])) for name, step in steps.items()}
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(2 if small else TURNS):
        for name, step in steps.items():
            turns[name].append(turn(step, numbers[name]))
            seconds = [found[0] for found in turns[name]]
            result["libraries"][name] = {
                "ms": statistics.median(seconds) * 1e3,
                "best_ms": min(seconds) * 1e3,
                "asked_ms": statistics.median(found[1] for found in turns[name]) * 1e3,
                "steps": numbers[name],
                "memory_mib": memory.get(name),
            }
        keep(result)
    for name, step in steps.items():
        result["libraries"][name].update(profile(step))
        keep(result)
    return result


def profile(step: Step) -> dict[str, Any]:
    """What one step launches, by PyTorch's profiler, which sees the kernels of every library in the process."""
    import torch

    if not torch.cuda.is_available():
        return {}
    try:
        wait()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            step()
            wait()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trace.json")
            profiler.export_chrome_trace(path)
            trace = json.loads(Path(path).read_text(encoding="utf-8"))
    except Exception as error:
        return {"profile_error": f"{type(error).__name__}: {error}"}
    return summary(trace["traceEvents"])


def summary(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Kernels by the time they take, out of a trace."""
    work = [event for event in events if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    total: dict[str, list[float]] = {}
    for event in work:
        entry = total.setdefault(event["name"], [0.0, 0.0])
        entry[0] += event["dur"] / 1e3
        entry[1] += 1
    longest = sorted(total.items(), key=lambda item: -item[1][0])
    return {
        "launches": len(work),
        "kernels": len(total),
        "busy_ms": sum(time for time, _ in total.values()),
        "top": [{"name": name, "ms": ms, "times": int(times)} for name, (ms, times) in longest[:TOP]],
    }


def ceilings() -> dict[str, Any]:
    """What this card can do at best: copy, multiply, launch."""
    import cupy

    rng = np.random.default_rng(0)
    size = 8192
    a = cupy.asarray(rng.standard_normal((size, size), dtype=np.float32))
    b, tiny = cupy.empty_like(a), cupy.zeros(8, np.float32)

    def best(work: Callable[[], Any], number: int) -> float:
        work()
        return min(turn(work, number)[0] for _ in range(3))

    found: dict[str, Any] = {"copy_gb_s": 2 * a.nbytes / best(lambda: cupy.copyto(b, a), 20) / 1e9}
    for mode in TOLERANCE:
        use_tf32(mode == "TF32")
        found[f"product_tflop_s_{mode}"] = 2 * size**3 / best(lambda: cupy.matmul(a, a, out=b), 5) / 1e12
    found["launch_us"] = best(lambda: cupy.add(tiny, 1.0, out=tiny), 5000) * 1e6
    return found


def facts(standin: bool) -> dict[str, Any]:
    """The card, its driver and clocks, and all versions."""
    import cupy
    import torch

    import minidl

    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "python": platform.python_version(),
        "minidl": minidl.__version__,
        "numpy": np.__version__,
        "cupy": getattr(cupy, "__version__", "the stand-in"),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "processor cores": os.cpu_count(),
    }
    if standin:
        return found
    asked = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu"
    try:
        answer = subprocess.run(
            ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"], capture_output=True, text=True, timeout=20
        )
        found |= dict(zip(asked.split(","), answer.stdout.strip().split(", "), strict=False))
    except (OSError, subprocess.TimeoutExpired) as error:
        found["nvidia-smi"] = str(error)
    runtime = cupy.cuda.runtime
    found |= {"CUDA of the driver": runtime.driverGetVersion(), "CUDA of CuPy": runtime.runtimeGetVersion()}
    return found | ceilings()


# ---- all cases


def child(name: str, mode: str, standin: bool) -> None:
    """What a process of its own finds out, once it is told to begin: a line of JSON each time it knows more."""
    import torch  # noqa: F401 - now rather than when it is this case's turn

    import minidl as md

    def say(found: dict[str, Any]) -> None:
        print(json.dumps(found), flush=True)

    if standin:
        from tests import cupy_standin

        cupy_standin.install()
    import cupy  # noqa: F401

    if not sys.stdin.readline():  # nobody waits for it any more
        return
    md.use("cupy")
    if name == "facts":
        say(facts(standin))
        return
    (case,) = (case for case in CASES if case.name == name)
    run(case, mode, standin, say)


def started(name: str, mode: str, standin: bool) -> subprocess.Popen[bytes]:
    """A process for one case, which imports what it needs and waits for a line."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--child", name, "--mode", mode, *["--standin"] * standin]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ask(process: subprocess.Popen[bytes], name: str, mode: str, seconds: float) -> dict[str, Any]:
    """What a process that was started finds out: the last that it said, with "died" if it went wrong."""
    try:
        said, errors = process.communicate(b"begin\n", timeout=seconds)
        died = f"it ended with {process.returncode}" if process.returncode else ""
    except subprocess.TimeoutExpired:
        process.kill()
        said, errors = process.communicate()
        died = f"it was stopped after {seconds:.0f} s"
    found = {} if name == "facts" else nothing_of(name, mode)
    for line in said.decode(errors="replace").splitlines():
        try:
            found = json.loads(line)
        except ValueError:  # what a library prints, or half a line
            continue
    if died:
        found["died"] = f"{died}\n{errors.decode(errors='replace')[-3000:]}"
    return found


def main() -> None:
    """Run what was asked for, write after every case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("gpu_run"), help="folder for results.json and gpu.md")
    parser.add_argument("--only", nargs="*", default=in_turn(), help="names of cases")
    parser.add_argument("--modes", nargs="*", default=list(TOLERANCE), choices=list(TOLERANCE))
    parser.add_argument("--minutes", type=float, default=8.0, help="what is not done by then is stopped")
    parser.add_argument("--standin", action="store_true", help="tiny sizes on the stand-in, to test this program")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--mode", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.mode, options.standin)
        return

    began = time.perf_counter()
    options.output.mkdir(parents=True, exist_ok=True)
    todo = [("facts", "float32"), *[(name, mode) for mode in options.modes for name in options.only]]
    found: dict[str, Any] = {"facts": {}, "results": [], "not_run": []}
    waiting = started(*todo[0], options.standin)
    for (name, mode), following in zip(todo, [*todo[1:], None], strict=True):
        left = options.minutes * 60 - (time.perf_counter() - began)
        if left < SHORTEST:
            found["not_run"].append([name, mode])
            continue
        process = waiting
        if following is not None:
            waiting = started(*following, options.standin)
        result = ask(process, name, mode, min(left, LONGEST))
        if name == "facts":
            found["facts"] = result
            continue
        found["results"].append(result)
        write(found, options.output)
        print(f"{time.perf_counter() - began:5.0f} s  {mode:8} {name:10} {brief(result)}", flush=True)
    if waiting.poll() is None:
        waiting.communicate()  # without a line it ends
    write(found, options.output)


def in_turn() -> list[str]:
    """The names of all cases, those that tell most first."""
    names = [case.name for case in CASES]
    return [*FIRST, *[name for name in names if name not in FIRST]]


def brief(result: dict[str, Any]) -> str:
    """A case in a line."""
    parts = [", ".join(f"{name} {entry['ms']:.3f} ms" for name, entry in result["libraries"].items())]
    parts += [f"{what} FAILED: {error.splitlines()[-1][:120]}" for what, error in result["errors"].items()]
    parts += ["DIED: " + result["died"].splitlines()[0]] if "died" in result else []
    parts += [] if result["agree"] else [f"DISAGREE {result['losses']}"]
    return "; ".join(filter(None, parts))


def write(found: dict[str, Any], folder: Path) -> None:
    """results.json and gpu.md."""
    (folder / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    (folder / "gpu.md").write_text(markdown(found), encoding="utf-8")


if __name__ == "__main__":
    main()
