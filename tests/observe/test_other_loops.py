"""minidl/observe/gradient_flow.py in other loops: several backwards a step, clipping, no optimizer, frozen layers."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.observe import GradientFlow
from minidl.optim import SGD, clip_grad_norm_
from tests.arrays import host, tensor
from tests.observe.loops import CLASSES, batch, norm, recorded, rms, small, train


def test_accumulated_batches_are_one_step_over_all_their_elements():
    model, whole = small(), small()
    optimizer, other = SGD(model, lr=0.1), SGD(whole, lr=0.1)
    (xa, ya), (xb, yb) = batch(0), batch(1)
    with GradientFlow(model, optimizer) as flow:
        for x, y in ((xa, ya), (xb, yb)):
            (F.cross_entropy(model(x), y) * 0.5).backward()
        optimizer.step()
    xp = backend.module_of(ya)
    with GradientFlow(whole, other) as flow_whole:
        x = tensor(np.concatenate([host(xa), host(xb)]))
        F.cross_entropy(whole(x), xp.concatenate([ya, yb])).backward()
        other.step()
    for field in ("activation_rms", "output_gradient_rms", "weight_gradient_rms", "update_norm", "loss"):
        np.testing.assert_allclose(
            getattr(flow.recording, field), getattr(flow_whole.recording, field), rtol=1e-5, err_msg=field
        )
    assert any("accumulated over up to 2 backward passes a step" in note for note in flow.recording.notes)
    assert not any("accumulated" in note for note in flow_whole.recording.notes)


def test_clipping_is_said_and_both_norms_are_kept():
    model = small()
    optimizer = SGD(model, lr=0.1)
    norms = []

    def clip(step):
        if step == 2:
            norms.append(clip_grad_norm_(model.parameters(), 1e-3).item())

    with GradientFlow(model, optimizer) as flow:
        train(model, optimizer, 4, each=clip)
    at_step, at_backward = flow.recording.layer_gradient_norm, flow.recording.gradient_norm_at_backward
    np.testing.assert_allclose(at_step[[0, 1, 3]], at_backward[[0, 1, 3]])
    assert np.sqrt((at_step[2] ** 2).sum()) == pytest.approx(1e-3, rel=1e-3)
    assert np.sqrt((at_backward[2] ** 2).sum()) == pytest.approx(norms[0], rel=1e-3)
    assert any("after clipping" in note and "in 1 of 4 recorded steps" in note for note in flow.recording.notes)
    assert any("nothing changed them after backward()" in note for note in recorded().notes)


def test_forwards_without_a_backward_do_not_count():
    model, plain = small(), small()
    recordings = []
    for net, evaluates in ((model, True), (plain, False)):
        optimizer = SGD(net, lr=0.1)

        def evaluate(step, net=net):
            with md.no_grad():
                net(batch(50)[0])
            net(batch(51)[0])  # and one that forgot no_grad

        with GradientFlow(net, optimizer) as flow:
            train(net, optimizer, 3, each=evaluate if evaluates else lambda step: None)
        recordings.append(flow.recording)
    np.testing.assert_array_equal(recordings[0].activation_rms, recordings[1].activation_rms)
    np.testing.assert_array_equal(recordings[0].loss, recordings[1].loss)


def test_the_backward_of_another_model_is_not_recorded():
    model, other = small(), small(seed=5)
    optimizer = SGD(model, lr=0.1)
    x, y = batch()
    with GradientFlow(model, optimizer) as flow:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        (F.cross_entropy(other(x), y) * 100.0).backward()
        optimizer.step()
    assert flow.recording.loss[0] == pytest.approx(loss.item())


def test_a_frozen_layer_has_activations_but_no_gradients():
    model = small(1)
    model.fc1.requires_grad_(False)
    recording = recorded(model, steps=2)
    assert np.isfinite(recording.activation_rms).all()
    assert np.isnan(recording.output_gradient_rms[:, 0]).all()
    assert np.isnan(recording.weight_gradient_rms[:, 0]).all()
    assert (recording.update_norm[:, 0] == 0).all()
    with md.no_grad():
        h = F.sigmoid(model.fc1(batch(1)[0]))
    assert recording.activation_rms[1, 0] == pytest.approx(rms(h))


class Custom(nn.Module):
    """An activation module shared by two layers, a functional activation, a layer used twice, and a tied weight."""

    def __init__(self):
        super().__init__()
        self.act = nn.Tanh()
        self.fc1 = nn.Linear(5, 4)
        self.fc2 = nn.Linear(4, 4)
        self.fc3 = nn.Linear(4, 4)
        self.fc4 = nn.Linear(4, CLASSES)
        self.fc3.weight = self.fc2.weight

    def forward(self, x):
        h = self.act(self.fc1(x))
        h = self.act(self.fc2(h))
        h = self.fc2(h)
        h = F.tanh(self.fc3(h))
        return self.fc4(h)


def test_h_is_the_activation_modules_output_wherever_that_module_stands():
    md.seed(0)
    model = Custom()
    recording = recorded(model, steps=1)
    assert recording.layers == ("fc1", "fc2", "fc3", "fc4")
    assert recording.outputs[0] == "act"
    assert recording.outputs[2:] == ("tanh(fc3)", "fc4")  # a functional activation is found in the graph
    md.seed(0)
    again = Custom()
    x, _ = batch()
    with md.no_grad():
        h1 = again.act(again.fc1(x))
        h2 = again.act(again.fc2(h1))
        h3 = again.fc2(h2)
        h4 = F.tanh(again.fc3(h3))
    both = np.concatenate([host(h2).ravel(), host(h3).ravel()])
    assert recording.activation_rms[0] == pytest.approx([rms(h1), rms(both), rms(h4), rms(again.fc4(h4))])
    assert recording.weight_norm[0, 2] != recording.weight_norm[0, 2]  # the tied weight is fc2's: fc3 owns a bias only
    assert np.isfinite(recording.bias_gradient_mean[0, 2])


def test_without_an_optimizer_a_step_lasts_until_the_next_forward():
    model = small()
    x, y = batch()
    moved = []
    with GradientFlow(model) as flow:
        for _ in range(3):
            loss = F.cross_entropy(model(x), y)
            model.zero_grad()
            loss.backward()
            before = host(model.fc1.weight)
            with md.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
            moved.append(norm(host(model.fc1.weight) - before))
    recording = flow.recording
    assert list(recording.steps) == [0, 1, 2]
    assert recording.update_norm[:, 0] == pytest.approx(moved, rel=1e-4)
    assert np.isfinite(recording.weight_gradient_rms).all()
    assert np.isnan(recording.multiplier).all()
    assert any("before any clipping" in note for note in recording.notes)


def test_without_an_optimizer_the_loop_can_say_where_a_step_ends():
    model = small()
    x, y = batch()
    with GradientFlow(model, every=2) as flow:
        for _ in range(4):
            F.cross_entropy(model(x), y).backward()
            model.zero_grad()
            flow.step()
    assert list(flow.recording.steps) == [0, 2]
    assert (flow.recording.update_norm == 0).all()
    with pytest.raises(RuntimeError, match="outside of the `with` block"):
        flow.step()
    optimizer = SGD(model, lr=0.1)
    with GradientFlow(model, optimizer) as flow, pytest.raises(RuntimeError, match=r"follows optimizer\.step"):
        flow.step()
