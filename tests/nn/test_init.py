"""Each initialiser's limits, mean and variance against its formula."""

import math

import numpy as np
import pytest

from minidl import backend, nn
from minidl.errors import DTypeError, GraphError, ShapeError
from minidl.nn import init
from tests.arrays import device, host, tensor
from tests.pytorch import torch

DENSE, CONV = (300, 200), (60, 20, 5, 4)  # fans: 200 and 300; 400 and 1200


def parameter(shape, dtype=np.float32):
    return nn.Parameter(device(np.zeros(shape, dtype)))


UNIFORM = [
    (init.xavier_caffe_, DENSE, math.sqrt(3 / 200)),
    (init.xavier_caffe_, CONV, math.sqrt(3 / 400)),
    (init.glorot_uniform_, DENSE, math.sqrt(6 / 500)),
    (init.glorot_uniform_, CONV, math.sqrt(6 / 1600)),
    (init.he_uniform_, DENSE, math.sqrt(6 / 200)),
    (init.he_uniform_, CONV, math.sqrt(6 / 400)),
    (init.lecun_uniform_, DENSE, math.sqrt(3 / 200)),
    (init.lecun_uniform_, CONV, math.sqrt(3 / 400)),
    (init.layer_default_, DENSE, 1 / math.sqrt(200)),
    (init.layer_default_, CONV, 1 / math.sqrt(400)),
]
NORMAL = [
    (init.glorot_normal_, DENSE, math.sqrt(2 / 500)),
    (init.glorot_normal_, CONV, math.sqrt(2 / 1600)),
    (init.he_normal_, DENSE, math.sqrt(2 / 200)),
    (init.he_normal_, CONV, math.sqrt(2 / 400)),
    (init.lecun_normal_, DENSE, 1 / math.sqrt(200)),
    (init.lecun_normal_, CONV, 1 / math.sqrt(400)),
]


def name(value):
    return value.__name__ if callable(value) else None


@pytest.mark.parametrize(("function", "shape", "bound"), UNIFORM, ids=name)
def test_uniform_ones_fill_their_interval_evenly(function, shape, bound):
    w = parameter(shape)
    function(w)
    values = host(w)
    assert np.abs(values).max() <= bound * (1 + 1e-6)
    assert np.abs(values).max() > 0.999 * bound
    assert abs(values.mean()) < 4 * bound / math.sqrt(3 * values.size)
    assert values.var() == pytest.approx(bound**2 / 3, rel=0.02)
    assert np.histogram(values, bins=4, range=(-bound, bound))[0] / values.size == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("function", "shape", "std"), NORMAL, ids=name)
def test_normal_ones_have_their_deviation(function, shape, std):
    w = parameter(shape)
    function(w)
    values = host(w)
    assert abs(values.mean()) < 4 * std / math.sqrt(values.size)
    assert values.std() == pytest.approx(std, rel=0.02)
    assert (np.abs(values) < std).mean() == pytest.approx(0.6827, abs=0.01)


def test_the_fans_are_pytorchs():
    for shape in (DENSE, CONV):
        theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.zeros(shape))
        assert init.fans(parameter(shape)) == theirs


def test_groups_make_the_fan_in_smaller():
    assert init.fans(nn.Conv2d(8, 16, 3, groups=4).weight) == (2 * 9, 16 * 9)


def test_plain_uniform_normal_constant_and_zeros():
    w = parameter((200, 200))
    init.uniform_(w, 2.0, 3.0)
    assert 2 <= host(w).min() < 2.001 < 2.999 < host(w).max() <= 3
    init.normal_(w, mean=5.0, std=0.1)
    assert host(w).mean() == pytest.approx(5, abs=0.01)
    assert host(w).std() == pytest.approx(0.1, rel=0.02)
    assert set(host(init.constant_(w, 0.1)).ravel()) == {np.float32(0.1)}
    assert not host(init.zeros_(w)).any()


