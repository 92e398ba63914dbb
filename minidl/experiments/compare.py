"""`minidl compare`: does a rate per layer train better, and is it because it is per layer?

The protocol, in order:

1. Tune: every rule runs at every base rate of one grid, on two seeds that are not reported; its rate is the one with
   the lowest mean validation loss.
2. Run: every arm at its rate, on the reported seeds, tested after each epoch. One seed gives all arms the same initial
   weights and the same order of the data.
3. Judge: `verdict.py`. 4. Record and draw: the gradient flow of the first seed's runs.

Each finished run is a file in the run folder, so a comparison that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import DataSplits, digits
from minidl.experiments.arms import LAYER_SPECIFIC, REPLAYED, RULES, TUNED, rule_of
from minidl.experiments.runs import RUN_ARRAYS, Run, RunKey, record_flow, train
from minidl.experiments.settings import BATCH_SIZE, Settings
from minidl.experiments.workers import Workers
from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.reading import read_json
from minidl.files.writing import path_of, write_atomically
from minidl.observe import FlowRecording

FORMAT = 1


@contextmanager
def _to_be_deleted(then: str) -> Iterator[None]:
    """A file that cannot be read is named by the error; this adds what to do about it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error}. Delete it, and {then}") from error


class Comparison:
    """A comparison and its run folder.

    Args:
        settings: what to compare.
        folder: where everything is written; a folder with an unfinished comparison of the same settings is continued.
        workers: where the runs are done.
        on_run: called after each run (for a progress bar).

    Raises:
        ValueError: the folder holds something else, or a comparison with other settings.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        workers: Workers,
        on_run: Callable[[RunKey], None] = lambda key: None,
    ) -> None:
        self.settings = settings
        self.folder = Path(path_of(folder))
        self.splits: DataSplits = digits()
        self._workers = workers
        self._on_run = on_run
        self._runs: dict[RunKey, Run] = {}
        self._claim_folder()

    def _claim_folder(self) -> None:
        """Write the settings into a new folder; accept one with the same settings."""
        own = {"format": FORMAT, "settings": self.settings.as_dict()}
        path = self.folder / "settings.json"
        # Looked at before the settings are, so that another process may make the same comparison here in between.
        strange = self.folder.exists() and not (
            self.folder.is_dir() and all(_is_unsettled(entry) for entry in self.folder.iterdir())
        )
        if path.exists():
            try:
                found = read_json(path, dict, "cannot be read")
            except ValueError as error:
                raise ValueError(f"{error}; choose another --out") from error
            if found != own:
                raise ValueError(f"{self.folder} holds a comparison with other settings; choose another --out")
        elif strange:
            raise ValueError(f"{self.folder} exists and is not a comparison's folder; choose another --out")
        else:
            write_atomically(path, json.dumps(own, indent=2).encode())  # before anything else is in the folder

    # ---- runs

    def run(self, key: RunKey) -> Run:
        """A run that `run_all` has done."""
        return self._runs[key]

    def run_all(self, keys: Iterable[RunKey]) -> None:
        """Do the runs that are not done yet, the layer-specific ones that others replay first."""
        wanted = list(dict.fromkeys(keys))
        twins = [self.twin(key) for key in wanted if key.rule in REPLAYED]
        first = list(dict.fromkeys([*twins, *(key for key in wanted if key.rule not in REPLAYED)]))
        for wave in (first, [key for key in wanted if key.rule in REPLAYED]):
            waiting = [key for key in wave if not self._found(key)]
            for i, run in self._workers.map(train, [self._task(key) for key in waiting]):
                self._keep(waiting[i], run)

    def _task(self, key: RunKey) -> tuple[Settings, RunKey, DataSplits, Run | None]:
        """What `train` and `record_flow` are given. Only a control is handed the run that it replays."""
        return self.settings, key, self.splits, self._runs.get(self.twin(key)) if key.rule in REPLAYED else None

    def _found(self, key: RunKey) -> bool:
        """Whether the run is there, in memory or (from a comparison that was stopped) as a file."""
        path = self._path(key)
        if key not in self._runs and path.exists():
            with _to_be_deleted("the run is made anew"):
                arrays, about = load_arrays(path, kind="run", schema=RUN_ARRAYS)
            self._check_about(path, about, key)
            run = Run.from_arrays(arrays)
            if (len(run.loss), len(run.eval_steps)) != (self._steps, self.settings.epochs):
                raise ValueError(
                    f"{path} holds {len(run.loss)} losses and {len(run.eval_steps)} evaluations; expected "
                    f"{self._steps} and {self.settings.epochs}. Delete it, and the run is made anew"
                )
            self._runs[key] = run
            self._on_run(key)
        return key in self._runs

    def _flow(self, path: Path, key: RunKey) -> FlowRecording:
        """The recording at `path`, which has to be that of the run `key`."""
        with _to_be_deleted("it is recorded anew"):
            flow, about = FlowRecording.load_with_about(path)
        self._check_about(path, about, key)
        if len(flow.steps) != self._steps:
            raise ValueError(
                f"{path} holds {len(flow.steps)} steps; expected {self._steps}. Delete it, and it is recorded anew"
            )
        return flow

    def _about(self, key: RunKey) -> dict[str, Any]:
        """What a file of this run says about itself: which run it is, and with which budget."""
        shared = {name: getattr(self.settings, name) for name in ("model", "hidden_layers", "epochs", "backend")}
        return {"key": str(key), "base rate": key.base_rate, **shared}

    def _check_about(self, path: Path, found: dict[str, Any], key: RunKey) -> None:
        """Refuse the file of another run."""
        expected = self._about(key)
        other = [name for name, value in expected.items() if found.get(name) != value]
        if other:
            raise ValueError(
                f"{path} is of another run: "
                + "; ".join(f"its {name} is {found.get(name, 'missing')}, expected {expected[name]}" for name in other)
                + ". Delete it, and the run is made anew"
            )

    @property
    def _steps(self) -> int:
        """How many steps a run has."""
        return self.settings.epochs * -(-len(self.splits.train) // BATCH_SIZE)

    def _keep(self, key: RunKey, run: Run) -> None:
        save_arrays(self._path(key), run.arrays(), kind="run", meta=self._about(key))
        self._runs[key] = run
        self._on_run(key)

    def _path(self, key: RunKey) -> Path:
        return self.folder / "runs" / f"{key}.npz"

    def twin(self, key: RunKey) -> RunKey:
        """The layer-specific run with the same method, base rate and seed."""
        return RunKey(key.method, LAYER_SPECIFIC, key.base_rate, key.seed)

    def record_all(self, method: str, arms: Sequence[str]) -> dict[str, FlowRecording]:
        """The gradient flow of the first seed's run of each arm, recorded in a second run with the same bits."""
        rates = self.base_rates(method)
        keys = {arm: RunKey(method, rule_of(arm), rates[arm], seed=0) for arm in arms}
        paths = {arm: self.folder / f"flow-{method}-{arm}.npz" for arm in arms}
        flows = {arm: self._flow(path, keys[arm]) for arm, path in paths.items() if path.exists()}
        waiting = [arm for arm in arms if arm not in flows]
        for i, flow in self._workers.map(record_flow, [self._task(keys[arm]) for arm in waiting]):
            flow.save(paths[waiting[i]], about=self._about(keys[waiting[i]]))
            flows[waiting[i]] = flow
        return {arm: flows[arm] for arm in arms}

    # ---- the protocol

    def tuning_keys(self, method: str, rule: str, base_rate: float) -> list[RunKey]:
        """The runs that tune one rule at one base rate."""
        return [RunKey(method, rule, base_rate, seed) for seed in self.settings.tuning_seeds]

    def sweep(self, method: str) -> dict[str, Any]:
        """Validation losses (rates, seeds) of each tuned rule."""
        grid, rules = self.settings.grid(method), tuned_rules(self.settings)
        keys = {rule: [self.tuning_keys(method, rule, rate) for rate in grid] for rule in rules}
        self.run_all(key for rates in keys.values() for seeds in rates for key in seeds)
        return {
            rule: np.array([[self.run(key).validation_loss for key in seeds] for seeds in rates])
            for rule, rates in keys.items()
        }

    def base_rates(self, method: str) -> dict[str, float]:
        """The base rate of each arm: `--lr`, or the tuned ones."""
        if self.settings.lr is not None:
            return dict.fromkeys(self.settings.arms, self.settings.lr)
        grid = self.settings.grid(method)
        best = {rule: grid[best_index(losses)] for rule, losses in self.sweep(method).items()}
        shared = best.get(LAYER_SPECIFIC)
        rates = {}
        for arm in self.settings.arms:
            rule = rule_of(arm)
            rates[arm] = best[rule] if arm in TUNED or shared is None else shared
        return rates

    def arm_runs(self, method: str) -> dict[str, list[Run]]:
        """For each arm its runs, one a seed."""
        rates = self.base_rates(method)
        keys = {
            arm: [RunKey(method, rule_of(arm), rates[arm], seed) for seed in range(self.settings.seeds)]
            for arm in self.settings.arms
        }
        self.run_all(key for seeds in keys.values() for key in seeds)
        return {arm: [self.run(key) for key in seeds] for arm, seeds in keys.items()}


