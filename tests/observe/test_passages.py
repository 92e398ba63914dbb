"""minidl/observe/passages.py: which activations and results of layers are seen, and what is said of the others."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.observe import GradientFlow
from minidl.observe.passages import tensors_in
from minidl.optim import SGD
from tests.arrays import host, tensor
from tests.observe.loops import CLASSES, batch, recorded, rms


class Functional(nn.Module):
    """5 - 4 - 4 - 3 with activations that are functions."""

    def __init__(self, activation, between=lambda h: h):
        super().__init__()
        md.seed(0)
        self.fc1, self.fc2, self.fc3 = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, CLASSES)
        self.activation, self.between = activation, between

    def forward(self, x):
        h = self.between(self.activation(self.fc1(x)))
        return self.fc3(self.between(self.activation(self.fc2(h))))


def same_as_modules(recording, activation):
    """A network with activation modules, the same otherwise, is recorded likewise."""
    md.seed(0)
    model = nn.Sequential([
        ("fc1", nn.Linear(5, 4)), ("a", activation()), ("fc2", nn.Linear(4, 4)), ("b", activation()),
        ("fc3", nn.Linear(4, CLASSES)),
    ])  # fmt: skip
    other = recorded(model, steps=2)
    for field in ("activation_rms", "output_gradient_rms", "weight_gradient_rms"):
        np.testing.assert_allclose(getattr(recording, field), getattr(other, field), rtol=1e-5, err_msg=field)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("tanh", nn.Tanh),
        ("relu", nn.ReLU),
        ("sigmoid", nn.Sigmoid),
        ("leaky_relu", nn.LeakyReLU),
        ("gelu", nn.GELU),
        ("silu", nn.SiLU),
    ],
)
def test_a_functional_activation_is_seen_as_a_module_is(name, module):
    recording = recorded(Functional(getattr(F, name)), steps=2)
    assert recording.outputs == (f"{name}(fc1)", f"{name}(fc2)", "fc3")
    same_as_modules(recording, module)


def test_also_behind_a_reshape():
    recording = recorded(Functional(F.tanh, lambda h: h.reshape(-1, 2, 2).reshape(-1, 4)), steps=2)
    assert recording.outputs == ("tanh(fc1)", "tanh(fc2)", "fc3")
    same_as_modules(recording, nn.Tanh)


def test_an_activation_of_a_sum_is_not_that_of_a_layer():
    model = Functional(lambda z: F.tanh(z + 1.0 * z))
    assert recorded(model).outputs == ("fc1", "fc2", "fc3")


def test_the_activation_after_the_last_layer_is_found_when_the_model_is_done():
    md.seed(0)

    class Ends(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, CLASSES)

        def forward(self, x):
            return F.sigmoid(self.fc(x))

    model = Ends()
    x, _ = batch(0)
    with md.no_grad():
        expected = rms(model(x))
    recording = recorded(model, steps=1)
    assert recording.outputs == ("sigmoid(fc)",)
    assert recording.activation_rms[0, 0] == pytest.approx(expected)


class Reader(nn.Module):
    """A recurrent network that reads 7 numbers a sample and answers from its last state, or from its last output."""

    def __init__(self, layer, state):
        super().__init__()
        md.seed(0)
        self.rnn, self.out, self.state = layer(1, 6), nn.Linear(6, CLASSES), state

    def forward(self, x):
        outputs, last = self.rnn(x.swapaxes(0, 1).reshape(5, -1, 1))
        if self.state:
            return self.out((last[0] if isinstance(last, tuple) else last)[-1])
        return self.out(outputs[-1])


@pytest.mark.parametrize(("layer", "place"), [(nn.RNN, "[1]"), (nn.LSTM, "[1][0]"), (nn.GRU, "[1]")])
def test_of_a_recurrent_layer_the_output_counts_or_the_last_state_if_only_that_is_used(layer, place):
    whole, last = recorded(Reader(layer, state=False), steps=1), recorded(Reader(layer, state=True), steps=1)
    assert whole.outputs == ("rnn", "out")
    assert last.outputs == (f"rnn{place}", "out")
    for recording in (whole, last):
        for field in ("activation_rms", "output_gradient_rms", "weight_gradient_rms", "update_norm"):
            assert (getattr(recording, field) > 0).all(), field
        assert not any("not seen" in note for note in recording.notes)
    assert last.output_gradient_rms[0, 0] > whole.output_gradient_rms[0, 0]  # a fifth of the numbers, the same gradient


def test_shared_layers_and_attention_are_seen():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            md.seed(0)
            self.query, self.key, self.value = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 5)
            self.norm, self.out = nn.LayerNorm(5), nn.Linear(5, CLASSES)

        def forward(self, x):
            for _ in range(2):
                weights = F.softmax(self.query(x) @ self.key(x).swapaxes(0, 1), axis=-1)
                x = self.norm(x + weights @ self.value(x))
            return self.out(x)

    recording = recorded(Attention(), steps=2)
    assert (recording.output_gradient_rms > 0).all()
    assert recording.kinds == ("weight", "weight", "weight", "gain", "weight")
    assert not any("not seen" in note for note in recording.notes)


def test_what_was_not_seen_is_said():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            md.seed(0)
            self.used, self.idle, self.out = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, CLASSES)

        def forward(self, x):
            return self.out(F.linear(x, self.used.weight, self.used.bias))

    recording = recorded(Half(), steps=2)
    assert any(
        note == "not seen: activation and dL/dh of layers used and idle (no call of it led to the loss)"
        for note in recording.notes
    )
    assert (recording.weight_gradient_rms[:, 0] > 0).all()  # its weights were


def test_evaluation_is_not_mixed_into_training():
    model = nn.Sequential([("fc1", nn.Linear(5, 4)), ("drop", nn.Dropout(0.5)), ("fc2", nn.Linear(4, CLASSES))])
    optimizer = SGD(model, lr=0.1)
    big = tensor(np.full((8, 5), 1e6, dtype=np.float32))
    x, y = batch()
    with GradientFlow(model, optimizer) as flow:
        for _ in range(3):
            optimizer.zero_grad()
            model.eval()
            with md.no_grad():
                model(big)
            F.cross_entropy(model(big), y).backward()  # a gradient of validation
            optimizer.zero_grad()
            model.train()
            F.cross_entropy(model(x), y).backward()
            model.eval()
            F.cross_entropy(model(big), y)
            model.train()
            optimizer.step()
    recording = flow.recording
    assert recording.phases == ("training",) * 3
    assert recording.activation_rms.max() < 100
    assert recording.loss.max() < 100
    assert any("3 forward passes without gradients (validation) are left out" in note for note in recording.notes)


def test_a_model_that_trains_in_evaluation_mode_says_so():
    model = nn.Sequential([("fc1", nn.Linear(5, CLASSES))])
    model.eval()
    assert recorded(model, steps=2).phases == ("evaluation",) * 2


def test_tensors_are_found_in_tuples_and_dicts():
    a, b = tensor(np.zeros(2)), tensor(np.ones(2))
    assert tensors_in((a, (b, None))) == [("[0]", a), ("[1][0]", b)]
    assert tensors_in({"loss": a, "n": 3}) == [("['loss']", a)]
    assert tensors_in(a) == [("", a)]
    assert tensors_in(None) == []
    assert host(a).sum() == 0


def test_the_last_step_is_recorded_if_it_is_known_and_said_to_be_missing_if_not():
    model = Functional(F.tanh)
    optimizer = SGD(model, lr=0.1)

    def run(**options):
        with GradientFlow(model, optimizer, every=4, **options) as flow:
            for _ in range(10):
                optimizer.zero_grad()
                F.cross_entropy(model(batch()[0]), batch()[1]).backward()
                optimizer.step()
        return flow.recording

    known = run(steps=10)
    assert known.steps.tolist() == [0, 4, 8, 9]
    assert not any("was not recorded" in note for note in known.notes)
    unknown = run()
    assert unknown.steps.tolist() == [10, 14, 18]
    assert any(
        "the last step, 19, was not recorded: GradientFlow(..., steps=10) does" in note for note in unknown.notes
    )
    with pytest.raises(ValueError, match="steps must be a positive integer"):
        GradientFlow(model, optimizer, steps=0)