def test_the_gain_and_the_negative_slope_scale():
    draw = lambda function, **options: host(function(parameter(DENSE), generator=np.random.default_rng(0), **options))
    np.testing.assert_allclose(draw(init.glorot_uniform_, gain=2), 2 * draw(init.glorot_uniform_), rtol=1e-5)
    np.testing.assert_allclose(draw(init.glorot_normal_, gain=2), 2 * draw(init.glorot_normal_), rtol=1e-5)
    for function in (init.he_uniform_, init.he_normal_):
        np.testing.assert_allclose(draw(function, negative_slope=1.0), draw(function) / math.sqrt(2), rtol=1e-5)


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3), (30, 2, 3, 3), (1, 4), (4, 1)])
def test_orthogonal_rows_or_columns(shape):
    values = host(init.orthogonal_(parameter(shape, np.float64), gain=1.5)).reshape(shape[0], -1)
    product = values @ values.T if len(values) <= values.shape[1] else values.T @ values
    np.testing.assert_allclose(product, 1.5**2 * np.eye(len(product)), atol=1e-12)


def test_orthogonal_matrices_are_drawn_evenly():
    """Every rotation is as likely as every other: entries of mean 0 and variance 1/n, traces of mean 0 and variance 1.

    Without the correction of signs the trace is far from 0: the Q of LAPACK depends on how it computes.
    """
    drawn = np.array([host(init.orthogonal_(parameter((3, 3), np.float64))) for _ in range(3000)])
    np.testing.assert_allclose(drawn.mean(0), 0, atol=5 * math.sqrt(1 / 3 / 3000))
    np.testing.assert_allclose((drawn**2).mean(0), 1 / 3, atol=0.03)
    traces = np.trace(drawn, axis1=1, axis2=2)
    assert abs(traces.mean()) < 5 / math.sqrt(3000)
    assert traces.var() == pytest.approx(1, rel=0.1)
    assert (np.linalg.det(drawn) > 0).mean() == pytest.approx(0.5, abs=0.05)


def test_orthogonal_writes_the_matrix_pytorch_would_write():
    w, theirs = parameter((4, 3, 2), np.float64), torch.empty(4, 3, 2, dtype=torch.float64)
    init.orthogonal_(w, gain=2, generator=np.random.default_rng(0))
    drawn = torch.tensor(np.random.default_rng(0).normal(size=(4, 6)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "normal_", lambda self, *_, **__: self.copy_(drawn))
        torch.nn.init.orthogonal_(theirs, gain=2)
    np.testing.assert_allclose(host(w), theirs.numpy(), atol=1e-12)


def test_orthogonal_of_no_numbers():
    assert init.orthogonal_(parameter((0, 3))).shape == (0, 3)
    assert init.orthogonal_(parameter((3, 0))).shape == (3, 0)


def test_they_write_in_place_and_return_what_they_wrote():
    w = parameter((3, 2))
    memory = w._data
    assert init.he_normal_(w) is w
    assert w._data is memory
    assert w.requires_grad


def test_one_seed_gives_one_model_on_every_backend():
    def weights(device_name):
        backend.seed(7)
        with backend.using(device_name):
            model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 3, init=init.he_normal_))
        return [host(p) for p in model.parameters()]

    for here, there in zip(weights("numpy"), weights(backend.current()), strict=True):
        np.testing.assert_array_equal(here, there)


def test_the_stand_in_gets_the_same_weights(standin):
    backend.seed(7)
    with backend.using("numpy"):
        here = nn.Linear(5, 4)
    backend.seed(7)
    with backend.using("cupy"):
        there = nn.Linear(5, 4)
    assert there.weight.device == "cupy"
    np.testing.assert_array_equal(host(here.weight), host(there.weight))


def test_one_seed_gives_one_model_in_every_dtype():
    draw = lambda dtype: host(init.he_normal_(parameter(DENSE, dtype), generator=np.random.default_rng(0)))
    np.testing.assert_array_equal(draw(np.float64).astype(np.float32), draw(np.float32))


def test_a_generator_of_ones_own_leaves_the_common_stream_alone():
    before = backend.random_state()
    init.uniform_(parameter(DENSE), generator=np.random.default_rng(0))
    assert backend.random_state() == before


def test_a_bias_has_no_fan_in():
    with pytest.raises(ShapeError, match=r"Parameter of shape \(3,\).*For a bias use zeros_ or constant_"):
        init.he_normal_(parameter((3,)))
    with pytest.raises(ShapeError, match="For a bias use zeros_ or constant_"):
        init.orthogonal_(parameter((3,)))


