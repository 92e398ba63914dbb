import gc
import weakref

import numpy as np
import pytest

import minidl.functional as F
from minidl import nn
from minidl.autograd.function import Function
from minidl.autograd.modes import no_grad
from minidl.derivatives.gradients import grad
from minidl.errors import GraphError
from tests.arrays import host, tensor

X = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)


def watched(module):
    """The (grad_input, grad_output) that a backward hook on `module` sees, one entry a call."""
    seen = []
    module.register_full_backward_hook(lambda _, grad_input, grad_output: seen.append((grad_input, grad_output)))
    return seen


class Two(nn.Module):
    """Two inputs, two outputs."""

    def forward(self, x, y):
        return x * y, x + 2 * y


def test_a_forward_hook_sees_inputs_and_output_and_may_replace_the_output():
    layer = nn.Linear(2, 2)
    seen = []
    layer.register_forward_hook(lambda module, inputs, output: seen.append((module, inputs, output)))
    x = tensor(X)
    y = layer(x)
    assert seen[0][0] is layer
    assert seen[0][1][0] is x
    assert seen[0][2] is y
    layer.register_forward_hook(lambda module, inputs, output: output * 0)
    assert host(layer(x)).sum() == 0


def test_a_pre_hook_sees_the_inputs_and_may_replace_them():
    act = nn.ReLU()
    seen = []
    act.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    act.register_forward_pre_hook(lambda module, inputs: inputs[0] * -1)
    x = tensor(X)
    np.testing.assert_array_equal(host(act(x)), np.maximum(-X, 0))
    assert seen[0][0] is x


@pytest.mark.parametrize("kind", ["forward_hook", "forward_pre_hook", "full_backward_hook"])
def test_a_handle_takes_its_hook_away(kind):
    layer, calls = nn.Linear(2, 2), []
    register = getattr(layer, f"register_{kind}")

    def run():
        layer(tensor(X, requires_grad=True)).sum().backward()
        return len(calls)

    handle = register(lambda *arguments: calls.append(1))
    assert run() == 1
    handle.remove()
    assert run() == 1
    with register(lambda *arguments: calls.append(1)):
        assert run() == 2
    assert run() == 2


def test_hooks_are_called_in_the_order_they_were_registered():
    act, order = nn.ReLU(), []
    act.register_forward_hook(lambda *a: order.append("first"))
    act.register_forward_hook(lambda *a: order.append("second"))
    act(tensor(X))
    assert order == ["first", "second"]


def test_a_backward_hook_sees_the_gradients_of_input_and_output():
    layer = nn.Linear(2, 4)
    seen = watched(layer)
    x = tensor(X, requires_grad=True)
    y = layer(x)
    (y * y).sum().backward()
    ((grad_input,), (grad_output,)) = seen[0]
    np.testing.assert_allclose(host(grad_output), 2 * host(y), rtol=1e-6)
    np.testing.assert_allclose(host(grad_input), host(grad_output) @ host(layer.weight), rtol=1e-5)
    np.testing.assert_allclose(host(x.grad), host(grad_input), rtol=1e-6)


def test_grad_input_is_the_modules_own_share_of_a_gradient():
    layer = nn.Linear(2, 2)
    seen = watched(layer)
    x = tensor(X, requires_grad=True)
    (x + layer(x)).sum().backward()
    np.testing.assert_allclose(host(x.grad), host(seen[0][0][0]) + 1, rtol=1e-5)


def test_an_input_without_gradient_is_none():
    layer = nn.Linear(2, 2)
    seen = watched(layer)
    layer(tensor(X)).sum().backward()
    assert seen[0][0] == (None,)
    np.testing.assert_array_equal(host(seen[0][1][0]), np.ones((3, 2)))


def test_several_inputs_and_outputs_come_complete_and_once():
    module = Two()
    seen = watched(module)
    x, y = tensor(X, requires_grad=True), tensor(2 * X, requires_grad=True)
    a, b = module(x, y)
    (a + b).sum().backward()
    assert len(seen) == 1
    (grad_x, grad_y), (grad_a, grad_b) = seen[0]
    np.testing.assert_allclose(host(grad_x), 2 * X + 1, rtol=1e-6)
    np.testing.assert_allclose(host(grad_y), X + 2, rtol=1e-6)
    assert host(grad_a).tolist() == host(grad_b).tolist() == np.ones((3, 2)).tolist()


def test_an_output_that_is_not_used_and_an_input_that_is_not_used_are_none():
    class First(nn.Module):
        def forward(self, x, unused):
            return x * 2, x * 3

    module = First()
    seen = watched(module)
    x, y = tensor(X, requires_grad=True), tensor(X, requires_grad=True)
    module(x, y)[1].sum().backward()
    (grad_x, grad_y), (grad_a, grad_b) = seen[0]
    assert grad_y is None
    assert grad_a is None
    assert host(grad_x).tolist() == np.full((3, 2), 3.0).tolist()
    assert host(grad_b).tolist() == np.ones((3, 2)).tolist()