def _is_unsettled(path: Path) -> bool:
    """Whether this is what a comparison leaves in its folder that was killed before its settings were written."""
    if path.name == "runs":
        return path.is_dir() and not any(path.iterdir())
    return path.name.startswith(".settings.json.") and path.name.endswith(".part")


def expected_runs(settings: Settings) -> int:
    """How many runs there will be, at most: a tuned control may need a layer-specific twin at its own rate."""
    twins = sum(rule_of(arm) in REPLAYED for arm in settings.arms if arm in TUNED)
    reported = (len(settings.arms) + twins) * settings.seeds
    per_method = len(tuned_rules(settings)) * len(settings.tuning_seeds)
    return sum(reported + per_method * len(settings.grid(method)) for method in settings.methods)


def tuned_rules(settings: Settings) -> tuple[str, ...]:
    """The rules whose base rate has to be found: layer-specific's, which four arms share, and the tuned arms' own."""
    if settings.lr is not None:
        return ()
    if LAYER_SPECIFIC in settings.arms:
        needed = {LAYER_SPECIFIC} | {rule_of(arm) for arm in settings.arms if arm in TUNED}
    else:
        needed = {rule_of(arm) for arm in settings.arms}
    return tuple(rule for rule in RULES if rule in needed)


def best_index(losses: Any) -> int:
    """Which base rate has the lowest mean validation loss (rates, seeds); a run that diverged rules its rate out."""
    with np.errstate(over="ignore"):
        means = np.where(np.isfinite(losses), losses, np.inf).mean(axis=1)
    return int(np.argmin(means))
