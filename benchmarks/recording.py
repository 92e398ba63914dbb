"""What recording gradient flow costs: processor time of a recorded training step over a bare one's, on one thread.

    python -m benchmarks.recording [--rounds N] [--only W1,W3]     the table, in markdown
    python -m benchmarks.recording LIBRARY WORKLOAD ROUNDS         is one of its processes: it prints ratios

minidl is recorded by `md.observe.GradientFlow`; PyTorch by hooks that take the same numbers of the same layers, as a
user writes them. Bare and recorded steps take turns, so that what else the machine does meets both; the table shows
medians over the rounds. First both recorders must have seen the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import table
from benchmarks.machine import described
from benchmarks.peers import Peer, Step, count, installed
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
AIMS = {"W1": 1.40, "W2": 1.50, "W3": 1.10}
SELDOM = 100  # as in every=100
SECONDS = 0.1  # of bare steps in a turn
FIELDS = (
    "activation_rms", "output_gradient_rms", "weight_gradient_rms", "weight_gradient_mean", "weight_gradient_max",
    "bias_gradient_mean", "bias_gradient_max", "layer_gradient_norm", "weight_norm", "update_norm",
)  # fmt: skip


class TorchFlow:
    """The numbers of `GradientFlow`, taken by PyTorch's hooks."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        import torch

        self._torch = torch
        self._optimizer = optimizer
        self._modules = [module for module in model if list(module.parameters())]
        activations = (torch.nn.ReLU, torch.nn.Sigmoid)
        children = list(model)
        self._watched = []  # the module whose output is h: the layer, or the activation that follows it
        for module, after in zip(children, [*children[1:], None], strict=True):
            if list(module.parameters()):
                self._watched.append(after if isinstance(after, activations) else module)
        self._handles: list[Any] = []
        self.rows: list[Any] = []

    def __enter__(self) -> TorchFlow:
        self.rows, self._row = [], self._nothing()
        for i, module in enumerate(self._watched):
            self._handles.append(module.register_forward_hook(self._output_hook(i)))
        self._handles.append(self._optimizer.register_step_pre_hook(self._before))
        self._handles.append(self._optimizer.register_step_post_hook(self._after))
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _nothing(self) -> dict[str, list[Any]]:
        return {name: [None] * len(self._modules) for name in FIELDS}

    def _output_hook(self, i: int) -> Callable[..., None]:
        def on_gradient(gradient: Any) -> None:
            self._row["output_gradient_rms"][i] = gradient.norm() / gradient.numel() ** 0.5

        def on_output(module: Any, inputs: Any, output: Any) -> None:
            self._row["activation_rms"][i] = output.detach().norm() / output.numel() ** 0.5
            output.register_hook(on_gradient)

        return on_output

    def _before(self, *_: Any) -> None:
        self._weights = [module.weight.detach().clone() for module in self._modules]

    def _after(self, *_: Any) -> None:
        for i, (module, before) in enumerate(zip(self._modules, self._weights, strict=True)):
            weight, bias = module.weight.grad, module.bias.grad
            sizes, biases = weight.abs(), bias.abs()
            norm, bias_norm = weight.norm(), bias.norm()
            found = {
                "weight_gradient_rms": norm / weight.numel() ** 0.5,
                "weight_gradient_mean": sizes.mean(),
                "weight_gradient_max": sizes.max(),
                "bias_gradient_mean": biases.mean(),
                "bias_gradient_max": biases.max(),
                "layer_gradient_norm": self._torch.hypot(norm, bias_norm),
                "weight_norm": before.norm(),
                "update_norm": (module.weight.detach() - before).norm(),
            }
            for name, value in found.items():
                self._row[name][i] = value
        self.rows.append(self._torch.stack([value for name in FIELDS for value in self._row[name]]))
        self._row = self._nothing()

    def table(self) -> Any:
        """(steps, fields, layers)."""
        return self._torch.stack(self.rows).numpy().reshape(len(self.rows), len(FIELDS), -1)


