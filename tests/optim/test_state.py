"""The state is saved by name and read back bit for bit; what does not fit is refused and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.errors import DTypeError, ShapeError
from minidl.optim import SGD, AdaGrad, LayerSpecific, StepLR
from tests.arrays import host, tensor
from tests.optim.test_optimizer import every_method, network, train, weights_of
from tests.optim.trajectories import Pair, give


@every_method
def test_resumes_bit_for_bit(method: Any) -> None:
    straight = network()
    optimizer = method(straight, layer_rate=LayerSpecific())
    train(straight, optimizer, range(6))
    optimizer.lr = 0.05
    saved, weights = optimizer.state_dict(), weights_of(straight)
    train(straight, optimizer, range(6, 12))

    resumed = network()
    for p, value in zip(resumed.parameters(), weights, strict=True):
        p.data = tensor(value)._data
    other = method(resumed, layer_rate=LayerSpecific())
    other.load_state_dict(saved)
    assert other.step_count == 6
    assert other.lr == 0.05
    train(resumed, other, range(6, 12))
    for a, b in zip(weights_of(straight), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_rate_that_schedules_start_from_is_part_of_the_state(tmp_path: Any) -> None:
    optimizer = SGD(network(), lr=0.4)
    assert "initial_lr" not in optimizer.state_dict()
    schedule = StepLR(optimizer, 1, 0.5)
    schedule.step()
    assert optimizer.state_dict()["initial_lr"] == 0.4
    md.save(optimizer.state_dict(), tmp_path / "optimizer.npz")
    for state in (optimizer.state_dict(), md.load(tmp_path / "optimizer.npz")):
        other = SGD(network(), lr=3.0)
        other.load_state_dict(state)
        assert (other.lr, other.initial_lr) == (0.2, 0.4)
        assert StepLR(other, 10).base_lr == 0.4
    other.load_state_dict(SGD(network(), lr=0.1).state_dict())
    assert other.initial_lr is None


def test_what_a_setting_that_was_changed_no_longer_uses_is_not_saved() -> None:
    model = network()
    optimizer = SGD(model, lr=0.1, momentum=0.9)
    train(model, optimizer, range(2))
    optimizer.momentum = 0
    SGD(network(), lr=0.1).load_state_dict(optimizer.state_dict())


@every_method
def test_the_state_is_numbers_and_arrays_by_name_and_a_copy(method: Any) -> None:
    model = network()
    optimizer = method(model)
    assert set(optimizer.state_dict()) == {"lr", "step_count", *(f"{n}/steps" for n, _ in model.named_parameters())}
    train(model, optimizer, range(2))
    saved = optimizer.state_dict()
    assert all(type(value) in (int, float, np.ndarray) for value in saved.values())
    assert saved["fc2.bias/steps"] == 2
    kept = {key: np.array(value) for key, value in saved.items()}
    optimizer.load_state_dict({key: np.asarray(value) for key, value in saved.items()})  # as from a file
    train(model, optimizer, range(2, 4))
    for key, value in saved.items():
        np.testing.assert_array_equal(value, kept[key])


def test_a_state_that_does_not_fit_is_refused_by_name_and_changes_nothing() -> None:
    model = network()
    optimizer = SGD(model, lr=0.1, momentum=0.9)
    train(model, optimizer, range(2))
    saved, before = optimizer.state_dict(), host(optimizer.state["fc1.bias"]["velocity"])

    def refused(state: dict[str, Any], error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            optimizer.load_state_dict(state)
        assert optimizer.lr == 0.1
        np.testing.assert_array_equal(host(optimizer.state["fc1.bias"]["velocity"]), before)

    refused({**SGD(network(), lr=0.1).state_dict(), "fc1.bias/steps": 1}, ValueError, "missing 'fc1.bias/velocity'")
    refused({**saved, "fc9.weight/steps": 1}, ValueError, "not known here 'fc9.weight/steps'")
    without = {key: value for key, value in saved.items() if not key.startswith("fc2")}
    refused(without, ValueError, r"missing 'fc2.bias/steps', 'fc2.weight/steps'; not known here nothing")
    refused({}, ValueError, "and 1 more")
    refused({**saved, "lr": 9.0, "fc2.bias/velocity": np.zeros(4, np.float32)}, ShapeError, r"shape \(4,\); expected")
    refused({**saved, "lr": 9.0, "fc2.bias/velocity": np.zeros(3)}, DTypeError, "float64; expected float32")
    refused({**saved, "lr": -1.0}, ValueError, "SGD: lr: expected")
    refused({**saved, "lr": "0.1"}, ValueError, "SGD: lr: expected a number; got '0.1'")
    refused({**saved, "initial_lr": -1.0}, ValueError, "SGD: initial_lr: expected")
    refused({**saved, "step_count": 2.5}, ValueError, "the saved 'step_count': expected a whole number of at least 0")
    refused({**saved, "fc1.bias/steps": -1}, ValueError, "the saved 'fc1.bias/steps': expected a whole number")
    for count in (-1, 1.5, "1", True, np.array(-1), np.array([1, 2])):
        refused(
            {**saved, "lr": 9.0, "step_count": count}, ValueError, "the saved 'step_count': expected a whole number"
        )
        refused(
            {**saved, "lr": 9.0, "fc1.bias/steps": count}, ValueError, "the saved 'fc1.bias/steps': expected a whole"
        )
    with pytest.raises(ValueError, match=r"not known here 'fc1.bias/velocity'"):
        SGD(model).load_state_dict(saved)
    with pytest.raises(ValueError, match="missing 'fc1/squared_norms'"):
        AdaGrad(model, denominator="layer").load_state_dict(
            {"lr": 1.0, "step_count": 1, **{f"{name}/steps": 1 for name, _ in model.named_parameters()}}
        )


def test_a_state_of_float16_parameters_is_float32_and_one_of_older_files_is_converted() -> None:
    model, other = Pair("float16"), Pair("float16")
    optimizers = [SGD(m, lr=0.1, momentum=0.9) for m in (model, other)]
    for p in model.parameters():
        give(p, np.full(p.shape, 0.3))
    optimizers[0].step()
    saved = optimizers[0].state_dict()
    assert saved["first.weight/velocity"].dtype == np.float32
    old = {key: value.astype(np.float16) if isinstance(value, np.ndarray) else value for key, value in saved.items()}
    for state in (saved, old):
        optimizers[1].load_state_dict(state)
        found = optimizers[1].state["first.weight"]["velocity"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(host(found), saved["first.weight/velocity"], rtol=1e-3)
    for dtype, wrong in (("float16", np.float64), ("float32", np.float16)):
        bad = {key: value.astype(wrong) if isinstance(value, np.ndarray) else value for key, value in saved.items()}
        with pytest.raises(DTypeError, match=f"expected float32 for a parameter of {dtype}"):
            SGD(Pair(dtype), lr=0.1, momentum=0.9).load_state_dict(bad)


@every_method
def test_a_state_of_arrays_in_another_order_of_bytes_is_taken(method: Any) -> None:
    model = network()
    optimizer = method(model)
    train(model, optimizer, range(3))
    saved = optimizer.state_dict()
    swapped = {
        key: value.astype(value.dtype.newbyteorder(">")) if isinstance(value, np.ndarray) else np.array(value, ">f8")
        for key, value in saved.items()
        if not key.endswith("step_count") and not key.endswith("/steps")
    } | {key: value for key, value in saved.items() if key.endswith(("step_count", "/steps"))}
    other = method(network())
    other.load_state_dict(swapped)
    np.testing.assert_equal(other.state_dict(), saved)
    arrays = [value for state in other.state.values() for value in state.values() if hasattr(value, "dtype")]
    assert all(array.dtype.isnative for array in arrays)
