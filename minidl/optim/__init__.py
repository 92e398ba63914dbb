"""Optimizers: a method and a layer rate, chosen independently; schedules for the base rate; clipping.

    optimizer = md.optim.SGD(model, lr=0.1, momentum=0.9, layer_rate=md.optim.LayerSpecific())
    schedule = md.optim.InvLR(optimizer, gamma=1e-4, power=0.75)
    for inputs, labels in loader:
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    optimizer.layer_report()["fc1"].rate

**Every method with every layer rate.** t is the base rate `lr` at this step, w a parameter, l its layer; t and
weight_decay are multiplied for the parameters that `optimizer.scale("*.bias", lr=2, decay=0)` names;

    g = gradient + weight_decay * w,     m = the multiplier of a rate that applies to the gradient, else 1,
                                         M = the multiplier of a rate that applies to the update, else 1.

    method                      what it remembers                      w <- w - ...
    SGD                                                                t M m g
    SGD, momentum               v <- mu v + (1 - damp) m g             t M v
      Nesterov                  v <- mu v + m g                        t M (m g + mu v)
    SGD, momentum, "caffe"      v <- mu v + t m g                      M v
      Nesterov                  v <- mu v + t m g                      M (t m g + mu v)
    AdaGrad                     h <- h + g^2                           t M m g / (sqrt(h) + eps)
      denominator="layer"       h_l <- h_l + ||g_l||^2                 t M m g / (sqrt(h_l) + eps)
    RMSprop                     v <- a v + (1 - a) g^2                 t M m g / (sqrt(v) + eps)
      centered                  v, and c <- a c + (1 - a) g            t M m g / (sqrt(v - c^2) + eps)
      momentum                  b <- mu b + m g / (sqrt(v) + eps)      t M b
    Adam, k-th update           u <- b1 u + (1 - b1) m g,              t M d, with d = (u / (1 - b1^k))
                                v <- b2 v + (1 - b2) g^2                 / (sqrt(v / (1 - b2^k)) + eps)
    AdamW                       as Adam, with g = gradient             t M (d + weight_decay * w)

    layer rate                  applies to     multiplier
    Uniform (the default)                      1
    LayerSpecific               gradient       1 + ln(1 + 1/||g_l||_2), the norm of the raw gradient of weights and
                                               biases together (options: norm_scope, norm_of, log)
    LARS                        gradient       eta ||w_l|| / (||g_l|| + weight_decay ||w_l||), the norm of the raw
                                               gradient; 1 where one of the norms is 0 (option: norm_scope)
    TrustRatio                  update         ||w_l|| / ||d_l||, d the update without t and M; 1 where one of the norms
                                               is 0 (option: norm_scope). AdamW with it is LAMB
    Replayed                    gradient       multipliers[k] at step k, the same for all layers
    a function of a LayerView   gradient       what it returns, unless its attribute `applies_to` says "update"

So m multiplies what a step is made of, and never what a step is divided by (h, v and c), where it would cancel.
With momentum a gradient keeps the m of the step it was seen in. With plain SGD and AdaGrad t m is the layer's rate t_l,
so LayerSpecific gives t_l = t (1 + ln(1 + 1/||g_l||)), as arXiv:1510.04609 has it; with Caffe's momentum t_l is inside
the velocity, v <- mu v + t_l g, which with the rate LARS is arXiv:1708.03888.
"""

from typing import Any

from minidl.examples.reading import add_examples
from minidl.habits.answers import missing_name
from minidl.optim.adagrad import AdaGrad
from minidl.optim.adam import Adam
from minidl.optim.adamw import AdamW
from minidl.optim.chained import ChainedScheduler, SequentialLR
from minidl.optim.clipping import clip_grad_norm_, clip_grad_value_
from minidl.optim.curves import (
    CosineLR,
    ExponentialLR,
    InvLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from minidl.optim.layer_rates import LayerRate, LayerSpecific, Replayed, Uniform
from minidl.optim.layer_view import LayerView
from minidl.optim.layers import LayerGroup
from minidl.optim.one_cycle import OneCycleLR
from minidl.optim.optimizer import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.report import LayerReport
from minidl.optim.rmsprop import RMSprop
from minidl.optim.scales import Scale
from minidl.optim.schedule import Schedule
from minidl.optim.sgd import SGD
from minidl.optim.trust import LARS, TrustRatio

Adagrad = AdaGrad  # as PyTorch spells it

__all__ = [
    "LARS",
    "SGD",
    "AdaGrad",
    "Adagrad",
    "Adam",
    "AdamW",
    "ChainedScheduler",
    "CosineLR",
    "ExponentialLR",
    "InvLR",
    "LambdaLR",
    "LayerGroup",
    "LayerRate",
    "LayerReport",
    "LayerSpecific",
    "LayerView",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RMSprop",
    "ReduceLROnPlateau",
    "Replayed",
    "Scale",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "TrustRatio",
    "Uniform",
    "clip_grad_norm_",
    "clip_grad_value_",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "optim")
