import json

import numpy as np
import pytest

from minidl import plot
from minidl.optim import LayerSpecific
from tests.observe.loops import recorded
from tests.plot.recordings import falling, flow


def test_the_claim_is_how_much_faster_one_layer_learns_than_another():
    rate = np.tile(falling(-0.5, top=0.1), (5, 1))  # fc1 the fastest
    rate[-1] = [0.4, 0.1, 0.1, 0.1]
    figure = plot.effective_rates(flow(rate=rate))
    assert figure.caption == (
        "At step 0 fc1 learns 32 times as fast as fc4; at step 4 the largest rate is 4 times the smallest."
    )
    assert figure.numbers["networks"][""]["spread"] == pytest.approx([10**1.5, 4])
    json.dumps(figure.numbers, allow_nan=False)


def test_one_rate_for_all_is_said_to_be_that():
    assert plot.effective_rates(flow(rate=0.5)).caption == (
        "Every layer has the same rate: 0.5 at step 0, 0.5 at step 4."
    )
    assert plot.effective_rates(flow(steps=1, rate=0.5)).caption == "Every layer has the same rate: 0.5 at step 0."


def test_methods_are_compared_with_what_they_reported():
    runs = {"uniform": recorded(), "layer-specific": recorded(layer_rate=LayerSpecific())}
    figure = plot.effective_rates(runs)
    for label, recording in runs.items():
        np.testing.assert_allclose(figure.numbers["networks"][label]["rate"], recording.rate)
    assert figure.caption.startswith("uniform: every layer has the same rate: 0.1 at step 0")
    assert "layer-specific: at step 0 fc1 learns" in figure.caption


def test_rates_of_0_and_none_at_all():
    assert (
        plot.effective_rates(flow(rate=0.0)).caption
        == "No layer has a finite rate other than 0 at step 0 or at step 4."
    )
    with pytest.raises(ValueError, match="'a' holds no rates: record with the optimizer"):
        plot.effective_rates({"a": flow(rate=np.nan)})
