"""The exercises of tutorial 1: a backward pass by hand, through six ops of which each value is used once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict


def _six_ops(w: Any, x: Any, b: Any, v: Any, y: Any) -> Any:
    return (v * np.sqrt(w * x + b) - y) ** 2


# ---- one op


t01_sqrt_slope = Predict(
    "t01_sqrt_slope",
    "the local slope dh/dz of h = sqrt(z) at z = 4",
    0.25,
    mistakes=[
        Mistake(0.125, "this is 1 / (2 z): the slope has the root of z below, not z"),
        Mistake(
            0.5, "this is 1 / sqrt(z): differentiate z to the power of 1/2, and the exponent comes down as a factor"
        ),
        Mistake(2.0, "this is the value of h; its slope says how fast h changes when z does"),
        Mistake(
            1.0, "this is h / 2, as if h were 2 at the end of a straight line; differentiate z to the power of 1/2"
        ),
        Mistake(
            lambda: np.sqrt(5.0) - 2.0, "this is what a whole step of 1 in z changes; a slope is that of tiny steps"
        ),
        Mistake(4.0, "this is dz/dh, the other way round: by how much z changes for a change of h"),
    ],
    why="h changes by a quarter of a small change of z.",
)


def _sqrt_backward(grad_out: float, z: float) -> Any:
    return grad_out / (2 * np.sqrt(z))


def _one_number(rng: np.random.Generator) -> Any:
    yield 1.0, 4.0
    yield -18.0, 4.0
    for _ in range(2):
        yield float(rng.uniform(-3, 3)), float(rng.uniform(0.5, 9))


t01_sqrt_backward = Implement(
    "t01_sqrt_backward",
    "the backward of h = sqrt(z): dL/dz, given grad_out = dL/dh and z",
    _sqrt_backward,
    _one_number,
    mistakes=[
        Mistake(
            lambda grad_out, z: 1 / (2 * np.sqrt(z)),
            "this is the local slope dh/dz alone: it is still to be multiplied by what came in, grad_out",
        ),
        Mistake(lambda grad_out, z: grad_out / np.sqrt(z), "a factor of the slope of the square root is missing"),
        Mistake(lambda grad_out, z: grad_out / (2 * z), "below stands the root of z, not z"),
        Mistake(
            lambda grad_out, z: grad_out * np.sqrt(z), "this multiplies by the value sqrt(z); multiply by its slope"
        ),
        Mistake(
            lambda grad_out, z: grad_out + 1 / (2 * np.sqrt(z)), "the chain rule multiplies slopes, it adds nothing"
        ),
        Mistake(lambda grad_out, z: grad_out * 2 * np.sqrt(z), "this multiplies by 2 sqrt(z), where it should divide"),
        Mistake(
            lambda grad_out, z: grad_out / 2 * np.sqrt(z),
            "grad_out / 2 * h is (grad_out / 2) * h: put brackets round all that stands below",
        ),
        Mistake(
            lambda grad_out, z: 2 * np.sqrt(z) / grad_out,
            "this is upside down: what came in, grad_out, is to be multiplied by the slope",
        ),
        Mistake(
            lambda grad_out, z: _sqrt_backward(z, grad_out) if grad_out > 0 else float("nan"),
            "the two arguments are exchanged: grad_out comes first, then z",
        ),
        Mistake(lambda grad_out, z: grad_out * 2 * z, "this is the slope of the square, z**2"),
        Mistake(
            lambda grad_out, z: grad_out * -0.5 * z**-1.5,
            "differentiated twice: the slope of z to the power of 1/2 has the power -1/2",
        ),
    ],
    forward=np.sqrt,
    float32=False,
)


# ---- six ops, by hand


def _by_hand(
    square: float = 6.0, grad_v: float = 2.0, grad_h: float = -3.0, root: float = 0.25, x: float = 10.0
) -> dict[str, float]:
    """The five gradients, by the local slopes at the tutorial's numbers; a mistake is another slope."""
    h = square * grad_h
    return {"v": square * grad_v, "h": h, "z": h * root, "b": h * root, "w": h * root * x}


