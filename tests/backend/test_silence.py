"""minidl/backend/silence.py."""

from __future__ import annotations

import numpy as np
import pytest

from minidl import backend


def test_every_op_is_silent_and_numpy_is_loud_again_afterwards() -> None:
    loud = backend.ERROR_STATE.set(backend.SILENT)
    np.ones(1) / np.zeros(1)  # a warning would fail the test
    backend.ERROR_STATE.reset(loud)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.ones(1) / np.zeros(1)
