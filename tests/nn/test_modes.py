"""Evaluation mode for a block of code."""

import numpy as np
import pytest

from minidl import nn
from minidl.autograd.modes import is_grad_enabled
from minidl.nn.modes import evaluating
from tests.arrays import tensor


def test_inside_the_block_a_model_is_in_evaluation_mode_and_records_nothing():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not model(tensor(np.ones((1, 2), np.float32))).requires_grad
    assert all(module.training for module in model.modules())
    assert is_grad_enabled()


def test_afterwards_each_module_is_in_the_mode_it_was_in_also_after_an_error():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    model[1].eval()
    with pytest.raises(RuntimeError), evaluating(model):
        raise RuntimeError
    assert [module.training for module in model.modules()] == [True, True, False]
    assert is_grad_enabled()