t01_by_hand = Predict(
    "t01_by_hand",
    "dL/dv, dL/dh, dL/dz, dL/db and dL/dw of the six ops, by hand",
    _by_hand(),
    mistakes=[
        Mistake(
            {"v": 2.0, "h": -3.0, "z": 0.25, "b": 1.0, "w": 10.0},
            "these are the local slopes: each is still to be multiplied by the gradient that comes in",
        ),
        Mistake(_by_hand(grad_v=-3.0, grad_h=2.0), "of q = v * h the slope for v is h, and the slope for h is v"),
        Mistake(_by_hand(root=0.5), "the slope of the square root is 1 / (2 h)"),
        Mistake(_by_hand(root=0.125), "the slope of the square root is 1 / (2 h), not 1 / (2 z)"),
        Mistake(_by_hand(square=3.0), "all begins with dL/dr, which is 2 r"),
        Mistake(_by_hand(square=1.0), "this begins with 1 at q: the 6 that reaches q is missing in all of them"),
        Mistake(_by_hand(square=-6.0), "all signs are the other ones: r = q - y is 3, so dL/dq is 6 and not -6"),
        Mistake(
            {**_by_hand(), "v": -18.0, "h": 12.0}, "dL/dv and dL/dh are exchanged: of q = v * h the slope for v is h"
        ),
        Mistake(
            {**_by_hand(square=1.0), "v": 12.0},
            "at q = v * h the same 6 comes in for both inputs: it is missing in dL/dh, and in all behind it",
        ),
        Mistake(
            {"v": 12.0, "h": -18.0, "z": 0.25, "b": 1.0, "w": 10.0},
            "from z on these are the local slopes: each is still to be multiplied by the gradient that comes in",
        ),
        Mistake({**_by_hand(), "b": 1.0}, "1 is the local slope of z = p + b: multiply it by what came in, dL/dz"),
        Mistake({**_by_hand(), "b": 0.0}, "nothing is lost at a sum: z changes as much as b does"),
        Mistake(_by_hand(root=4.0), "this multiplies by 4, where the slope of the square root is 1 / (2 h)"),
        Mistake(_by_hand(root=2.0), "this multiplies by the value h; the slope of the square root is 1 / (2 h)"),
        Mistake(_by_hand(square=9.0), "this begins with the value L = 9; begin with the gradient dL/dq = 6"),
        Mistake(_by_hand(x=0.5), "of p = w * x the slope for w is x"),
        Mistake(_by_hand(x=1.0), "of p = w * x the slope for w is x: dL/dw is not dL/db"),
        Mistake({**_by_hand(), "b": 4.5}, "b is added in z = p + b: its slope is 1, whatever the sign of b"),
        Mistake({key: abs(g) for key, g in _by_hand().items()}, "mind the signs: v = -3 is the slope for h"),
    ],
    why="Each is the gradient that came in times one local slope.",
)


# ---- six ops, in code


def _six_ops_backward(grad_loss: float, w: float, x: float, b: float, v: float, y: float) -> Any:
    z = w * x + b
    h = np.sqrt(z)
    grad_q = grad_loss * 2 * (v * h - y)
    grad_z = grad_q * v / (2 * h)
    return grad_z * x, grad_z * w, grad_z, grad_q * h, -grad_q


def _slip(
    seed: float | None = None,
    square: float = 2.0,
    root: Callable[[Any], Any] = lambda h: 1 / (2 * h),
    v_and_h: bool = False,
    w_and_x: bool = False,
    y_slope: float = -1.0,
    b_slope: Callable[[float], float] = lambda b: 1.0,
    from_r: Callable[[Any], Any] | None = None,
    h_from_v: bool = False,
) -> Callable[..., Any]:
    """A wrong backward: one with another seed, or other local slopes."""

    def wrong(grad_loss: float, w: float, x: float, b: float, v: float, y: float) -> Any:
        h = np.sqrt(w * x + b)
        r = v * h - y
        grad_r = (grad_loss if seed is None else seed) * (square * r if from_r is None else from_r(r))
        for_v, for_h = (v, h) if v_and_h else (h, v)
        for_w, for_x = (w, x) if w_and_x else (x, w)
        grad_v = grad_r * for_v
        grad_z = (grad_v if h_from_v else grad_r) * for_h * root(h)
        return grad_z * for_w, grad_z * for_x, grad_z * b_slope(b), grad_v, grad_r * y_slope

    return wrong


