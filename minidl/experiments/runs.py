"""One training run of the comparison: a network from its seed, a rule for the rates, the budget, and what came out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend, models
from minidl import functional as F
from minidl.data import DataSplits, Loader
from minidl.experiments.arms import LAYER_SPECIFIC, REPLAYED
from minidl.experiments.settings import BATCH_SIZE, Settings
from minidl.files.schema import FLOATS, WHOLE, Entry
from minidl.nn import Module, init
from minidl.observe import FlowRecording, GradientFlow
from minidl.optim import SGD, AdaGrad, Adam, LayerSpecific, Optimizer, Replayed
from minidl.tensors.tensor import Tensor
from minidl.training.evaluation import Evaluation, evaluate

RUN_ARRAYS = {  # what the file of a run holds, T steps and E evaluations
    "loss": Entry(FLOATS, ("T",)),
    "seconds": Entry(FLOATS, ("T",)),
    "eval_steps": Entry(WHOLE, ("E",)),
    "test_accuracy": Entry(FLOATS, ("E",)),
    "test_loss": Entry(FLOATS, ("E",)),
    "validation_loss": Entry(FLOATS, ()),
    "validation_accuracy": Entry(FLOATS, ()),
    "mean_multiplier": Entry(FLOATS, ("T",)),
}


@dataclass(frozen=True)
class RunKey:
    """Which run: a method, a rule, a base rate and a seed."""

    method: str
    rule: str
    base_rate: float
    seed: int

    def __str__(self) -> str:
        return f"{self.method}-{self.rule}-{self.base_rate:g}-seed{self.seed}"


@dataclass(frozen=True)
class Run:
    """What one run left.

    Attributes:
        loss: training loss at each step (T,).
        seconds: time spent training up to the end of each step, evaluation left out (T,).
        eval_steps: the steps after which the network was evaluated: every epoch (E,).
        test_accuracy, test_loss: at those steps (E,).
        validation_loss, validation_accuracy: at the end.
        mean_multiplier: what the rule multiplied the base rate by, averaged over layers, at each step (T,).
    """

    loss: Any
    seconds: Any
    eval_steps: Any
    test_accuracy: Any
    test_loss: Any
    validation_loss: float
    validation_accuracy: float
    mean_multiplier: Any

    def arrays(self) -> dict[str, Any]:
        """The run as named arrays, for a file."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> Run:
        """The run that `arrays()` described."""
        numbers = {n: float(arrays[n]) for n in ("validation_loss", "validation_accuracy")}
        return cls(**{**arrays, **numbers})


def build_model(settings: Settings) -> Module:
    """The network of the comparison with fresh weights: Caffe's xavier, biases 0."""
    if settings.model == "mlp":
        return models.mlp((64, *[32] * settings.hidden_layers, 10), activation="sigmoid", init=init.xavier_caffe_)
    return models.digits_conv(activation="relu", init=init.xavier_caffe_)


def build_optimizer(model: Module, method: str, lr: float, rule: Any) -> Optimizer:
    """The method with the layer rate `rule`; momentum in Caffe's form, in which the rate stays inside the velocity."""
    if method == "adagrad":
        return AdaGrad(model, lr=lr, eps=1e-8, layer_rate=rule)
    if method == "adam":
        return Adam(model, lr=lr, layer_rate=rule)
    momentum = 0.0 if method == "sgd" else 0.9
    return SGD(model, lr=lr, momentum=momentum, nesterov=method == "nesterov", momentum_form="caffe", layer_rate=rule)


def rule_for(key: RunKey, twin: Run | None) -> tuple[float, Any]:
    """The factor on the base rate, and the layer rate, of a run's rule.

    `twin` is the layer-specific run with the same method, base rate and seed, which the controls replay; no other rule
    looks at it. Of a run that diverged they replay what came before, and then go on with its last finite multiplier.
    """
    if key.rule == LAYER_SPECIFIC:
        return 1.0, LayerSpecific()
    if key.rule not in REPLAYED:
        return 1.0, None
    if twin is None:
        raise ValueError(f"the rule {key.rule!r} replays the layer-specific run with the same seed and base rate")
    multipliers = np.asarray(twin.mean_multiplier)
    finite = np.isfinite(multipliers)
    if key.rule == "constant":
        return float(multipliers[finite].mean()) if finite.any() else 1.0, None
    last = 1.0
    return 1.0, Replayed([last := float(m) if known else last for m, known in zip(multipliers, finite, strict=True)])