class MinidlFlow:
    """`GradientFlow`, with the table of the same fields."""

    def __init__(self, model: Any, optimizer: Any, every: int = 1) -> None:
        import minidl as md

        self._flow = md.observe.GradientFlow(model, optimizer, every=every)

    def __enter__(self) -> MinidlFlow:
        self._flow.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._flow.__exit__(None, None, None)

    def table(self) -> Any:
        """(steps, fields, layers)."""
        recording = self._flow.recording
        return np.stack([getattr(recording, name) for name in FIELDS], axis=1)


def seconds(step: Step, steps: int) -> float:
    """Processor seconds a step, over `steps` of them, after one that does not count."""
    step()
    began = time.process_time()
    for _ in range(steps):
        step()
    return (time.process_time() - began) / steps


def ratios(step: Step, recorder: AbstractContextManager[Any], rounds: int) -> list[float]:
    """Recorded over bare, one a round; the two take turns at going first."""
    steps = max(1, round(SECONDS / seconds(step, 2)))
    found = []
    for k in range(rounds):
        times = {}
        for recorded in (k % 2 == 0, k % 2 == 1):
            if recorded:
                with recorder:
                    times[recorded] = seconds(step, steps)
            else:
                times[recorded] = seconds(step, steps)
        found.append(times[True] / times[False])
    return found


def serve(library: str, workload: str, rounds: int) -> None:
    """Be a peer: print the ratios, and what the recorder saw in the first three steps, as json."""
    from benchmarks.peers import steps_of

    peer = steps_of(library)
    model, optimizer, step = peer.training(peer.MODELS[workload], WORKLOADS[workload])
    recorder: Any = MinidlFlow(model, optimizer) if library == "minidl" else TorchFlow(model, optimizer)
    with recorder:
        for _ in range(3):
            step()
    answer = {"seen": recorder.table().tolist(), "ratios": ratios(step, recorder, rounds)}
    if library == "minidl":
        answer["seldom"] = ratios(step, MinidlFlow(model, optimizer, every=SELDOM), rounds)
    print(json.dumps(answer))


def measured(library: str, workload: str, rounds: int) -> dict[str, Any]:
    """What a process of one library and workload prints."""
    command = [sys.executable, "-m", "benchmarks.recording", library, workload, str(rounds)]
    done = subprocess.run(
        command, env=Peer(library, 1).environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def report(only: Sequence[str], rounds: int) -> str:
    """The table, in markdown."""
    libraries = [library for library in ("torch", "minidl") if installed(library)]
    found = {library: {name: measured(library, name, rounds) for name in only} for library in libraries}
    if len(libraries) > 1:
        for name in only:
            a, b = (np.array(found[library][name]["seen"]) for library in libraries)
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-12, err_msg=f"{name}: the recorders saw other numbers")
    rows = []
    if "torch" in found:
        rows.append(["PyTorch, hooks", *(_median(found["torch"][name]["ratios"]) for name in only)])
    rows.append(["**minidl, GradientFlow**", *(f"**{_median(found['minidl'][name]['ratios'])}**" for name in only)])
    rows.append([f"minidl, every={SELDOM}", *(_median(found["minidl"][name]["seldom"]) for name in only)])
    rows.append(["*minidl, aim*", *(f"{AIMS[name]:.2f}" for name in only)])
    header = ["recorded / bare step, processor time", *only]
    return f"{described(1)} {rounds} rounds.\n\n{table.markdown(header, rows)}\n"


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    command = argparse.ArgumentParser("python -m benchmarks.recording", description=__doc__.split("\n", 1)[0])
    command.add_argument("peer", nargs="*", help=argparse.SUPPRESS)
    command.add_argument("--rounds", type=count, default=15, metavar="N", help="pairs of turns (15)")
    command.add_argument("--only", default=",".join(AIMS), metavar="W1,W3", help="these workloads (all three)")
    given = command.parse_args(arguments)
    if given.peer:
        library, workload, rounds = given.peer
        serve(library, workload, int(rounds))
        return
    only = given.only.split(",")
    if unknown := [name for name in only if name not in AIMS]:
        command.error(f"unknown: {', '.join(unknown)}; there are {', '.join(AIMS)}")
    print(report(only, given.rounds), end="")


if __name__ == "__main__":
    main()
