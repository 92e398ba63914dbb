"""Evaluation mode for a block of code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from minidl.autograd.modes import no_grad
from minidl.nn.module import Module


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Inside the block the model is in evaluation mode and nothing is recorded (`no_grad`).

    Afterwards every module is in the mode in which it was before, also after an error.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
