"""Runs that take no time, for tests of what does them; and a pool that does them here."""

import json
import os
import signal
import time
from concurrent.futures import Future
from functools import partial

import numpy as np

from minidl.experiments.reproduce.methods import METHODS, RATES, REPLAYED
from minidl.experiments.reproduce.plan import make_plan
from minidl.experiments.reproduce.results import machine, read_result, write_replay, write_result

GRID = (0.01, 0.03, 0.1)


def small_plan(**changes):
    given = {
        "iterations": 4,
        "methods": ["sgd"],
        "rates": RATES,
        "seeds": 1,
        "tuning_seeds": (1000,),
        "base_rates": dict.fromkeys(METHODS, 0.05),
        "grids": {},
    }
    return make_plan("mnist", "quick", **(given | changes))


def tuned_plan(**changes):
    return small_plan(**({"rates": ["uniform", "ln", "per-step"], "grids": {"sgd": GRID}} | changes))


def result(spec, base_rate, loss=0.5, diverged_at=None):
    look = {"iteration": spec["iterations"], "accuracy": 0.9, "loss": loss, "examples": 10}
    return {
        "format": 1,
        "spec": spec,
        "base_rate": base_rate,
        "command": "minidl reproduce",
        "versions": {"minidl": "0", "commit": None, "numpy": "2", "python": "3"},
        "machine": machine(),
        "threads": 1,
        "backend": "numpy",
        "data": {"name": "mnist", "fingerprint": "0", "train": 1, "validation": 1, "test": 1},
        "iterations": spec["iterations"],
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "looks": [look | {"seconds": 1.0, "cpu_seconds": 1.0}],
        "validation": {"accuracy": 0.9, "loss": loss},
        "train_loss": loss,
        "diverged_at": diverged_at,
        "layers": ["fc1"],
        "curve": {"steps": [], "loss": []},
        "flow": {"steps": [], "norms": [], "multipliers": [], "relative_updates": [], "floored": []},
        "mean_multiplier": 2.0,
        "checks": {},
    }


def perform(spec, folder, base_rate, twin, on_iteration, does=None, pause=0.0):
    """A run that leaves a result; `does` says for single ids what they do instead."""
    does = (does or {}).get(spec["id"])
    with open(folder / "log.txt", "a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {os.getenv('OPENBLAS_NUM_THREADS')}\n")
    if does == "fail":
        raise ZeroDivisionError("by nothing\nand more")
    if does == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if spec["rate"] in REPLAYED:
        assert (twin / "replay.npz").exists()
        assert read_result(twin)["base_rate"] == base_rate
    path = folder / "checkpoint.json"
    begin = json.loads(path.read_text(encoding="utf-8")) if path.exists() else 0
    for done in range(begin + 1, spec["iterations"] + 1):
        time.sleep(pause)
        try:
            on_iteration(done)
        except KeyboardInterrupt:
            path.write_text(json.dumps(done), encoding="utf-8")
            raise
    if does == "no result":
        return
    diverged = 2 if does == "diverge" else None
    loss = None if does == "diverge" else does if isinstance(does, float) else 0.5
    if spec["rate"] == "ln":
        write_replay(folder, np.full(spec["iterations"], 2.0))
    write_result(folder, result(spec, base_rate, loss, diverged))


def doing(does, pause=0.0):
    return partial(perform, does=does, pause=pause)


class Here:
    """Does what is submitted at once, one run at a time."""

    def __init__(self):
        self.begun = []
        self.busy = False

    def free(self):
        return 0 if self.busy else 1

    def submit(self, function, *task):
        self.begun.append(task[1]["id"])
        self.busy = True
        future = Collected(self)
        try:
            future.set_result(function(*task))
        except BaseException as error:
            future.set_exception(error)
        return future

    def why(self, error):
        return f"the pool lost it: {error}"


class Collected(Future):
    """Makes room in the pool when its result is taken."""

    def __init__(self, pool):
        super().__init__()
        self._pool = pool

    def result(self, timeout=None):
        self._pool.busy = False
        return super().result(timeout)
