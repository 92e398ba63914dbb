"""minidl/observe/meter.py: what is measured together is what is measured layer by layer."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.observe import meter
from minidl.observe.layers import layers_of
from minidl.observe.meter import JointMeter, Meter, meters_of
from tests.arrays import host
from tests.observe.loops import batch, small


def trained_once(dtype="float32"):
    model = small(3)
    model.to(dtype=dtype)
    x, y = batch()
    F.cross_entropy(model(x.astype(dtype)), y).backward()
    return model, layers_of(model)


def close(a, b):
    assert [x is None for x in a] == [x is None for x in b]
    np.testing.assert_allclose(
        [np.nan if x is None else float(backend.asarray(x)) for x in a],
        [np.nan if x is None else float(backend.asarray(x)) for x in b],
        rtol=1e-5,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("without", [None, "weight", "bias", "both"])
def test_layers_measured_together_have_the_numbers_they_have_alone(dtype, without):
    model, layers = trained_once(dtype)
    if without in ("weight", "both"):
        model.fc2.weight.grad = None
    if without in ("bias", "both"):
        model.fc2.bias.grad = None
    alone, (together,) = Meter(layers), meters_of(layers)
    assert isinstance(together, JointMeter) == (model.fc1.weight.device == "numpy")
    close(together.gradient_norms(), alone.gradient_norms())
    found, expected = together.gradients(dict), alone.gradients(dict)
    assert found.keys() == expected.keys()
    for field in expected:
        close(found[field], expected[field])
    for one in (alone, together):
        one.keep_start()
    close(together.keep(), alone.keep())
    with md.no_grad():
        for p in model.parameters():
            p *= 1.5
    close(together.moved(), alone.moved())
    close(together.distances(), alone.distances())
    close(together.distances(), [0.5 * np.linalg.norm(host(layer.module.weight) / 1.5) for layer in layers])


def test_a_layer_without_weights_or_biases_has_none():
    layers = layers_of(nn.Sequential([("fc", nn.Linear(3, 2, bias=False)), ("out", nn.Linear(2, 2))]))
    (found,) = meters_of(layers)
    assert found.gradient_norms() == [None, None]
    values = found.gradients(dict)
    assert all(value == [None, None] for value in values.values())


def test_large_layers_and_other_dtypes_are_measured_apart(monkeypatch):
    monkeypatch.setattr(meter, "LARGE", 18)
    model, layers = trained_once()  # 20 weights in fc1, 16 and 12 in the others
    found = meters_of(layers)
    assert [[layer.name for layer in one.layers] for one in found] == [["fc1"], ["fc2", "fc3", "fc4"]]
    assert type(found[0]) is Meter
    monkeypatch.setattr(meter, "LARGE", 1 << 15)
    monkeypatch.setattr(meter, "MOST", 60)
    _, layers = trained_once()  # 24, 20, 20 and 15 numbers
    assert [[layer.name for layer in one.layers] for one in meters_of(layers)] == [["fc1", "fc2"], ["fc3", "fc4"]]
    model.fc2.to(dtype="float64")
    assert len(meters_of(layers_of(model))) > 1


def test_arrays_that_changed_their_dtype_meanwhile_are_measured_alone():
    model, layers = trained_once()
    (found,) = meters_of(layers)
    model.to(dtype="float64")
    x, y = batch()
    model.zero_grad()
    F.cross_entropy(model(x.astype("float64")), y).backward()
    close(found.gradient_norms(), Meter(layers).gradient_norms())
    close(found.keep(), Meter(layers).keep())
    assert [float(backend.asarray(x)) for x in found.moved()] == [0, 0, 0, 0]


def test_a_large_layer_has_the_numbers_that_float64_gives():
    md.seed(0)
    model = nn.Linear(300, 200)
    layers = layers_of(model)
    rng = np.random.default_rng(0)
    gradient = 1e-12 * rng.normal(size=(200, 300))
    model.weight.grad = md.tensor(gradient.astype(np.float32)) if model.weight.device == "numpy" else None
    if model.weight.grad is None:
        pytest.skip("on the CPU")
    (found,) = meters_of(layers)
    assert type(found) is Meter
    for _ in range(2):  # the second time in the memory of the first
        values = found.gradients(dict)
        assert values["weight_gradient_mean"][0] == pytest.approx(abs(gradient).mean(), rel=1e-5)
        assert values["weight_gradient_max"][0] == pytest.approx(abs(gradient).max(), rel=1e-5)
        assert values["weight_gradient_rms"][0] == pytest.approx(np.sqrt((gradient**2).mean()), rel=1e-5)
        before = host(model.weight).astype(np.float64)
        assert found.keep()[0] == pytest.approx(np.linalg.norm(before), rel=1e-5)
        with md.no_grad():
            model.weight += 0.25
        assert found.moved()[0] == pytest.approx(0.25 * np.sqrt(60_000), rel=1e-4)
