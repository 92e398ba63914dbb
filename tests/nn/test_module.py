"""What a Module holds, and how it is called."""

import numpy as np

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.tensors.tensor import Tensor
from tests.arrays import device, host, tensor


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.scale = nn.Parameter(device(np.ones(3, np.float32)))

    def forward(self, x):
        return F.tanh(self.fc(x)) * self.scale


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 3)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class TiedAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_parameters_and_modules_keep_their_order_and_have_dotted_names():
    names = [name for name, _ in Net().named_parameters()]
    assert names == [
        "stem.weight",
        "stem.bias",
        "blocks.0.scale",
        "blocks.0.fc.weight",
        "blocks.0.fc.bias",
        "blocks.1.scale",
        "blocks.1.fc.weight",
        "blocks.1.fc.bias",
        "head.weight",
    ]


def test_every_name_is_the_parameters_own():
    net = Net()
    assert all(p.name == name for name, p in net.named_parameters())


def test_modules_come_parents_first_and_children_are_direct():
    net = Net()
    names = [name for name, _ in net.named_modules()]
    assert names == ["", "stem", "blocks", "blocks.0", "blocks.0.fc", "blocks.1", "blocks.1.fc", "head"]
    assert [name for name, _ in net.named_children()] == ["stem", "blocks", "head"]
    assert net.children() == [net.stem, net.blocks, net.head]
    assert len(net.modules()) == 8


def test_the_layers_are_the_modules_that_own_parameters():
    net = Net()
    layers = net.layers()
    assert [name for name, _ in layers] == ["stem", "blocks.0", "blocks.0.fc", "blocks.1", "blocks.1.fc", "head"]
    assert layers[1][1] is net.blocks[0]


def test_a_models_own_parameters_are_a_layer_named_after_its_class():
    assert [name for name, _ in Block().layers()] == ["Block", "fc"]


def test_layer_parameters_give_each_layers_own():
    rows = [(name, [key for key, _ in own]) for name, _, own in Block().layer_parameters()]
    assert rows == [("Block", ["scale"]), ("fc", ["fc.weight", "fc.bias"])]


def test_a_tied_weight_is_listed_once_under_its_first_owner():
    model = TiedAutoencoder()
    assert [name for name, _ in model.named_parameters()] == ["encoder.weight", "encoder.bias", "decoder.bias"]
    assert model.decoder.weight.owner is model.encoder
    assert [name for name, _ in model.layers()] == ["encoder", "decoder"]


def test_the_owner_is_who_had_it_first_also_if_it_is_registered_later():
    encoder, decoder = nn.Linear(2, 2), nn.Linear(2, 2)
    decoder.weight = encoder.weight
    model = nn.Sequential([("decoder", decoder), ("encoder", encoder)])
    assert [name for name, _ in model.named_parameters()] == ["decoder.bias", "encoder.weight", "encoder.bias"]
    assert encoder.weight.name == "encoder.weight"


def test_a_layer_with_nothing_but_tied_weights_is_not_listed():
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    assert [name for name, _ in model.layers()] == ["0"]


def test_a_weight_owned_by_another_model_is_still_a_parameter_of_this_one():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    assert [name for name, _ in second.named_parameters()] == ["weight", "bias"]


def test_a_tied_weight_gets_the_gradient_of_both_uses():
    model = TiedAutoencoder()
    x = tensor(np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32))
    model(x).sum().backward()
    w, b1 = (tensor(host(v), requires_grad=True) for v in (model.encoder.weight, model.encoder.bias))
    F.linear(F.linear(x, w, b1), w, tensor(host(model.decoder.bias))).sum().backward()
    np.testing.assert_allclose(host(model.encoder.weight.grad), host(w.grad), rtol=1e-5)


def test_a_module_used_twice_is_one_layer():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert [name for name, _ in model.layers()] == ["0"]
    assert len(model.modules()) == 3
    np.testing.assert_array_equal(
        host(model(tensor(np.ones((1, 2), np.float32)))),
        host(layer(F.relu(layer(tensor(np.ones((1, 2), np.float32)))))),
    )


def test_a_buffer_is_a_tensor_that_is_not_learned():
    model = nn.Sequential([("norm", nn.Module())])
    model.norm.register_buffer("mean", device(np.zeros(2)))
    assert isinstance(model.norm.mean, Tensor)
    assert [name for name, _ in model.named_buffers()] == ["norm.mean"]
    assert model.parameters() == []
    model.norm.mean = Tensor(device(np.ones(2)))
    assert host(model.named_buffers()[0][1]).tolist() == [1.0, 1.0]
    del model.norm.mean
    assert model.named_buffers() == []


def test_modules_can_be_deleted_and_replaced():
    net = Net()
    del net.blocks
    assert [name for name, _ in net.layers()] == ["stem", "head"]
    net.stem = nn.Linear(4, 8)
    assert [name for name, _ in net.layers()] == ["stem", "head"]
    assert net.stem.weight.shape == (8, 4)
    net.head = None
    assert [name for name, _ in net.layers()] == ["stem"]


def test_a_bias_can_be_taken_away():
    layer = nn.Linear(2, 2)
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer(tensor(np.ones((1, 2), np.float32))).shape == (1, 2)


def test_a_weight_can_be_replaced_by_another_parameter():
    layer = nn.Linear(2, 2)
    old, layer.weight = layer.weight, nn.Parameter(device(np.ones((2, 2), np.float32)))
    assert old.owner is None
    assert layer.weight.owner is layer
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]


def test_named_arguments_reach_forward():
    class Scaled(nn.Module):
        def forward(self, x, factor=1):
            return x * factor

    assert Scaled()(tensor(np.array([2.0])), factor=3).item() == 6.0


def test_a_list_of_layers_may_be_called_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 2)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    net = Net()
    assert net(tensor(np.ones((4, 3), np.float32))).shape == (4, 2)
    assert [name for name, _, _ in net.layer_parameters()] == ["layers.0", "layers.1"]
    assert [layer.name for layer in md.optim.SGD(net).layers] == ["layers.0", "layers.1"]
