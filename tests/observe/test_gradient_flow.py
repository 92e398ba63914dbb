import gc
import weakref

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.autograd.hooks import after_backward
from minidl.observe import GradientFlow
from minidl.optim import SGD, Adam, LayerSpecific, norms
from tests.arrays import host
from tests.cupy_standin import synchronizations
from tests.observe.loops import CLASSES, batch, norm, recorded, rms, small, train


def test_what_is_recorded_is_what_a_hand_made_step_gives():
    model, by_hand = small(), small()
    optimizer = SGD(model, lr=0.5, momentum=0.9)
    x, y = batch()
    with GradientFlow(model, optimizer) as flow:
        losses = train(model, optimizer, 1)
    recording = flow.recording

    h1 = F.sigmoid(by_hand.fc1(x))
    h2 = F.sigmoid(by_hand.fc2(h1))
    h3 = by_hand.fc3(h2)
    outputs = [h1, h2, h3]
    for h in outputs:
        h.retain_grad()
    F.cross_entropy(h3, y).backward()
    for i, (layer, h) in enumerate(zip([by_hand.fc1, by_hand.fc2, by_hand.fc3], outputs, strict=True)):
        weight, bias = host(layer.weight.grad).astype(np.float64), host(layer.bias.grad).astype(np.float64)
        expected = {
            "activation_rms": rms(h),
            "output_gradient_rms": rms(h.grad),
            "weight_gradient_rms": rms(weight),
            "weight_gradient_mean": abs(weight).mean(),
            "weight_gradient_max": abs(weight).max(),
            "bias_gradient_mean": abs(bias).mean(),
            "bias_gradient_max": abs(bias).max(),
            "layer_gradient_norm": norm(weight, bias),
            "gradient_norm_at_backward": norm(weight, bias),
            "weight_norm": norm(layer.weight),
            "update_norm": norm(0.5 * weight),
            "multiplier": 1.0,
            "rate": 0.5,
            "floored": 0.0,
        }
        for field, value in expected.items():
            assert getattr(recording, field)[0, i] == pytest.approx(value, rel=1e-4), (field, i)
    assert recording.layers == ("fc1", "fc2", "fc3")
    assert recording.outputs == ("act1", "act2", "fc3")
    assert recording.loss[0] == pytest.approx(losses[0])
    assert list(recording.steps) == [0]
    assert recording.dtype == "float32"


def test_the_update_is_what_the_weights_really_did_with_any_optimizer():
    model = small()
    optimizer = Adam(model, lr=0.01, weight_decay=0.1)
    x, y = batch()
    with GradientFlow(model, optimizer) as flow:
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            before = host(model.fc2.weight)
            optimizer.step()
    assert flow.recording.update_norm[-1, 1] == pytest.approx(norm(host(model.fc2.weight) - before), rel=1e-5)
    assert flow.recording.update_ratio[-1, 1] == pytest.approx(
        norm(host(model.fc2.weight) - before) / norm(before), rel=1e-5
    )


def test_the_optimizers_report_is_recorded():
    model = small()
    optimizer = SGD(model, lr=0.1, layer_rate=LayerSpecific())
    with GradientFlow(model, optimizer) as flow:
        train(model, optimizer, 2)
    report = optimizer.layer_report()
    for i, name in enumerate(flow.recording.layers):
        assert flow.recording.multiplier[-1, i] == pytest.approx(report[name].multiplier)
        assert flow.recording.rate[-1, i] == pytest.approx(0.1 * report[name].multiplier)
        assert flow.recording.layer_gradient_norm[-1, i] == pytest.approx(report[name].grad_norm)
        assert flow.recording.floored[-1, i] == 0


def test_each_gradient_is_measured_once_in_a_step(monkeypatch):
    """By the layer rate, whose norms the report and the recorder take over."""
    model, measured = small(), []
    optimizer = SGD(model, lr=0.1, layer_rate=LayerSpecific())
    choose = norms.chosen
    monkeypatch.setattr(norms, "chosen", lambda norm, arrays: measured.extend(map(id, arrays)) or choose(norm, arrays))
    x, y = batch()
    with GradientFlow(model, optimizer):
        F.cross_entropy(model(x), y).backward()
        gradients = {id(p.grad._data) for p in model.parameters()}
        measured.clear()
        optimizer.step()
        optimizer.layer_report()
    assert sorted(found for found in measured if found in gradients) == sorted(gradients)


