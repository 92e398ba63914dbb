"""Two rules for the rate in a fair race: the same seeds, and each at a base rate tuned on other seeds."""

import time

import numpy as np

import minidl as md
import minidl.functional as F
from figures.runs import digits
from minidl import plot
from minidl.observe import RaceRecording
from minidl.optim import SGD, LayerSpecific
from minidl.plot.style import ClaimFigure

ARMS = ("one rate", "rate per layer")
RATES = (1.0, 2.0, 4.0, 8.0)
STEPS, LOOK = 400, 40


def run(arm: str, lr: float, seed: int):
    """Losses, seconds and validation accuracies of one training; and its final validation loss."""
    md.seed(seed)
    model = md.models.mlp((64, 32, 32, 32, 10), "sigmoid", md.nn.init.xavier_caffe_)
    optimizer = SGD(model, lr=lr, layer_rate=LayerSpecific() if arm == "rate per layer" else None)
    losses, seconds, accuracies, spent = [], [], [], 0.0
    loader = md.data.Loader(digits().train, batch_size=32, seed=seed)
    while len(losses) < STEPS:
        for inputs, labels in loader:
            begin = time.perf_counter()
            optimizer.zero_grad()
            loss = F.cross_entropy(model(md.Tensor(inputs)), labels)
            loss.backward()
            optimizer.step()
            spent += time.perf_counter() - begin
            losses.append(loss.item())
            seconds.append(spent)
            if len(losses) % LOOK == 0:
                found = md.evaluate(model, digits().validation)
                accuracies.append(found.accuracy)
            if len(losses) == STEPS:
                return losses, seconds, accuracies, found.loss
    raise AssertionError("the last look is at the last step")


def make(style: str) -> ClaimFigure:
    """Three seeds; the rates are tuned on two others."""
    sweep = np.array([[[run(arm, lr, seed)[3] for seed in (100, 101)] for lr in RATES] for arm in ARMS])
    best = [RATES[int(np.argmin(np.median(losses, axis=1)))] for losses in sweep]
    runs = [[run(arm, lr, seed) for seed in range(3)] for arm, lr in zip(ARMS, best, strict=True)]
    parts = [np.array([[one[k] for one in arm] for arm in runs]) for k in range(3)]
    recording = RaceRecording(
        arms=ARMS, seeds=np.arange(3), steps=np.arange(1, STEPS + 1), loss=parts[0], seconds=parts[1],
        eval_steps=np.arange(LOOK, STEPS + 1, LOOK), accuracy=parts[2], sweep_arms=ARMS, sweep_rates=RATES,
        sweep_loss=sweep, rates=np.array(best), notes=[],
    )  # fmt: skip
    return plot.race(recording)
