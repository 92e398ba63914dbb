"""minidl/observe/forgotten_zero_grad.py: gradients that add up over steps are named, and nothing else is."""

import pytest

import minidl.functional as F
from minidl.observe import GradientFlow
from minidl.optim import SGD
from tests.observe.loops import batch, small


def test_a_forgotten_zero_grad_is_named():
    model = small()
    optimizer = SGD(model, lr=0.1)
    x, y = batch()

    def forgetful_loop():
        for _ in range(4):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    flow = GradientFlow(model, optimizer)
    words = r"fc\d\.\w+\.grad of step 0 .*was not cleared.*optimizer\.zero_grad\(\)"
    with pytest.warns(UserWarning, match=words) as seen, flow:
        forgetful_loop()
    assert len(seen) == 1
    assert any("was not cleared" in note for note in flow.recording.notes)
    assert "was not cleared" in flow.recording.verdict()
    growth = flow.recording.layer_gradient_norm
    assert growth[1, -1] > 1.5 * growth[0, -1]


@pytest.mark.parametrize("when", ["before the forward", "before the backward", "after the step", "in place"])
def test_a_cleared_gradient_is_not_suspected(when, recwarn):
    model = small()
    optimizer = SGD(model, lr=0.1)
    x, y = batch()
    with GradientFlow(model, optimizer) as flow:
        for _ in range(3):
            if when == "before the forward":
                optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            if when == "before the backward":
                optimizer.zero_grad()
            if when == "in place":
                for p in model.parameters():
                    if p.grad is not None:
                        p.grad[...] = 0.0
            loss.backward()
            optimizer.step()
            if when == "after the step":
                optimizer.zero_grad()
    assert not recwarn.list
    assert not any("cleared" in note for note in flow.recording.notes)


def test_gradients_that_are_cleared_after_another_backward_are_not_suspected(recwarn):
    """As in adversarial training, where the other network's step leaves gradients here too."""
    model = small()
    optimizer = SGD(model, lr=0.1)
    x, y = batch()
    with GradientFlow(model, optimizer):
        for _ in range(3):
            F.cross_entropy(model(x), y).backward()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert not recwarn.list
