import pytest

from minidl.models import digits_conv, mlp
from minidl.nn import Linear, ReLU, Residual, Sequential
from minidl.observe.blocks import blocks_of
from tests.arrays import assert_same, tensor


def test_a_block_is_a_layer_with_what_follows_it_until_the_next():
    found = blocks_of(digits_conv())
    assert [block.name for block in found] == ["conv1", "conv2", "fc1", "fc2"]
    assert [[type(m).__name__ for m in block.modules] for block in found] == [
        ["Reshape", "Conv2d", "ReLU"], ["Conv2d", "ReLU", "MaxPool2d", "Flatten"], ["Linear", "ReLU"], ["Linear"],
    ]  # fmt: skip


def test_the_blocks_one_after_the_other_are_the_model():
    model = mlp((5, 4, 3))
    x = tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]).astype("float32")
    h = x
    for block in blocks_of(model):
        h = block(h)
    assert_same(h, model(x))


def test_a_residual_block_is_one_and_what_has_no_order_is_refused():
    assert len(blocks_of(Sequential(Linear(3, 3), Residual(Linear(3, 3)), ReLU()))) == 2
    with pytest.raises(TypeError, match="expected a Sequential"):
        blocks_of(Linear(3, 3))
    with pytest.raises(ValueError, match="expected a model with layers"):
        blocks_of(Sequential(ReLU()))