def train(settings: Settings, key: RunKey, splits: DataSplits, twin: Run | None = None) -> Run:
    """Train once and test after every epoch.

    The same seed gives the same weights and the same order of the data, whatever the method and the rule.
    """
    with backend.using(settings.backend), np.errstate(over="ignore", invalid="ignore"):
        return _train(settings, key, splits, twin)


def prepare(
    settings: Settings, key: RunKey, splits: DataSplits, twin: Run | None
) -> tuple[Module, Optimizer, Loader, float]:
    """The model, optimizer and loader of a run from its seed, and the constant factor on its base rate."""
    backend.seed(key.seed)
    model = build_model(settings)
    factor, rule = rule_for(key, twin)
    optimizer = build_optimizer(model, key.method, key.base_rate * factor, rule)
    loader = Loader(splits.train, batch_size=BATCH_SIZE, shuffle=True, seed=key.seed)
    return model, optimizer, loader, factor


def _train(settings: Settings, key: RunKey, splits: DataSplits, twin: Run | None) -> Run:
    model, optimizer, loader, factor = prepare(settings, key, splits, twin)
    losses: list[Any] = []
    seconds: list[float] = []
    multipliers: list[Any] = []
    eval_steps: list[int] = []
    scores: list[Evaluation] = []
    spent = 0.0
    for _ in range(settings.epochs):
        for inputs, labels in loader:
            started = time.perf_counter()
            loss = F.cross_entropy(model(Tensor(inputs)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            spent += time.perf_counter() - started
            losses.append(loss.detach())
            seconds.append(spent)
            if key.rule == LAYER_SPECIFIC:
                multipliers.append([report.multiplier for report in optimizer.raw_report.values()])
        eval_steps.append(len(losses))
        scores.append(evaluate(model, splits.test))
    validation = evaluate(model, splits.validation)
    if key.rule == LAYER_SPECIFIC:
        mean_multiplier = mean_over_layers(multipliers)
    elif isinstance(optimizer.layer_rate, Replayed):
        mean_multiplier = np.asarray(optimizer.layer_rate.multipliers)
    else:
        mean_multiplier = np.full(len(losses), factor)
    return Run(
        loss=np.array([x.item() for x in losses]),
        seconds=np.array(seconds),
        eval_steps=np.array(eval_steps, dtype=np.int64),
        test_loss=np.array([s.loss for s in scores]),
        test_accuracy=np.array([s.accuracy for s in scores]),
        validation_loss=validation.loss,
        validation_accuracy=float(validation.accuracy or 0.0),
        mean_multiplier=mean_multiplier,
    )


def mean_over_layers(multipliers: Sequence[Sequence[Any]]) -> Any:
    """(T,) the mean over layers of each step's multipliers, brought to the host only now."""
    return np.array([np.mean([float(m) for m in step]) for step in multipliers])


def record_flow(settings: Settings, key: RunKey, splits: DataSplits, twin: Run | None) -> FlowRecording:
    """The run `key` once more (the same seed makes it the same run), with its gradient flow recorded."""
    with backend.using(settings.backend), np.errstate(over="ignore", invalid="ignore"):
        return _record_flow(settings, key, splits, twin)


def _record_flow(settings: Settings, key: RunKey, splits: DataSplits, twin: Run | None) -> FlowRecording:
    model, optimizer, loader, _ = prepare(settings, key, splits, twin)
    with GradientFlow(model, optimizer) as flow:
        for _ in range(settings.epochs):
            for inputs, labels in loader:
                loss = F.cross_entropy(model(Tensor(inputs)), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return flow.recording
