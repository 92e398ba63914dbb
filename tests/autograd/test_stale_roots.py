"""A tensor that no longer shows what was written through its view is refused wherever a gradient is asked for it."""

import numpy as np
import pytest

import minidl as md
from tests.arrays import tensor


def written_through_a_view():
    x = tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    base = x * 2.0
    base.retain_grad()
    view = base.reshape(3)
    view *= 0.5
    return base, view


def test_it_is_no_target_of_grad():
    base, view = written_through_a_view()
    with pytest.raises(md.GraphError, match="shares memory"):
        md.grad((view * view).sum(), [base])


def test_it_is_no_root_of_a_backward():
    base, _ = written_through_a_view()
    with pytest.raises(md.GraphError, match="shares memory"):
        base.backward(tensor(np.ones(3)))


def test_it_retains_no_gradient():
    base, view = written_through_a_view()
    with pytest.raises(md.GraphError, match="shares memory"):
        (view * view).sum().backward()
    assert base.grad is None


def test_a_forward_that_returns_integers_has_no_gradient():
    class Round(md.Function):
        __slots__ = ()

        def forward(self, x):
            return x.astype(int)

        def backward(self, grad_out):
            return grad_out

    with pytest.raises(md.DTypeError, match=r"Round.forward returned int64"):
        Round()(tensor([1.5], requires_grad=True))


def test_an_array_that_a_users_op_keeps_never_becomes_a_grad():
    kept = tensor(np.array([1.0, 2.0])).data

    class Scale(md.Function):
        __slots__ = ()

        def forward(self, x):
            return x * kept

        def backward(self, grad_out):
            return kept

    x, y = (tensor(np.ones(2), requires_grad=True) for _ in range(2))
    (Scale()(x) + Scale()(y + 0.0)).sum().backward()
    x.grad *= 10
    assert y.grad.tolist() == [1.0, 2.0]
    assert kept.tolist() == [1.0, 2.0]
