import numpy as np

from minidl.observe.notes import Unseen, notes_of
from minidl.observe.recording import PER_LAYER


def notes(steps=3, has_optimizer=True, backwards=1, unseen=None, stride=1, **fields):
    values = {name: np.ones((steps, 2)) for name in PER_LAYER} | fields
    unseen = Unseen(steps=steps) if unseen is None else unseen
    return notes_of(values, np.arange(steps), has_optimizer, backwards, unseen, ("a", "b"), stride)


def test_where_gradients_were_read_is_always_said():
    assert notes() == ["gradients were read when step() began; nothing changed them after backward()"]
    assert notes(has_optimizer=False)[0].startswith(
        "no optimizer was given: gradients were read right after backward()"
    )
    halved = np.full((3, 2), 0.5)
    assert "in 3 of 3 recorded steps (at the least to 0.5 times their norm)" in notes(layer_gradient_norm=halved)[0]


def test_what_was_not_seen_is_said_by_layer_and_reason():
    missing = np.ones((3, 2))
    missing[:, 1] = np.nan
    assert (
        notes(activation_rms=missing)[1] == "not seen: activation and dL/dh of layer b (no call of it led to the loss)"
    )
    no_tensor = Unseen(steps=3, outputs={1})
    assert notes(activation_rms=missing, unseen=no_tensor)[1].endswith("of layer b (it gave no Tensor)")
    assert notes(output_gradient_rms=missing)[1] == "not seen: dL/dh of layer b (no gradient came back)"
    frozen = notes(output_gradient_rms=missing, weight_gradient_rms=missing)
    assert len(frozen) == 1


def test_accumulation_evaluation_thinning_and_a_missing_last_step_are_said():
    found = notes(backwards=2, unseen=Unseen(steps=5, evaluations=7, left_out=1), stride=4)
    assert "accumulated over up to 2 backward passes a step" in found[1]
    assert "in 1 steps the model was also called in evaluation mode" in found[2]
    assert "7 forward passes without gradients" in found[3]
    assert "one in 4 of the recorded steps is kept" in found[4]
    assert "the last step, 4, was not recorded" in found[5]
