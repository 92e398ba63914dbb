import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.observe import GradientFlow
from minidl.observe.bins import QUANTITIES, SIDE, edges
from minidl.observe.snapshots import LIMIT, MOST, Snapshots
from minidl.optim import SGD
from tests.arrays import device, host
from tests.observe.loops import batch, small, train


def distributions(model, steps=1, **options):
    optimizer = SGD(model, lr=0.1)
    with GradientFlow(model, optimizer, distributions=True, **options) as flow:
        train(model, optimizer, steps)
    return flow.recording


def test_each_quantity_of_each_layer_is_counted():
    model = small(2)
    x, _ = batch()
    with md.no_grad():
        z1 = model.fc1(x)
    recording = distributions(model)
    assert recording.snapshots.tolist() == [0]
    sizes = recording.bins[0].sum(axis=-1)
    assert sizes[QUANTITIES.index("pre_activation")].tolist() == [32, 32, 24]
    assert sizes[QUANTITIES.index("activation")].tolist() == [32, 32, 0]  # the scores have no activation
    assert sizes[QUANTITIES.index("output_gradient")].tolist() == [32, 32, 24]
    assert sizes[QUANTITIES.index("weight_gradient")].tolist() == [20, 16, 12]
    z1 = host(z1)
    assert recording.bins[0, 0, 0, SIDE:].sum() == (z1 > 0).sum()
    assert edges(recording.tops[0, 0, 0])[-1] >= np.log10(abs(z1).max())


def test_zeros_of_a_relu_and_units_that_are_dead():
    model = small(1, activation="relu")
    with md.no_grad():
        model.fc1.weight[0] = 0.0
        model.fc1.bias[0] = -1.0  # the first of four units is 0 for every sample
    x, _ = batch()
    with md.no_grad():
        h = host(model.act1(model.fc1(x)))
    recording = distributions(model)
    assert recording.zeros[0, QUANTITIES.index("activation"), 0] == pytest.approx((h == 0).mean())
    assert recording.dead[0, 0] == pytest.approx((h == 0).all(axis=0).mean())
    assert recording.dead[0, 0] >= 0.25
    assert np.isnan(recording.saturated[0, 0])
    assert np.isnan(recording.dead[0, 1])


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_saturated_is_what_is_near_the_limits(activation):
    model = small(1, activation=activation)
    with md.no_grad():
        model.fc1.weight *= 20.0
        model.fc1.bias[1] = 1000.0  # saturated for every sample
    x, _ = batch()
    with md.no_grad():
        h = host(model.act1(model.fc1(x)))
    centred = 2 * h - 1 if activation == "sigmoid" else h
    recording = distributions(model)
    assert recording.saturated[0, 0] == pytest.approx((abs(centred) > LIMIT).mean())
    assert recording.dead[0, 0] == pytest.approx((abs(centred) > LIMIT).all(axis=0).mean())
    assert recording.dead[0, 0] >= 0.25


def test_there_are_none_unless_asked():
    model = small()
    optimizer = SGD(model, lr=0.1)
    with GradientFlow(model, optimizer) as flow:
        train(model, optimizer, 2)
    assert flow.recording.bins.shape[0] == len(flow.recording.snapshots) == 0


def test_at_most_64_are_kept_and_the_first_is_one_of_them():
    snapshots = Snapshots(1, True)
    for i in range(1000):
        snapshots.begin(i, last=i == 999)
        snapshots.see("weight_gradient", 0, device(np.full(3, 1.0 + i)))
        snapshots.end(i)
    steps = snapshots.arrays()["snapshots"]
    assert steps[0] == 0
    assert steps[-1] == 999
    assert len(steps) <= MOST
    assert set(np.diff(steps[:-1])) == {16}


def test_the_first_time_in_a_step_counts():
    snapshots = Snapshots(1, True)
    snapshots.begin(0, last=False)
    for value in (1.0, 1000.0):
        snapshots.see("output_gradient", 0, device(np.array([value])))
    snapshots.end(0)
    assert snapshots.arrays()["tops"][0, QUANTITIES.index("output_gradient"), 0] == 1


def test_training_is_bit_equal_with_distributions_and_distances():
    watched, alone = small(), small()
    distributions(watched, steps=5, distances=True)
    train(alone, SGD(alone, lr=0.1), 5)
    for (name, a), (_, b) in zip(watched.named_parameters(), alone.named_parameters(), strict=True):
        np.testing.assert_array_equal(host(a), host(b), err_msg=name)
    assert backend.is_array(alone.fc1.weight.data)