def _local_slopes(grad_loss: float, w: float, x: float, b: float, v: float, y: float) -> Any:
    return x, w, 1.0, np.sqrt(w * x + b), -1.0


def _six_numbers(rng: np.random.Generator) -> Any:
    yield 1.0, 0.5, 10.0, -1.0, -3.0, -9.0
    for grad_loss in (1.0, 1.0, -0.5):
        w, x = rng.uniform(0.5, 2.0, 2)
        yield (
            grad_loss, float(w), float(x), float(rng.uniform(0.1, 1.0)),
            float(rng.uniform(-2.0, -0.5)), float(rng.uniform(1.0, 2.0)),
        )  # fmt: skip


t01_six_ops_backward = Implement(
    "t01_six_ops_backward",
    "the backward pass of the six ops: the gradients of w, x, b, v and y, given grad_loss",
    _six_ops_backward,
    _six_numbers,
    mistakes=[
        Mistake(_local_slopes, "these are the local slopes of the ops at the leaves: multiply along the whole path"),
        Mistake(_slip(seed=1.0), "it begins with 1, whatever grad_loss is: the first op gets grad_loss"),
        Mistake(_slip(y_slope=1.0), "y is subtracted: its slope is -1"),
        Mistake(_slip(w_and_x=True), "of p = w * x the slope for w is x, and the slope for x is w"),
        Mistake(_slip(v_and_h=True), "of q = v * h the slope for v is h, and the slope for h is v"),
        Mistake(_slip(square=1.0), "all are half of what they should be: the slope of r**2 is 2 r"),
        Mistake(_slip(root=lambda h: 1 / h), "a factor of the slope of the square root is missing: it is 1 / (2 h)"),
        Mistake(_slip(root=lambda h: 1 / (2 * h * h)), "the slope of the square root is 1 / (2 h), not 1 / (2 z)"),
        Mistake(
            _slip(root=lambda h: h / 2),
            "grad_h / 2 * h is (grad_h / 2) * h: put brackets round all that stands below",
        ),
        Mistake(_slip(b_slope=lambda b: b), "b is added in z = p + b: its slope is 1, not b"),
        Mistake(_slip(from_r=lambda r: r**2), "dL/dr begins with the value r**2: the slope of r**2 is 2 r"),
        Mistake(_slip(from_r=lambda r: 2 * r * r**2), "it begins with the value of L: dL/dL is grad_loss alone"),
        Mistake(_slip(from_r=lambda r: 1.0), "the slope of r**2 is missing: what goes on to r is grad_loss times 2 r"),
        Mistake(_slip(h_from_v=True), "dL/dh is made of what came in at q, not of dL/dv"),
        Mistake(_slip(root=lambda h: 1.0), "the square root is missing on the way back: its slope is 1 / (2 h)"),
    ],
    forward=_six_ops,
    float32=False,
)


# ---- why backwards

t01_why_backwards = Explain(
    "t01_why_backwards",
    "why does the pass go from L to the leaves, and not from the leaves to L?",
    {
        "a": "the chain rule holds only when the slopes are multiplied from L towards the leaves",
        "b": "what arrives at a value, dL/d(value), serves every leaf behind it, so one pass is enough for all leaves",
        "c": "the forward pass has overwritten the values, and they have to be computed again from the end",
        "d": "the leaves come last since they have the largest gradients",
    },
    "b",
    hints={
        "a": "a product of numbers is the same in either direction: 6 * (-3) * 0.25 * 10. What is different is how "
        "often it has to be begun anew",
        "c": "no value was overwritten: the backward pass reads h, v and x, as the forward left them",
        "d": "they have not: dL/db = -4.5 is smaller than dL/dq = 6. The order has nothing to do with the size",
    },
)

EXERCISES: tuple[Exercise, ...] = (
    t01_sqrt_slope,
    t01_sqrt_backward,
    t01_by_hand,
    t01_six_ops_backward,
    t01_why_backwards,
)