@pytest.mark.parametrize("every", [1, 3])
def test_training_is_bit_equal_with_and_without_the_recorder(every):
    watched, alone = small(), small()
    for model, watch in ((watched, True), (alone, False)):
        optimizer = SGD(model, lr=0.3, momentum=0.9, layer_rate=LayerSpecific())
        if watch:
            with GradientFlow(model, optimizer, every=every):
                train(model, optimizer, 7)
        else:
            train(model, optimizer, 7)
    for (name, a), (_, b) in zip(watched.named_parameters(), alone.named_parameters(), strict=True):
        np.testing.assert_array_equal(host(a), host(b), err_msg=name)


def hooks_on(model, optimizer):
    modules = sum(len(m._hooks.forward) for m in model.modules() if m._hooks is not None)
    return modules + len(after_backward) + len(optimizer._pre_hooks) + len(optimizer._post_hooks)


def test_all_hooks_go_at_the_end_also_after_an_exception_and_from_a_living_graph():
    model = small()
    optimizer = SGD(model, lr=0.1)
    x, y = batch()
    with GradientFlow(model, optimizer):
        assert (
            hooks_on(model, optimizer) == 3 + 2 + 1 + 1 + 2
        )  # layers, activations, the model, the walk, before and after a step
        output = model(x)
    assert hooks_on(model, optimizer) == 0
    assert not output._op._extras.hooks
    F.cross_entropy(output, y).backward()  # a graph from inside the block still works

    def fail(step):
        if step == 2:
            raise KeyError(step)

    flow = GradientFlow(model, optimizer)
    with pytest.raises(KeyError), flow:
        train(model, optimizer, 4, each=fail)
    assert hooks_on(model, optimizer) == 0
    assert list(flow.recording.steps) == [0, 1]  # the complete steps are kept


def test_the_recorder_lets_go_of_the_graph():
    model = small()
    optimizer = SGD(model, lr=0.1)
    gc.collect()
    gc.disable()
    try:
        with GradientFlow(model, optimizer):
            x, y = batch()
            output = model(x)
            array = weakref.ref(output)
            F.cross_entropy(output, y).backward()
            optimizer.step()
            del output
            assert array() is None
    finally:
        gc.enable()


def test_evaluating_with_grad_mode_on_does_not_pile_up_arrays():
    model = small()
    with GradientFlow(model, SGD(model, lr=0.1)):
        first = model(batch()[0])
        array = weakref.ref(first.data if isinstance(first.data, np.ndarray) else first)
        del first
        model(batch()[0])
        model(batch()[0])
        assert array() is None


def test_every_nth_step_from_the_first_on_is_recorded():
    model = small()
    optimizer = SGD(model, lr=0.1)
    train(model, optimizer, 5)
    full, sparse = GradientFlow(model, optimizer), GradientFlow(model, optimizer, every=3)
    with full, sparse:
        train(model, optimizer, 8)
    assert list(full.recording.steps) == [5, 6, 7, 8, 9, 10, 11, 12]
    assert list(sparse.recording.steps) == [5, 8, 11]
    np.testing.assert_array_equal(sparse.recording.output_gradient_rms, full.recording.output_gradient_rms[::3])
    np.testing.assert_array_equal(sparse.recording.loss, full.recording.loss[::3])


def test_a_recorder_begins_anew_in_each_block_and_refuses_two_at_once():
    model = small()
    optimizer = SGD(model, lr=0.1)
    flow = GradientFlow(model, optimizer)
    with flow:
        train(model, optimizer, 2)
        assert len(flow.recording.steps) == 2  # readable on the way
        with pytest.raises(RuntimeError, match="already recording"):
            flow.__enter__()
        train(model, optimizer, 1)
    assert len(flow.recording.steps) == 3
    with flow:
        train(model, optimizer, 1)
    assert list(flow.recording.steps) == [3]


def test_second_order_gradients_pass_unharmed():
    model, plain = small(), small()
    x, y = batch()
    for net in (model, plain):
        optimizer = SGD(net, lr=0.1)
        flow = GradientFlow(net, optimizer)
        if net is model:
            flow.__enter__()
        loss = F.cross_entropy(net(x), y)
        grads = md.grad([loss], net.parameters(), create_graph=True)
        penalty = sum((F.sum(g * g) for g in grads[1:]), start=F.sum(grads[0] * grads[0]))
        (loss + penalty).backward()
        optimizer.step()
        if net is model:
            flow.__exit__(None, None, None)
            assert flow.recording.loss[0] == pytest.approx((loss + penalty).item())
    np.testing.assert_array_equal(host(model.fc1.weight), host(plain.fc1.weight))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes(dtype):
    model = small()
    model.to(dtype=dtype)
    optimizer = SGD(model, lr=0.1)
    x, y = batch()
    with GradientFlow(model, optimizer) as flow:
        F.cross_entropy(model(x.astype(dtype)), y).backward()
        optimizer.step()
    assert flow.recording.dtype == dtype
    assert flow.recording.weight_gradient_rms[0, 0] == pytest.approx(rms(model.fc1.weight.grad))


