"""How the default network of `minidl compare` was chosen: by a criterion that does not ask which arm wins.

    python -m minidl.experiments.choose FOLDER

For 1, 2, ... hidden layers of 32 sigmoid units it tunes every rule as `minidl compare` does, on the validation digits
and the tuning seeds, and prints the two numbers of the criterion: by how many decades a layer the weight gradient falls
towards the input at step 0 (at least half a decade is asked for), and the best accuracy of any tuned rule (at least
90%). The deepest network that meets both is the default. It takes a few minutes, and gave (NumPy 2.4, 2026-11-24):

    hidden layers  decades a layer  best tuned accuracy  criterion
                1             0.89                97.8%  met
                2             0.76                97.1%  met
                3             0.67                95.1%  met
                4             0.68                82.9%  not met
                5             0.66                14.4%  not met
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from minidl.experiments.compare import Comparison, best_index
from minidl.experiments.results import best_tuned_accuracy, slope_per_layer
from minidl.experiments.runs import RunKey, record_flow
from minidl.experiments.settings import SLOPE_CRITERION, TARGET_ACCURACY, Settings
from minidl.experiments.workers import Workers
from minidl.files.output import say

DEPTHS = (1, 2, 3, 4, 5)


def measure(hidden_layers: int, folder: Path, workers: Workers) -> tuple[float, float]:
    """(slope in decades a layer, median over the tuning seeds; best tuned validation accuracy) of one depth."""
    settings = Settings(hidden_layers=hidden_layers)
    comparison = Comparison(settings, folder / f"hidden-{hidden_layers}", workers)
    best = best_tuned_accuracy(comparison, "sgd")
    rate = settings.grid("sgd")[best_index(comparison.sweep("sgd")["uniform"])]
    keys = [RunKey("sgd", "uniform", rate, seed) for seed in settings.tuning_seeds]
    tasks = [(settings, key, comparison.splits, None) for key in keys]
    slopes = [slope_per_layer(flow.weight_gradient_rms[0]) for _, flow in workers.map(record_flow, tasks)]
    return float(np.median(slopes)), best


def main(folder: Path) -> None:
    """Print the table."""
    say("hidden layers  decades a layer  best tuned accuracy  criterion", sys.stdout)
    with Workers() as workers:
        for depth in DEPTHS:
            slope, accuracy = measure(depth, folder, workers)
            met = slope >= -SLOPE_CRITERION and accuracy >= TARGET_ACCURACY
            say(f"{depth:13}  {slope:15.2f}  {accuracy:19.1%}  {'met' if met else 'not met'}", sys.stdout)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
