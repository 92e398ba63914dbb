"""What is done to a whole model. Saving, moving, hooks and the summary have tests of their own."""

import numpy as np

from minidl import nn
from tests.arrays import tensor
from tests.nn.test_module import Net


def test_train_and_eval_go_through_the_whole_tree():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())


def test_freezing_a_layer_stops_its_gradient_and_nothing_else():
    net = Net()
    assert net.stem.requires_grad_(False) is net.stem
    net(tensor(np.ones((2, 4), np.float32))).sum().backward()
    assert net.stem.weight.grad is None
    assert net.stem.bias.grad is None
    assert all(p.grad is not None for name, p in net.named_parameters() if not name.startswith("stem"))
    net.requires_grad_()
    assert all(p.requires_grad for p in net.parameters())


def test_zero_grad_forgets_all_gradients():
    net = Net()
    net(tensor(np.ones((2, 4), np.float32))).sum().backward()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_apply_visits_every_module_children_first():
    seen = []
    model = nn.Sequential([("a", nn.Linear(1, 1)), ("b", nn.Sequential(nn.ReLU()))])
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen == ["Linear", "ReLU", "Sequential", "Sequential"]
