"""Made-up results of a reproduction: files as real runs leave them, whose outcome is known beforehand.

A case says how each arm fares; `write_runs` makes the plan and the result.json of every run. Nothing is trained.
"""

import json
import math

import numpy as np

LAYERS = ("fc1", "fc2", "fc3", "fc4", "fc5")
LOOKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
RATES = ("uniform", "ln", "constant", "per-step", "log10")
TUNED = ("uniform", "ln", "per-step")

# {case: {arm: error at the end}}; 1 where the run diverges. Seeds add a little, the same to all arms and to each alone.
CASES = {
    "clear gain": {"uniform": 0.10, "ln": 0.05, "constant": 0.095, "per-step": 0.094, "log10": 0.06,
                   "uniform-tuned": 0.09, "ln-tuned": 0.045, "per-step-tuned": 0.088},
    "larger rate": {"uniform": 0.10, "ln": 0.05, "constant": 0.05, "per-step": 0.05, "log10": 0.06,
                    "uniform-tuned": 0.05, "ln-tuned": 0.05, "per-step-tuned": 0.05},
    "only when untuned": {"uniform": 0.10, "ln": 0.05, "constant": 0.09, "per-step": 0.09, "log10": 0.06,
                          "uniform-tuned": 0.05, "ln-tuned": 0.05, "per-step-tuned": 0.05},
    "no difference": dict.fromkeys(["uniform", "ln", "constant", "per-step", "log10", "uniform-tuned", "ln-tuned",
                                    "per-step-tuned"], 0.10),
    "diverges": {"uniform": 0.10, "ln": 1.0, "constant": 1.0, "per-step": 1.0, "log10": 1.0,
                 "uniform-tuned": 0.08, "ln-tuned": 0.08, "per-step-tuned": 0.08},
    "hurts": {"uniform": 0.05, "ln": 0.10, "constant": 0.09, "per-step": 0.09, "log10": 0.06,
              "uniform-tuned": 0.045, "ln-tuned": 0.09, "per-step-tuned": 0.045},
    "missing arms": {"uniform": 0.10, "ln": 0.05},
    "controls learn nothing": {"uniform": 0.10, "ln": 0.05, "constant": 0.88, "per-step": 0.88},
    "one rate learns nothing": {"uniform": 0.88, "ln": 0.05, "constant": 0.05, "per-step": 0.05},
    "nothing learned": dict.fromkeys(["uniform", "ln", "constant", "per-step"], 0.88),
}  # fmt: skip

# {outcome: {arm: after how many steps the loss has left the saddle, in seed 0; None for never}}
LEAVING = {
    "layers": {"uniform": 800, "ln": 200, "constant": 700, "per-step": 700, "log10": 300, "uniform-tuned": 600,
               "ln-tuned": 150, "per-step-tuned": 500},
    "larger rate": {"uniform": 800, "ln": 200, "constant": 205, "per-step": 195, "log10": 300, "uniform-tuned": 150,
                    "ln-tuned": 150, "per-step-tuned": 150},
    "never": {"uniform": 800, "ln": None, "constant": None, "per-step": None, "log10": 900, "uniform-tuned": 800,
              "ln-tuned": 800, "per-step-tuned": 800},
}  # fmt: skip


def write_runs(out, case="clear gain", recipe="mnist", scale="quick", methods=("sgd",), seeds=5, layers=LAYERS,
               vanishing=1.0, per_layer=True, missing=(), arms=None, saddle=None):  # fmt: skip
    """Make out/plan.json and out/runs/*/result.json; returns the ids.

    Args:
        case: of `CASES`.
        vanishing: decades by which the gradient falls from a layer to the one before it.
        per_layer: whether a rate per layer changes the layers near the input more than the controls do.
        missing: ids of which there is no result.
        arms: only these of the case.
        saddle: of `LEAVING`, for runs that begin at a saddle point.
    """
    errors = {arm: error for arm, error in CASES[case].items() if arms is None or arm in arms}
    specs = []
    for method in methods:
        for arm in errors:
            rate, base = arm.removesuffix("-tuned"), "tuned" if arm.endswith("-tuned") else "recipe"
            specs += [spec_of(recipe, scale, method, rate, base, seed) for seed in range(seeds)]
        if "ln-tuned" in errors:
            specs += [
                spec_of(recipe, scale, method, rate, grid, seed, "tuning")
                for rate in TUNED for grid in (0.003, 0.01, 0.03) for seed in (1000, 1001)
            ]  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    settings = {"iterations": 1000, "seeds": seeds}
    if "ln-tuned" in errors:
        settings |= {"tuning_seeds": [1000, 1001], "grids": {method: [0.003, 0.01, 0.03] for method in methods}}
    plan = {"format": 1, "recipe": recipe, "scale": scale, "settings": settings}
    (out / "plan.json").write_text(json.dumps({**plan, "runs": specs}))
    for spec in specs:
        if spec["id"] not in missing:
            arm = spec["rate"] + ("-tuned" if spec["base"] == "tuned" else "")
            error = errors.get(arm, 0.1)
            if spec["role"] == "tuning":  # 0.01 is the best base rate for all
                error = min(0.9, 0.1 * (1 + abs(math.log10(spec["base"] / 0.01))))
            result = result_of(spec, error, layers, vanishing, per_layer)
            if saddle is not None:
                left_at = LEAVING[saddle].get(arm)
                if spec["role"] == "tuning":  # 0.01 is the best base rate here too
                    left_at = round(400 * (1 + abs(math.log10(spec["base"] / 0.01))))
                result["saddle"] = saddle_of(spec, left_at)
            write_result(out, result)
    return [spec["id"] for spec in specs]


