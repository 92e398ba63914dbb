"""minidl/training/blame.py: what a loss that is no number has to do with the steps before it."""

import re

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.data import Dataset, Loader
from minidl.training import fit

X = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
LABELS = np.arange(24) % 3


def trained(model, optimizer, inputs=X, loss=F.cross_entropy, **options):
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="loss became") as caught:
        fit(model, optimizer, Loader(Dataset(inputs, LABELS), 4, shuffle=False), loss, epochs=3, **options)
    return str(caught.value)


def vanishing():
    """A network whose first layer gets a gradient of about 1e-13."""
    md.seed(0)
    model = nn.Sequential([("first", nn.Linear(4, 4)), ("last", nn.Linear(4, 3))])
    model.first.weight.register_hook(lambda grad: grad * 1e-12)
    model.first.bias.register_hook(lambda grad: grad * 1e-12)
    return model


@pytest.mark.parametrize("numpy", [True, False], ids=["at hand", "on a GPU"])
def test_a_vanishing_layers_multiplier_is_named_not_the_learning_rate(numpy, cupy):
    def rate(view):
        return 1 / (view.gradient_norm**4 + 1e-50)

    with md.using("numpy" if numpy else "cupy"):
        model = vanishing()
        said = trained(model, optim.SGD(model, lr=0.1, layer_rate=rate), loss=lambda y, t: F.mean(y * y))
    if numpy:
        assert re.search(r"; layer 'first' moved at rate \d.*e\+4\d in step 1, lr times its multiplier \d.*e\+", said)
        assert "bound the multiplier" in said
        assert "try a smaller rate" not in said
    else:  # nobody waits for it there
        assert "try a smaller rate, or look at optimizer.layer_report() after a step" in said


def test_a_rate_that_is_too_large_with_ordinary_multipliers_is_said_to_be():
    md.seed(0)
    model = nn.Sequential([("first", nn.Linear(4, 4)), ("last", nn.Linear(4, 3))])
    with md.using("numpy"):
        said = trained(
            model.to("numpy"),
            optim.SGD(model, lr=1e30, layer_rate=optim.LayerSpecific()),
            loss=lambda y, t: F.mean(y * y),
        )
    assert "with lr=1e+30; try a smaller rate (layer '" in said


def test_before_the_first_update_no_rate_is_to_blame():
    inputs = X.copy()
    inputs[0, 0] = np.nan
    model = nn.Linear(4, 3)
    said = trained(model, optim.SGD(model, lr=0.1), inputs)
    assert "loss became nan at step 1 with lr=0.1; no step was made before: look for NaN" in said


def test_without_a_layer_rate_the_rate_is_to_blame():
    model = nn.Linear(4, 3)
    said = trained(model, optim.SGD(model, lr=1e30), loss=lambda y, t: F.mean(y * y))
    assert "; try a smaller rate. `with md.detect_anomaly():`" in said


# ---- what is not the rate's fault


def trained_in_epochs(inputs, labels=LABELS, loss=F.cross_entropy, **options):
    md.seed(0)
    model = nn.Linear(4, 3)
    loader = Loader(Dataset(inputs, labels), 4, seed=0)
    with pytest.raises(FloatingPointError, match="loss became") as caught:
        fit(model, optim.SGD(model, lr=0.1), loader, loss, epochs=3, **options)
    return str(caught.value)


@pytest.mark.parametrize("example", [0, 5, 23])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_in_a_later_batch_is_named_with_its_example(example, value):
    inputs = X.copy()
    inputs[example, 2] = value
    said = trained_in_epochs(inputs)
    step = "this step" if np.isnan(value) else "the step before"  # infinite scores have a finite loss
    assert f"the inputs of example {example} of the data set, in the batch of {step}, hold NaN or infinity" in said
    assert "try a smaller rate" not in said


def test_nan_in_the_labels_is_named_too():
    targets = np.zeros((24, 3), np.float32)
    targets[[2, 3, 7], 1] = np.nan
    said = trained_in_epochs(X, targets, F.mse_loss)
    assert re.search(
        r"the labels of example [237] of the data set( and of \d more)?, in the batch of this step, hold NaN", said
    )


def test_in_a_resumed_run_the_example_is_found_as_well(tmp_path):
    inputs, path = X.copy(), tmp_path / "c.npz"
    md.seed(0)
    model = nn.Linear(4, 3)
    optimizer, loader = optim.SGD(model, lr=0.1), Loader(Dataset(inputs, LABELS), 4, seed=0)
    fit(model, optimizer, loader, steps=8, checkpoint=path)
    inputs[loader.order(1)[3 * 4]] = np.nan  # in the fourth batch of the second epoch, step 10
    loader = Loader(Dataset(inputs, LABELS), 4, seed=0)
    with pytest.raises(FloatingPointError, match=r"at step 10 .*the inputs of example \d+ of the data set") as caught:
        fit(model, optimizer, loader, epochs=3, checkpoint=path, resume=True, allow_changes=True)
    assert "try a smaller rate" not in str(caught.value)


def test_a_weight_decay_that_makes_the_weights_grow_is_named():
    model = nn.Linear(4, 3)
    said = trained(model, optim.SGD(model, lr=0.1, weight_decay=1e20))
    assert "decay alone lets parameter 'weight' grow without bound: its rate 0.1 times its decay 1e+20 " in said
    assert "is above 2. Lower the decay" in said


def test_a_parameters_own_rate_is_named():
    model = nn.Linear(4, 3)
    optimizer = optim.SGD(model, lr=0.1).scale("bias", lr=1e30)
    said = trained(model, optimizer, loss=lambda y, t: F.mean(y * y))
    assert "parameter 'bias' moves at rate 1e+29, lr times the 1e+30 that optimizer.scale() gave it: lower that" in said
