"""minidl/models/activations.py."""

import numpy as np
import pytest

from minidl import models, nn
from tests.arrays import tensor


@pytest.mark.parametrize("activation", sorted(models.ACTIVATIONS))
def test_it_takes_every_activation(activation):
    assert models.mlp((64, 5, 10), activation)(tensor(np.ones((5, 64), np.float32))).shape == (5, 10)


def test_an_activation_may_be_a_class():
    assert isinstance(models.mlp((4, 3, 2), activation=nn.Softsign).act1, nn.Softsign)


def test_another_name_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"out of elu, .*, tanh, or a class such as nn.Tanh; got 'swish'"):
        models.mlp((64, 30, 10), activation="swish")