def spec_of(recipe, scale, method, rate, base, seed, role="report"):
    tag = base if isinstance(base, str) else f"grid{base:g}"
    return {"id": f"{method}-{rate}-{tag}-seed{seed}", "recipe": recipe, "scale": scale, "method": method, "rate": rate,
            "base": base, "seed": seed, "role": role, "iterations": 1000, "needs": [], "stage": 0}  # fmt: skip


def write_result(out, result):
    folder = out / "runs" / result["spec"]["id"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result, allow_nan=False))


def result_of(spec, error, layers=LAYERS, vanishing=1.0, per_layer=True):
    """The result of a run that ends with this share of wrong answers, or that diverges half-way (error 1)."""
    random = np.random.default_rng([spec["seed"], *map(ord, f"{spec['rate']}{spec['base']}")])
    end = error * (1 + 0.02 * np.random.default_rng(spec["seed"]).uniform(-1, 1) + 0.004 * random.uniform(-1, 1))
    lost = error >= 1
    total, looks = spec["iterations"], []
    for part in LOOKS:
        gone = lost and part > 0.5
        wrong = min(0.9, end + (0.9 - end) * math.exp(-part * 0.6 / max(error, 1e-3)) * (0 if part == 1 else 1))
        looks.append({
            "iteration": round(part * total), "accuracy": 0.1 if gone else six(1 - wrong),
            "loss": None if gone else six(3 * wrong), "examples": 2000 if part < 1 else 10000,
            "seconds": None if gone else six(20 * part), "cpu_seconds": None if gone else six(19 * part),
        })  # fmt: skip
    steps = list(range(10, total + 1, 10))
    losses = [None if lost and s > total / 2 else six(0.1 + 2 * math.exp(-s / 200) + 0.02 * random.random())
              for s in steps]  # fmt: skip
    return {
        "format": 1, "spec": spec, "base_rate": spec["base"] if isinstance(spec["base"], float) else 0.01,
        "command": "minidl reproduce " + spec["recipe"], "machine": "a machine, 2 cores", "threads": 1,
        "versions": {"minidl": "0.1.0", "commit": "abc1234", "numpy": "2.4", "python": "3.11"}, "backend": "numpy",
        "iterations": total, "seconds": 20.0, "cpu_seconds": 19.0, "looks": looks,
        "validation": {"accuracy": looks[-1]["accuracy"], "loss": looks[-1]["loss"]},
        "train_loss": losses[-1], "diverged_at": total // 2 if lost else None, "layers": list(layers),
        "curve": {"steps": steps, "loss": losses}, "flow": flow_of(spec, layers, vanishing, per_layer, random),
        "mean_multiplier": 3.0, "checks": {},
    }  # fmt: skip


def flow_of(spec, layers, vanishing, per_layer, random):
    """Norms fall by `vanishing` decades a layer from output to input; the rule of the rates does what it says."""
    count, rate = len(layers), spec["rate"]
    depth = np.arange(count)[::-1]
    steps = sorted({1 + round(x * x * (spec["iterations"] - 1)) for x in np.linspace(0, 1, 40)})
    rows = {"norms": [], "multipliers": [], "relative_updates": [], "floored": []}
    for step in steps:
        norms = 10.0 ** (-vanishing * depth - 0.3 * step / spec["iterations"] + 0.02 * random.normal(size=count))
        rule = 1 + (np.log10 if rate == "log10" else np.log)(1 + 1 / norms)
        own = {"uniform": np.ones(count), "ln": rule, "log10": rule}.get(rate, np.full(count, rule.mean()))
        moved = own if per_layer or rate == "uniform" else np.full(count, rule.mean())
        for key, row in (("norms", norms), ("multipliers", own), ("relative_updates", 0.01 * norms * moved)):
            rows[key].append([float(f"{x:.4g}") for x in row])
        rows["floored"].append([0] * count)
    return {"steps": steps, **rows}


def saddle_of(spec, left_at):
    """The entries of a run that leaves a saddle after `left_at` steps and as many more as its seed's number."""
    steps = [0, *(round(part * spec["iterations"]) for part in LOOKS)]
    left_at = None if left_at is None else left_at + spec["seed"]
    gone = [left_at is not None and step >= left_at for step in steps]
    return {
        "loss": 1.5, "gradient_norm": 1e-13, "smallest": -0.03, "largest": 27.0, "negative": 21, "parameters": 298,
        "distance": 0.01, "threshold": 1.425, "left_at": left_at, "highest": 1.5, "up_until": 0,
        "curvature": {
            "steps": steps, "loss": [1.0 if x else 1.5 for x in gone], "distance": [5.0 if x else 0.01 for x in gone],
            "gradient_norms": [[0.1, 0.1]] * len(steps), "multipliers": [None] + [[1.0, 1.0]] * (len(steps) - 1),
            "smallest": [-0.001 if x else -0.03 for x in gone], "largest": [27.0] * len(steps),
            "negative": [21] * len(steps),
        },
    }  # fmt: skip


def six(value):
    return float(f"{value:.6g}")