def test_a_module_that_returns_its_input_is_watched_too():
    module = nn.Dropout(0.5).eval()
    seen = watched(module)
    x = tensor(X, requires_grad=True)
    (module(x) * 3 + x).sum().backward()
    assert host(seen[0][0][0]).tolist() == np.full((3, 2), 3.0).tolist()


def test_a_hook_on_a_container_sees_past_its_layers():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    seen = watched(model)
    x = tensor(X, requires_grad=True)
    model(x).sum().backward()
    np.testing.assert_array_equal(host(seen[0][0][0]), host(x.grad))


def test_a_hook_may_replace_the_gradient_of_the_only_input():
    layer = nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 10,))
    x, z = tensor(X, requires_grad=True), tensor(X, requires_grad=True)
    layer(x).sum().backward()
    F.linear(z, layer.weight, layer.bias).sum().backward()
    np.testing.assert_allclose(host(x.grad), 10 * host(z.grad), rtol=1e-5)


def test_a_replacement_where_none_can_be_made_is_an_error():
    module = Two()
    module.register_full_backward_hook(lambda module, grad_input, grad_output: grad_input)
    a, b = module(tensor(X, requires_grad=True), tensor(X, requires_grad=True))
    with pytest.raises(GraphError, match="a backward hook of Two returned 2 gradients"):
        (a + b).sum().backward()


def test_a_backward_hook_needs_tensors_in_the_output():
    class Wordy(nn.Module):
        def forward(self, x):
            return {"y": x}

    module = Wordy()
    module.register_full_backward_hook(lambda *a: None)
    with pytest.raises(GraphError, match=r"needs an output that is a Tensor.*got dict"):
        module(tensor(X, requires_grad=True))


def test_backward_hooks_change_no_gradient_and_no_value():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = tensor(X, requires_grad=True)
    plain = model(x)
    plain.sum().backward()
    expected = [host(p.grad) for p in model.parameters()]
    model.zero_grad()
    for module in model.modules():
        module.register_full_backward_hook(lambda *a: None)
    hooked = model(x)
    hooked.sum().backward()
    np.testing.assert_array_equal(host(plain), host(hooked))
    for p, g in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(host(p.grad), g)


def test_it_is_called_in_every_backward():
    layer = nn.Linear(2, 2)
    seen = watched(layer)
    y = layer(tensor(X, requires_grad=True)).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert len(seen) == 2
    np.testing.assert_array_equal(host(seen[0][0][0]), host(seen[1][0][0]))


def test_it_works_under_create_graph_and_with_md_grad():
    layer = nn.Tanh()
    seen = watched(layer)
    x = tensor(X.astype(np.float64), requires_grad=True)
    first = grad(layer(x).sum(), x, create_graph=True)
    second = grad(first.sum(), x)
    assert len(seen) >= 1
    np.testing.assert_allclose(host(second), -2 * np.tanh(X) * (1 - np.tanh(X) ** 2), rtol=1e-4, atol=1e-6)


def test_a_walk_that_asks_for_one_input_only_does_not_confuse_the_next():
    module = Two()
    seen = watched(module)
    x, y = tensor(X, requires_grad=True), tensor(X, requires_grad=True)
    a, b = module(x, y)
    loss = (a + b).sum()
    grad(loss, y, retain_graph=True)
    assert seen == []
    loss.backward()
    assert len(seen) == 1
    np.testing.assert_array_equal(host(seen[0][0][0]), host(x.grad))
    np.testing.assert_array_equal(host(seen[0][0][1]), host(y.grad))


def test_nothing_is_watched_under_no_grad():
    layer = nn.Linear(2, 2)
    seen = watched(layer)
    with no_grad():
        y = layer(tensor(X, requires_grad=True))
    assert not y.requires_grad
    assert seen == []


def test_without_hooks_a_call_records_the_layers_own_op_only():
    layer = nn.Linear(2, 2)
    y = layer(tensor(X, requires_grad=True))
    assert isinstance(y._op, Function)
    assert type(y._op).__name__ == "Linear"
    handle = layer.register_full_backward_hook(lambda *a: None)
    assert type(layer(tensor(X, requires_grad=True))._op).__name__ == "OutputIdentity"
    handle.remove()
    assert type(layer(tensor(X, requires_grad=True))._op).__name__ == "Linear"


def test_hooks_leave_no_cycle_behind():
    gc.collect()
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        watched(model)
        watched(model[0])
        model(tensor(X, requires_grad=True)).sum().backward()
        gone = weakref.ref(model)
        del model
        assert gone() is None
    finally:
        gc.enable()