def test_gradients_of_1e_30_do_not_underflow():
    model = small()
    optimizer = SGD(model, lr=0.1)
    x, y = batch()
    with GradientFlow(model, optimizer) as flow:
        (F.cross_entropy(model(x), y) * 1e-30).backward()
        optimizer.step()
    assert flow.recording.weight_gradient_rms[0, 2] == pytest.approx(rms(model.fc3.weight.grad))
    assert 0 < flow.recording.weight_gradient_rms[0, 2] < 1e-29


def test_a_long_recording_keeps_every_step():
    model = small(1)
    recording = recorded(model, steps=600, lr=0.05)
    assert list(recording.steps) == list(range(600))
    assert np.isfinite(recording.loss).all()


@pytest.mark.parametrize("every", [0, -1, 1.5, "2"])
def test_every_must_be_a_positive_integer(every):
    with pytest.raises(ValueError, match="every must be a positive integer"):
        GradientFlow(small(), every=every)


def test_an_optimizer_in_place_of_the_model_is_refused():
    model = small()
    with pytest.raises(TypeError, match="expected a model, a Module; got SGD"):
        GradientFlow(md.optim.SGD(model), model)


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match="layers that own parameters"):
        GradientFlow(nn.Sequential(nn.ReLU()))


def test_a_recorded_step_does_not_wait_for_the_device(standin):
    with backend.using("cupy"):
        model = nn.Sequential([("fc1", nn.Linear(5, 4)), ("act1", nn.Sigmoid()), ("fc2", nn.Linear(4, CLASSES))])
        optimizer = SGD(model, lr=0.1, layer_rate=LayerSpecific())
        x = md.Tensor(standin.cupy.asarray(np.ones((6, 5), np.float32)))
        y = standin.cupy.asarray(np.arange(6) % CLASSES)

        def step():
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

        step()
        before = len(synchronizations())
        step()
        alone = len(synchronizations()) - before
        with GradientFlow(model, optimizer) as flow:
            before = len(synchronizations())
            step()
            step()
            assert len(synchronizations()) - before == 2 * alone
        assert np.isfinite(flow.recording.update_norm).all()


# ---- what is not finite


def train_until(first, steps=4, optimizer=True):
    """A recording of a training whose inputs are NaN from step `first` on."""
    model = small(1)
    sgd = SGD(model, lr=0.1)
    with GradientFlow(model, sgd if optimizer else None) as flow:
        for step in range(steps):
            x, y = batch(step)
            sgd.zero_grad()
            F.cross_entropy(model(x * (np.nan if step >= first else 1.0)), y).backward()
            sgd.step()
    return flow.recording


@pytest.mark.parametrize("optimizer", [True, False])
def test_a_measured_nan_is_told_from_what_was_not_there_to_measure(optimizer):
    recording = train_until(2, optimizer=optimizer)
    for name in ("activation_rms", "output_gradient_rms", "weight_gradient_rms", "bias_gradient_max", "update_norm"):
        values = getattr(recording, name)
        assert np.isfinite(values[:2]).all(), name
        assert np.isinf(values[2:]).all(), name
    assert np.isfinite(recording.weight_norm[:3]).all()  # of the weights before the update
    assert np.isinf(recording.weight_norm[3:]).all()
    assert np.isnan(recording.loss[2:]).all()
    assert recording.diverged_at == 2
    assert recording.verdict().startswith("from step 2 on loss and gradients are not finite: it diverged; ")


def test_what_is_missing_stays_nan_beside_what_is_not_finite():
    model = small(1)
    model.fc1.requires_grad_(False)
    optimizer = SGD(model, lr=0.1)
    with GradientFlow(model, optimizer) as flow:
        x, y = batch()
        F.cross_entropy(model(x * np.nan), y).backward()
        optimizer.step()
    assert np.isnan(flow.recording.weight_gradient_rms[0, 0])
    assert np.isinf(flow.recording.weight_gradient_rms[0, 1])


def test_gradients_that_were_made_finite_before_the_step_are_noted():
    model = small(1)
    optimizer = SGD(model, lr=0.1)
    with GradientFlow(model, optimizer) as flow:
        x, y = batch()
        F.cross_entropy(model(x * np.nan), y).backward()
        for p in model.parameters():
            p.grad.data[...] = 0
        optimizer.step()
    assert "changed in 1 of 1 recorded steps (at the least to 0 times their norm)" in flow.recording.notes[0]
