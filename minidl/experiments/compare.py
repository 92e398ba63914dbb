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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend
from minidl.data import DataSplits, digits
from minidl.experiments.arms import ARMS, LAYER_SPECIFIC, REPLAYED, RULES, TUNED, rule_of
from minidl.experiments.runs import Run, RunKey, train
from minidl.experiments.settings import GRIDS, Settings
from minidl.storage import load_arrays, save_arrays, write_atomically

FORMAT = 1


class Comparison:
    """A comparison and its run folder.

    Args:
        settings: what to compare.
        folder: where everything is written; a folder with an unfinished comparison of the same settings is continued.
        on_run: called after each run (for a progress bar).

    Raises:
        ValueError: the folder holds something else, or a comparison with other settings.
    """

    def __init__(self, settings: Settings, folder: Path, on_run: Callable[[RunKey], None] = lambda key: None) -> None:
        self.settings = settings
        self.folder = folder
        self.splits: DataSplits = digits()
        self._on_run = on_run
        self._runs: dict[RunKey, Run] = {}
        self._claim_folder()

    def _claim_folder(self) -> None:
        """Write the settings into a new folder; accept one with the same settings."""
        own = {"format": FORMAT, "settings": self.settings.as_dict()}
        path = self.folder / "settings.json"
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{path} cannot be read ({error}); choose another --out") from error
            if found != own:
                raise ValueError(f"{self.folder} holds a comparison with other settings; choose another --out")
            return
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ValueError(f"{self.folder} exists and is not a comparison's folder; choose another --out")
        (self.folder / "runs").mkdir(parents=True)
        write_atomically(path, json.dumps(own, indent=2).encode())

    # ---- runs

    def run(self, key: RunKey) -> Run:
        """The run `key`: from memory, from its file, or trained now. A control first needs its layer-specific twin."""
        if key in self._runs:
            return self._runs[key]
        path = self.folder / "runs" / f"{key}.npz"
        if path.exists():
            arrays, _ = load_arrays(path, kind="run")
            found = Run.from_arrays(arrays)
        else:
            twin = self.run(self.twin(key)) if key.rule in REPLAYED else None
            with backend.using(self.settings.backend), np.errstate(over="ignore", invalid="ignore"):
                found = train(self.settings, key, self.splits, twin)
            save_arrays(path, found.arrays(), kind="run", meta={"key": str(key)})
        self._runs[key] = found
        self._on_run(key)
        return found

    def twin(self, key: RunKey) -> RunKey:
        """The layer-specific run with the same method, base rate and seed."""
        return RunKey(key.method, LAYER_SPECIFIC, key.base_rate, key.seed)

    # ---- the protocol

    def tuning_keys(self, method: str, rule: str, base_rate: float) -> list[RunKey]:
        """The runs that tune one rule at one base rate."""
        return [RunKey(method, rule, base_rate, seed) for seed in self.settings.tuning_seeds]

    def sweep(self, method: str) -> dict[str, Any]:
        """Validation losses (rates, seeds) of each tuned rule."""
        return {
            rule: np.array(
                [
                    [self.run(key).validation_loss for key in self.tuning_keys(method, rule, rate)]
                    for rate in GRIDS[method]
                ]
            )
            for rule in tuned_rules(self.settings)
        }

    def base_rates(self, method: str) -> dict[str, float]:
        """The base rate of each arm: `--lr`, or the tuned ones."""
        if self.settings.lr is not None:
            return dict.fromkeys(self.settings.arms, self.settings.lr)
        best = {rule: GRIDS[method][best_index(losses)] for rule, losses in self.sweep(method).items()}
        shared = best.get(LAYER_SPECIFIC)
        rates = {}
        for arm in self.settings.arms:
            rule = rule_of(arm)
            rates[arm] = best[rule] if arm in TUNED or shared is None else shared
        return rates

    def arm_runs(self, method: str) -> dict[str, list[Run]]:
        """For each arm its runs, one a seed."""
        rates = self.base_rates(method)
        return {
            arm: [self.run(RunKey(method, rule_of(arm), rates[arm], seed)) for seed in range(self.settings.seeds)]
            for arm in ARMS
            if arm in self.settings.arms
        }

    def grid(self, method: str) -> tuple[float, ...]:
        """The base rates that were tried."""
        return GRIDS[method]


def expected_runs(settings: Settings) -> int:
    """How many runs there will be, at most: a tuned control may need a layer-specific twin at its own rate."""
    twins = sum(rule_of(arm) in REPLAYED for arm in settings.arms if arm in TUNED)
    reported = (len(settings.arms) + twins) * settings.seeds
    per_method = len(tuned_rules(settings)) * len(settings.tuning_seeds)
    return sum(reported + per_method * len(GRIDS[method]) for method in settings.methods)


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
    means = np.where(np.isfinite(losses), losses, np.inf).mean(axis=1)
    return int(np.argmin(means))