def test_only_leaves_are_written():
    with pytest.raises(GraphError, match="a result"):
        init.zeros_(parameter((2, 2)) * 2)
    with pytest.raises(TypeError, match="writes into a Parameter or Tensor; got"):
        init.zeros_(device(np.ones(3)))
    assert not host(init.zeros_(tensor(np.ones(3)))).any()


def test_writing_between_forward_and_backward_is_noticed():
    layer = nn.Linear(2, 2)
    loss = layer(tensor(np.ones((1, 2), np.float32), requires_grad=True)).sum()
    init.zeros_(layer.weight)
    with pytest.raises(GraphError, match="overwritten"):
        loss.backward()


def test_pytorchs_names_are_there_too():
    for ours, theirs in (
        (init.glorot_uniform_, init.xavier_uniform_),
        (init.glorot_normal_, init.xavier_normal_),
    ):
        assert ours is theirs
    assert host(init.ones_(parameter((2, 2)))).tolist() == [[1, 1], [1, 1]]


def test_a_layers_init_writes_the_weight_and_without_it_both_start_as_pytorchs():
    weight, bias = nn.Parameter(device(np.zeros((3, 4)))), nn.Parameter(device(np.zeros(3)))
    init.initialize(weight, bias, init.ones_)
    assert host(weight).all()
    assert not host(bias).any()
    init.initialize(weight, bias, None)
    assert np.abs(host(weight)).max() < 0.5
    assert host(bias).all()
    with pytest.raises(TypeError, match="expected init as a function of the weight"):
        init.initialize(weight, bias, "he")


def test_a_text_is_no_number():
    with pytest.raises(DTypeError, match="an initialiser writes numbers"):
        init.constant_(parameter((2, 2)), "3")


@pytest.mark.parametrize("nonlinearity", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_the_gains_are_pytorchs(nonlinearity):
    for param in (None, 0.2) if nonlinearity == "leaky_relu" else (None,):
        assert init.calculate_gain(nonlinearity, param) == torch.nn.init.calculate_gain(nonlinearity, param)
    with pytest.raises(ValueError, match="calculate_gain: nonlinearity"):
        init.calculate_gain("softmax")


@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
@pytest.mark.parametrize(("nonlinearity", "a"), [("relu", 0), ("leaky_relu", 0.2), ("linear", 0)])
def test_kaiming_has_pytorchs_options(mode, nonlinearity, a):
    fan = dict(zip(("fan_in", "fan_out"), (400, 1200), strict=True))[mode]
    std = torch.nn.init.calculate_gain(nonlinearity, a) / math.sqrt(fan)
    w = init.kaiming_normal_(parameter(CONV), a=a, mode=mode, nonlinearity=nonlinearity)
    assert host(w).std() == pytest.approx(std, rel=0.02)
    w = init.kaiming_uniform_(parameter(CONV), a, mode, nonlinearity)
    assert np.abs(host(w)).max() == pytest.approx(math.sqrt(3) * std, rel=1e-3)
    with pytest.raises(ValueError, match="kaiming: mode"):
        init.kaiming_normal_(w, mode="fan")


def test_without_options_kaiming_is_he():
    for ours, same in ((init.kaiming_normal_, init.he_normal_), (init.kaiming_uniform_, init.he_uniform_)):
        first, second = (f(parameter(DENSE), generator=np.random.default_rng(0)) for f in (ours, same))
        np.testing.assert_array_equal(host(first), host(second))


def test_a_truncated_normal_stays_within_its_limits():
    values = host(init.trunc_normal_(parameter((300, 300)), mean=0.5, std=2.0, a=-1.0, b=1.5))
    assert values.min() >= -1
    assert values.max() <= 1.5
    theirs = torch.nn.init.trunc_normal_(torch.zeros(300, 300), 0.5, 2.0, -1.0, 1.5).numpy()
    assert values.mean() == pytest.approx(theirs.mean(), abs=0.01)
    assert values.std() == pytest.approx(theirs.std(), rel=0.02)
    with pytest.raises(ValueError, match="has \\(almost\\) nothing between"):
        init.trunc_normal_(parameter((2, 2)), a=100.0, b=101.0)
