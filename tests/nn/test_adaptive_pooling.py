"""minidl/nn/adaptive_pooling.py."""

import numpy as np
import pytest

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import host, tensor
from tests.nn.test_pooling import X, check_against_pytorch

CASES = [
    ("AdaptiveAvgPool1d", {"output_size": 3}),
    ("AdaptiveMaxPool1d", {"output_size": 1}),
    ("AdaptiveAvgPool2d", {"output_size": (None, 3)}),
    ("AdaptiveMaxPool2d", {"output_size": 4}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_it_equals_pytorch_forward_and_backward(kind, options):
    check_against_pytorch(kind, options)


def test_global_average_pooling():
    for x in (X, X[:, :, 0]):
        np.testing.assert_allclose(host(nn.GlobalAvgPool()(tensor(x))), x.mean(tuple(range(2, x.ndim))), rtol=1e-5)


def test_pooling_has_no_parameters():
    layers = nn.AdaptiveAvgPool1d(2), nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(2), nn.GlobalAvgPool()
    assert [layer.parameters() for layer in layers] == [[]] * 4


def test_bad_sizes_are_named():
    with pytest.raises(ShapeError, match="AdaptiveAvgPool2d: output_size: expected a whole number"):
        nn.AdaptiveAvgPool2d((2, 0))
    with pytest.raises(ShapeError, match="AdaptiveMaxPool1d: output_size"):
        nn.AdaptiveMaxPool1d((2, 2))


def test_one_image_needs_a_batch_axis():
    for layer in (nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d((None, 2))):
        with pytest.raises(ShapeError, match="add a batch axis"):
            layer(tensor(X[0]))


def test_it_says_what_it_is():
    assert repr(nn.AdaptiveAvgPool2d((None, 2))) == "AdaptiveAvgPool2d(output_size=(None, 2))"
