"""What a module shows of itself."""

import numpy as np
import pytest

from minidl import nn
from minidl.errors import ShapeError
from minidl.nn.display import options_text, sizes_text
from tests.arrays import tensor


def test_it_shows_its_tree():
    model = nn.Sequential([("fc1", nn.Linear(4, 3)), ("body", nn.Sequential(nn.ReLU(), nn.Dropout(0.1)))])
    assert repr(model) == (
        "Sequential(\n  (fc1): Linear(4->3)\n  (body): Sequential(\n    (0): ReLU()\n    (1): Dropout(p=0.1)\n  )\n)"
    )


def test_options_are_shown_where_they_are_not_the_default():
    assert options_text(nn.LeakyReLU()) == ""
    assert options_text(nn.LeakyReLU(0.2)) == "negative_slope=0.2"
    assert options_text(nn.Linear(4, 3, bias=False), "4->3") == "4->3, bias=False"
    assert options_text(nn.Conv2d(1, 2, 3, padding=1), "1->2", "3x3") == "1->2, 3x3, padding=1x1"


def test_sizes_are_joined():
    assert sizes_text((3, 5)) == "3x5"
    assert sizes_text((4,)) == "4"


def test_a_layer_with_an_array_as_an_option_still_speaks():
    class Masked(nn.Linear):
        def __init__(self, inputs, outputs, mask=None):
            super().__init__(inputs, outputs)
            self.mask = mask

    layer = Masked(2, 3, np.ones((3, 2)))
    assert repr(layer) == "Masked(2->3)"
    with pytest.raises(ShapeError, match="in_features=2"):
        layer(tensor(np.ones((1, 5), np.float32)))
