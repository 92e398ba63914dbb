import copy

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.errors import DTypeError, ShapeError
from tests.arrays import assert_same, device, host, tensor
from tests.pytorch import torch

KINDS = [("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("GRU", {})]
RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def pair(name, *sizes, **options):
    """The layer of that name and PyTorch's, with PyTorch's weights."""
    ours, theirs = getattr(nn, name)(*sizes, **options), getattr(torch.nn, name)(*sizes, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def flat(result):
    """The Tensors of (output, h_n) or (output, (h_n, c_n)), of h, or of (h, c)."""
    return [part for x in result for part in flat(x)] if isinstance(result, tuple) else [result]


def compare(ours, theirs, rtol=1e-4, atol=1e-5):
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(host(ours), theirs.detach().numpy(), rtol=rtol, atol=atol)


def compare_with_gradients(ours, theirs, x, states):
    """Results, and the gradients of sums of squares by parameters, input and states, are PyTorch's."""
    mine, other = [[make(array) for array in (x, *states)] for make in (lambda a: tensor(a, True), torch.tensor)]
    for t in other:
        t.requires_grad_(True)
    results = []
    for layer, (first, *rest) in ((ours, mine), (theirs, other)):
        hx = None if not rest else rest[0] if len(rest) == 1 else tuple(rest)
        parts = flat(layer(first, hx))
        sum((part * part).sum() for part in parts).backward()
        results.append(parts)
    for a, b in zip(*results, strict=True):
        compare(a, b)
    for a, b in zip(mine, other, strict=True):
        compare(a.grad, b.grad, atol=1e-4)
    for (name, p), (their_name, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == their_name
        compare(p.grad, q.grad, atol=1e-4)


def states_of(name, *shape):
    return [numbers(*shape) for _ in range(2 if name.startswith("LSTM") else 1)]


# ---- PyTorch's numbers, names and weights


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "given"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_cell_equals_pytorchs_forward_and_backward(name, options, bias, given):
    ours, theirs = pair(f"{name}Cell", 3, 4, bias=bias, **options)
    compare_with_gradients(ours, theirs, numbers(2, 3), states_of(name, 2, 4) if given else [])


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "given"])
@pytest.mark.parametrize(
    "shape", [{}, {"num_layers": 3, "bias": False}, {"num_layers": 2, "batch_first": True}], ids=str
)
@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_layer_equals_pytorchs_forward_and_backward(name, options, shape, given):
    ours, theirs = pair(name, 3, 4, **shape, **options)
    states = states_of(name, shape.get("num_layers", 1), 2, 4) if given else []
    compare_with_gradients(ours, theirs, numbers(*((2, 5) if "batch_first" in shape else (5, 2)), 3), states)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_weights_go_to_pytorch_and_come_back(name):
    ours, theirs = getattr(nn, name)(3, 4, 2), getattr(torch.nn, name)(3, 4, 2)
    theirs.load_state_dict({key: torch.from_numpy(value) for key, value in ours.state_dict().items()})
    x = numbers(5, 2, 3)
    compare(ours(tensor(x))[0], theirs(torch.tensor(x))[0])
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_arguments_stand_in_pytorchs_order():
    rnn = nn.RNN(3, 4, 2, "relu", False, True, 0.5)
    assert (rnn.num_layers, rnn.nonlinearity, rnn.bias, rnn.batch_first, rnn.dropout) == (2, "relu", False, True, 0.5)
    for kind in (nn.LSTM, nn.GRU):
        layer = kind(3, 4, 2, False, True, 0.5)
        assert (layer.num_layers, layer.bias, layer.batch_first, layer.dropout) == (2, False, True, 0.5)
    cell = nn.RNNCell(3, 4, False, "relu")
    assert (cell.bias_ih, cell.bias_hh, cell.nonlinearity) == (None, None, "relu")


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_it_starts_uniform_within_one_over_the_root_of_the_hidden_size(kind):
    for values in kind(50, 100).state_dict().values():
        assert 0.09 < np.abs(values).max() <= 0.1
        assert values.var() == pytest.approx(0.1**2 / 3, rel=0.2)


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_a_layer_is_its_cell_called_step_by_step(name, options):
    layer, cell = getattr(nn, name)(3, 4, **options), getattr(nn, f"{name}Cell")(3, 4, **options)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x, state, hiddens = tensor(numbers(6, 2, 3)), None, []
    for x_t in x:
        state = cell(x_t, state)
        hiddens.append(flat(state)[0])
    output, last = layer(x)
    np.testing.assert_allclose(host(output), host(F.stack(hiddens)), rtol=1e-5, atol=1e-6)
    for a, b in zip(flat(last), flat(state), strict=True):
        np.testing.assert_allclose(host(a)[0], host(b), rtol=1e-5, atol=1e-6)


# ---- other dtypes, empty batches, second derivatives


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_it_keeps_the_dtype(name, dtype):
    layer = getattr(nn, name)(3, 4, 2).to(dtype=dtype)
    parts = flat(layer(tensor(numbers(5, 2, 3).astype(dtype))))
    assert {str(part.dtype) for part in parts} == {dtype}
    parts[0].sum().backward()
    assert {str(p.grad.dtype) for p in layer.parameters()} == {dtype}


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_batch_may_be_empty(name):
    layer = getattr(nn, name)(3, 4, 2)
    output, last = layer(tensor(numbers(5, 0, 3)))
    assert output.shape == (5, 0, 4)
    assert {part.shape for part in flat(last)} == {(2, 0, 4)}
    output.sum().backward()
    assert not any(host(p.grad).any() for p in layer.parameters())


def test_an_array_that_is_no_tensor_may_go_in():
    layer, x = nn.GRU(3, 4), numbers(5, 2, 3)
    np.testing.assert_array_equal(host(layer(device(x))[0]), host(layer(tensor(x))[0]))


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_second_derivatives_are_pytorchs(name):
    ours, theirs = pair(name, 2, 3)
    ours.to(dtype="float64")
    theirs.double()
    x = numbers(4, 2, 2).astype(np.float64)
    loss, their_loss = (ours(tensor(x))[0] ** 2).sum(), (theirs(torch.tensor(x))[0] ** 2).sum()
    grads = md.grad(loss, ours.parameters(), create_graph=True)
    their_grads = torch.autograd.grad(their_loss, list(theirs.parameters()), create_graph=True)
    sum((g * g).sum() for g in grads).backward()
    sum((g * g).sum() for g in their_grads).backward()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        compare(p.grad, q.grad, rtol=1e-9, atol=1e-10)


# ---- dropout


def test_dropout_is_between_layers_and_in_training_only():
    layer = nn.GRU(3, 200, 2, dropout=0.5)
    x = tensor(numbers(4, 2, 3))
    still = nn.GRU(3, 200, 2)
    still.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(host(layer.eval()(x)[0]), host(still(x)[0]))
    output, last = layer.train()(x)
    np.testing.assert_array_equal(host(last)[0], host(still(x)[1])[0])  # the first layer's own state is whole
    assert not np.allclose(host(output), host(still(x)[0]))
    assert host(output).all()  # nothing is dropped from what the last layer gives


def test_with_dropout_1_the_second_layer_sees_nothing_of_the_first():
    layer = nn.RNN(3, 4, 2, dropout=1.0)
    layer(tensor(numbers(5, 2, 3)))[0].sum().backward()
    assert not host(layer.weight_ih_l0.grad).any()
    assert not host(layer.weight_ih_l1.grad).any()
    assert host(layer.weight_hh_l1.grad).any()


def test_one_seed_gives_one_network_and_one_mask():
    def run():
        backend.seed(3)
        return host(nn.LSTM(3, 4, 2, dropout=0.5)(tensor(np.ones((5, 2, 3), np.float32)))[0])

    np.testing.assert_array_equal(run(), run())


# ---- gradients through time


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_gradients_through_200_steps_are_pytorchs(name):
    """Only the last step counts, so whatever reaches the first has come through all 200."""
    ours, theirs = pair(name, 2, 8)
    ours.to(dtype="float64")
    theirs.double()
    if name == "RNN":
        # With small weights a plain network forgets below float64's smallest number, with large ones it is chaotic, and
        # no two roundings agree after 200 steps. An orthogonal matrix neither shrinks nor stretches.
        nn.init.orthogonal_(ours.weight_hh_l0)
        theirs.weight_hh_l0.data = torch.tensor(host(ours.weight_hh_l0))
    x = numbers(200, 3, 2).astype(np.float64)
    mine, other = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours(mine)[0][-1].sum().backward()
    theirs(other)[0][-1].sum().backward()
    compare(mine.grad[-1], other.grad[-1], rtol=1e-9, atol=0)
    assert host(mine.grad[0]).any()
    np.testing.assert_allclose(host(mine.grad), other.grad.numpy(), rtol=1e-6, atol=0)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        compare(p.grad, q.grad, rtol=1e-9, atol=1e-12)


def test_the_gradient_of_a_plain_network_vanishes_through_time_and_an_open_lstms_does_not():
    def sizes(cell):
        """The norm of dL/dh_t (dL/dc_t of an LSTM) for each step t, with the loss at the end."""
        state, kept = None, []
        for _ in range(50):
            state = cell(tensor(np.ones((1, 2), np.float32)), state)
            kept.append(flat(state)[-1])
            kept[-1].retain_grad()
        flat(state)[0].sum().backward()
        return [float(np.linalg.norm(host(part.grad))) for part in kept]

    backend.seed(0)
    plain, lstm = nn.RNNCell(2, 8), nn.LSTMCell(2, 8)
    lstm.bias_ih.data[8:16] = 10  # the forget gates stand open
    plain_sizes, lstm_sizes = sizes(plain), sizes(lstm)
    assert plain_sizes[0] < 1e-10 * plain_sizes[-1]
    assert lstm_sizes[0] > 0.1 * lstm_sizes[-1]


def test_of_a_layer_the_gradient_that_enters_at_each_step_can_be_read():
    """What comes back to h_t from later steps flows inside the layer: a loop over the cell shows that, as above."""
    output, _ = nn.RNN(2, 4)(tensor(numbers(6, 3, 2)))
    steps = list(output)
    for h in (output, *steps):
        h.retain_grad()
    (steps[-1] ** 2 + steps[2]).sum().backward()
    np.testing.assert_array_equal(host(output.grad)[2], np.ones((3, 4)))
    assert_same(host(output.grad)[5], 2 * host(steps[5]))
    assert_same(steps[5].grad, 2 * host(steps[5]))
    assert not host(output.grad)[[0, 1, 3, 4]].any()


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_detach_truncates_backpropagation_and_not_the_state(name):
    layer, x = getattr(nn, name)(3, 4), numbers(8, 2, 3)
    whole, _ = layer(tensor(x))
    early = tensor(x[:5], requires_grad=True)
    _, state = layer(early)
    cut = tuple(part.detach() for part in state) if name == "LSTM" else state.detach()
    late = tensor(x[5:], requires_grad=True)
    output, _ = layer(late, cut)
    np.testing.assert_allclose(host(output), host(whole)[5:], rtol=1e-5, atol=1e-6)
    output.sum().backward()
    assert early.grad is None
    assert host(late.grad[0]).any()


# ---- errors


def test_wrong_inputs_are_named():
    layer, cell = nn.LSTM(3, 4), nn.GRUCell(3, 4)
    with pytest.raises(
        ShapeError, match=r"LSTM: expected an input \(T, N, input_size=3\); got Tensor of shape \(5, 2, 2"
    ):
        layer(tensor(numbers(5, 2, 2)))
    with pytest.raises(ShapeError, match=r"got Tensor of shape \(5, 3\), float32, \w+; give it a batch axis N"):
        layer(tensor(numbers(5, 3)))
    with pytest.raises(ShapeError, match=r"LSTM: expected an input \(N, T, input_size=3\); got"):
        nn.LSTM(3, 4, batch_first=True)(tensor(numbers(5, 2, 2)))
    with pytest.raises(ShapeError, match="LSTM: expected at least one time step"):
        layer(tensor(numbers(0, 2, 3)))
    with pytest.raises(
        ShapeError, match=r"GRUCell: expected an input \(N, input_size=3\); got .*; give it a batch axis N"
    ):
        cell(tensor(numbers(3)))
    with pytest.raises(DTypeError, match="expected input, weight and bias of one dtype; got float64, float32, float32"):
        layer(tensor(numbers(5, 2, 3).astype(np.float64)))


@pytest.mark.parametrize("x", [[[1]], None, 5])
def test_what_is_no_array_is_named(x):
    with pytest.raises(ShapeError, match=r"LSTM: expected an input \(T, N, input_size=3\); got (list|None|5)"):
        nn.LSTM(3, 4)(x)


def test_wrong_states_are_named():
    x, h, c = tensor(numbers(5, 2, 3)), tensor(numbers(1, 2, 4)), tensor(numbers(1, 2, 4))
    for hx in (h, (h,), (h, c, c)):
        with pytest.raises(TypeError, match=r"LSTM: expected the state as a tuple \(h_0, c_0\); got"):
            nn.LSTM(3, 4)(x, hx)
    with pytest.raises(ShapeError, match=r"LSTM: expected c_0 of shape \(1, 2, 4\); got Tensor of shape \(2, 4\)"):
        nn.LSTM(3, 4)(x, (h, c[0]))
    with pytest.raises(ShapeError, match=r"GRU: expected h_0 of shape \(2, 2, 4\); got Tensor of shape \(1, 2, 4\)"):
        nn.GRU(3, 4, num_layers=2)(x, h)
    with pytest.raises(ShapeError, match=r"RNN: expected h_0 of shape \(1, 2, 4\); got tuple"):
        nn.RNN(3, 4)(x, (h, c))
    with pytest.raises(ShapeError, match=r"RNNCell: expected h_0 of shape \(2, 4\); got Tensor of shape \(1, 2, 4\)"):
        nn.RNNCell(3, 4)(x[0], h)
    with pytest.raises(DTypeError, match=r"GRU: expected h_0 in the dtype of the input, float32; got .* float64"):
        nn.GRU(3, 4)(x, h.astype("float64"))


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_dropout_that_drops_nothing_is_noticed(kind):
    with pytest.warns(UserWarning, match=f"{kind.__name__}: dropout=0.5 lies between layers, and there is") as caught:
        kind(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_bidirectional_is_refused_with_what_to_write_instead(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__}: there is no bidirectional one. Make two"):
        kind(3, 4, bidirectional=True)


def test_the_two_that_stand_for_a_bidirectional_one():
    theirs = torch.nn.GRU(3, 4, bidirectional=True)
    forwards, backwards = nn.GRU(3, 4), nn.GRU(3, 4)
    state = theirs.state_dict()
    forwards.load_state_dict({key: value for key, value in state.items() if "reverse" not in key})
    backwards.load_state_dict({k.removesuffix("_reverse"): v for k, v in state.items() if "reverse" in k})
    x = numbers(5, 2, 3)
    ours = tensor(x)
    both = F.concatenate([forwards(ours)[0], backwards(ours[::-1])[0][::-1]], axis=-1)
    compare(both, theirs(torch.tensor(x))[0])


def test_no_private_name_is_in_the_message_about_an_argument_that_is_not_there():
    for make in (
        nn.LSTM,
        nn.GRUCell,
        nn.RNN,
        nn.Conv2d,
        nn.ConvTranspose1d,
        nn.MaxPool2d,
        nn.AvgPool2d,
        nn.BatchNorm2d,
    ):
        with pytest.raises(TypeError, match=r"^[A-Z]\w+\.__init__\(\) got an unexpected"):
            make(3, 4, proj_size=2)
    with pytest.raises(TypeError, match=r"^nn.MSELoss\(\) got an option that it has not, 'size_average'"):
        nn.MSELoss(size_average=False)


def test_wrong_options_are_named():
    for kind in (nn.RNN, nn.RNNCell):
        with pytest.raises(
            ValueError, match=f"{kind.__name__}: nonlinearity: expected 'tanh' or 'relu'; got 'sigmoid'"
        ):
            kind(3, 4, nonlinearity="sigmoid")
    with pytest.raises(ValueError, match="LSTM: hidden_size: expected a whole number of at least 1; got 0"):
        nn.LSTM(3, 0)
    with pytest.raises(ValueError, match="GRU: num_layers: expected a whole number"):
        nn.GRU(3, 4, 1.5)
    with pytest.raises(ValueError, match="GRU: dropout: expected a number from 0 to 1; got 2"):
        nn.GRU(3, 4, dropout=2)


# ---- a layer like the others


def test_it_says_what_it_is():
    assert repr(nn.LSTMCell(3, 4, bias=False)) == "LSTMCell(3->4, bias=False)"
    assert repr(nn.RNNCell(3, 4, nonlinearity="relu")) == "RNNCell(3->4, nonlinearity=relu)"
    assert repr(nn.GRU(3, 4)) == "GRU(3->4)"
    text = repr(nn.RNN(3, 4, 2, "relu", False, True, 0.25))
    assert text == "RNN(3->4, num_layers=2, nonlinearity=relu, bias=False, batch_first=True, dropout=0.25)"


def test_all_its_parameters_form_one_layer():
    model = nn.Sequential([("rnn", nn.LSTM(3, 4, 2))])
    assert [name for name, _ in model.named_layers()] == ["rnn"]
    assert model.rnn.weight_hh_l1.name == "rnn.weight_hh_l1"
    assert "LSTM 3->4, num_layers=2  (5, 2, 4), (2, 2, 4), (2, 2, 4)" in model.summary((5, 2, 3))


def test_a_copy_is_independent():
    layer = nn.GRU(3, 4)
    twin, x = copy.deepcopy(layer), tensor(numbers(5, 2, 3))
    np.testing.assert_array_equal(host(twin(x)[0]), host(layer(x)[0]))
    nn.init.zeros_(layer.weight_ih_l0)
    assert host(twin.weight_ih_l0).any()


# ---- raw arrays in another order of bytes


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_big_endian_inputs_and_states_are_made_native_at_the_door(kind):
    with md.using("numpy"):
        layer = kind(4, 3)
    x, h = np.arange(40, dtype=np.float32).reshape(5, 2, 4) / 40, np.full((1, 2, 3), 0.5, np.float32)
    if kind.__name__.endswith("Cell"):
        x, h = x[0], h[0]

    def result(x, h):
        y = layer(x, (h, h) if "LSTM" in kind.__name__ else h)
        return host(y[0] if isinstance(y, tuple) else y)

    expected = result(x, h)
    big_x, big_h = x.astype(">f4"), h.astype(">f4")
    for given in ((big_x, big_h), (x, big_h), (big_x, h), (md.Tensor(x), big_h), (big_x, md.Tensor(h))):
        found = result(*given)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
