import numpy as np
import pytest

import minidl.functional as F
from minidl import backend, models, nn
from minidl.errors import DTypeError, ShapeError
from tests.arrays import device, host, tensor


def model():
    return nn.Sequential(
        [
            ("conv1", nn.Conv2d(1, 8, 3, padding=1)),
            ("act1", nn.ReLU()),
            ("body", nn.Sequential([("flat", nn.Flatten()), ("drop", nn.Dropout(0.5))])),
            ("fc1", nn.Linear(8 * 4 * 4, 10)),
        ]
    )


def test_the_table_shows_names_types_shapes_counts_and_what_is_frozen():
    net = model()
    net.conv1.requires_grad_(False)
    assert net.summary((2, 1, 4, 4)) == (
        "layer      type                           output shape  parameters\n"
        "-----------------------------------------------------------------------------\n"
        "conv1      Conv2d 1->8, 3x3, padding=1x1  (2, 8, 4, 4)          80  frozen\n"
        "act1       ReLU                           (2, 8, 4, 4)           0\n"
        "body.flat  Flatten                        (2, 128)               0\n"
        "body.drop  Dropout p=0.5                  (2, 128)               0\n"
        "fc1        Linear 128->10                 (2, 10)            1,290  trainable\n"
        "-----------------------------------------------------------------------------\n"
        "1,370 parameters (1,290 trainable, 80 frozen), 5.4 KiB"
    )


def test_an_example_batch_does_as_well_as_a_shape():
    net, x = model(), np.zeros((2, 1, 4, 4), np.float32)
    expected = net.summary((2, 1, 4, 4))
    assert net.summary(tensor(x)) == expected
    assert net.summary(device(x)) == expected
    assert net.summary([2, 1, 4, 4]) == expected


def test_without_an_input_the_shapes_are_left_out():
    text = model().summary()
    assert "output shape" not in text
    assert "1,370 parameters" in text


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.swap = Swap()

        def forward(self, x, y):
            return self.swap(x, y)

    class Swap(nn.Module):
        def forward(self, x, y):
            return y, x

    text = Two().summary((tensor(np.zeros((2, 3))), tensor(np.zeros(4))))
    assert "(4,), (2, 3)" in text
    assert "0 parameters (0 trainable, 0 frozen), 0 bytes" in text


def test_tied_partly_frozen_and_own_parameters_are_said():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(device(np.ones(1, np.float32)))
            self.a = nn.Linear(2, 2)
            self.b = nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(F.relu(self.a(x))) * self.scale

    net = Net()
    net.a.bias.requires_grad = False
    lines = net.summary((3, 2)).splitlines()
    assert lines[2].split() == ["(model)", "Net", "(3,", "2)", "1", "trainable"]
    assert lines[3].endswith("6  partly frozen")
    assert lines[4].endswith("0  trainable, tied: a.weight")
    assert lines[-1].startswith("7 parameters (5 trainable, 2 frozen)")


def test_it_leaves_modes_hooks_gradients_and_random_streams_alone():
    net, calls = model(), []
    net.body.drop.eval()
    net.register_forward_hook(lambda *a: calls.append(1))
    modes, streams = [module.training for module in net.modules()], backend.random_state()
    weights = net.state_dict()
    net.summary((2, 1, 4, 4))
    assert calls == []
    assert [module.training for module in net.modules()] == modes
    assert backend.random_state() == streams
    assert all((weights[name] == array).all() for name, array in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    net(tensor(np.zeros((2, 1, 4, 4), np.float32)))
    assert calls == [1]


def test_random_draws_of_a_models_own_are_put_back():
    class Noisy(nn.Module):
        def forward(self, x):
            return x + backend.generator().standard_normal()

    before = backend.random_state()
    Noisy().summary((2,))
    assert backend.random_state() == before


def test_a_shape_that_does_not_fit_names_the_layer_and_restores_the_model():
    net = model()
    with pytest.raises(ShapeError) as caught:
        net.summary((2, 1, 5, 5))
    assert caught.value.__notes__[0].startswith("in layer 'fc1' (Linear 128->10)")
    assert all(module.training and module._hooks is None for module in net.modules())


def test_a_model_that_begins_with_an_embedding_is_called_with_whole_numbers():
    net = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 2)).to(backend.current())
    lines = net.summary((2, 5)).splitlines()
    assert "(2, 5, 4)" in lines[2]
    assert "(2, 2)" in lines[4]
    assert "(3, 7, 5)" in models.char_rnn(5, hidden=6).to(backend.current()).summary((3, 7))


@pytest.mark.parametrize("first", [nn.Embedding(10, 4), nn.Identity()], ids=["whole numbers", "floating"])
def test_what_fails_for_a_shape_says_that_it_was_called_with_zeros(first):
    net = nn.Sequential(first, nn.Flatten(), nn.Linear(21, 2)).to(backend.current())
    with pytest.raises((ShapeError, DTypeError)) as caught:
        net.summary((2, 5))
    said = caught.value.__notes__[-1]
    assert said.startswith("in summary, called with zeros in the shape (2, 5) of a batch, float32")
    assert "give it an example batch, model.summary(x)" in said
    with pytest.raises(ShapeError) as caught:
        net.summary(tensor(np.zeros((2, 5), int)))
    assert "zeros" not in "".join(caught.value.__notes__)  # the example was given


def test_a_model_of_several_inputs_needs_examples():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(TypeError) as caught:
        Two().summary((2, 3))
    assert "or a tuple of its several inputs" in caught.value.__notes__[-1]


def test_the_model_is_called_in_its_own_dtype():
    net = nn.Sequential(nn.Linear(2, 3)).to(dtype="float64")
    assert "(1, 3)" in net.summary((1, 2))
    assert "9 parameters (9 trainable, 0 frozen), 72 bytes" in net.summary()
    assert host(net[0].weight).dtype == np.float64


def test_large_models_are_counted_in_mebibytes():
    assert "1,001,000 parameters" in nn.Linear(1000, 1000).summary()
    assert nn.Linear(1000, 1000).summary().endswith("3.8 MiB")


def test_a_number_is_no_input():
    with pytest.raises(TypeError, match=r"summary: expected the shape of a batch, such as \(32, 64\)"):
        model().summary(64)
