"""PyTorch where it is installed; where it is not, a stand-in with which tests that compare with it skip themselves.

    from tests.pytorch import TF, torch         # instead of `import torch`

    def test_tanh():
        assert_close(F.tanh(x), torch.tanh(torch.tensor(values)))

PyTorch is a large download, so `pip install '.[test]'` does without (`'.[test-torch]'` brings it). Then every name of
it is there, as an argument to pass on for example, but the first call of one skips the test. `tests/factory.py` passes
references of PyTorch's on and calls none: without it, it compares with finite differences alone.
"""

from __future__ import annotations

from typing import Any

import pytest


class _Absent:
    """A name of PyTorch's."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> _Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self._name}.{name}")

    def __call__(self, *args: Any, **options: Any) -> Any:
        pytest.skip(f"compares with PyTorch, which is not installed ({self._name})", allow_module_level=True)

    @property
    def __signature__(self) -> Any:
        return self()  # who looks at its arguments compares them

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return ()  # `class Net(torch.nn.Module)` can be defined

    def __instancecheck__(self, value: object) -> bool:
        return False

    def __repr__(self) -> str:
        return self._name


torch: Any
TF: Any
safetensors_torch: Any
try:
    import safetensors.torch as safetensors_torch
    import torch
    import torch.nn.functional as TF
except ModuleNotFoundError:
    torch, TF, safetensors_torch = _Absent("torch"), _Absent("torch.nn.functional"), _Absent("safetensors.torch")

installed = not isinstance(torch, _Absent)
if installed:
    torch.set_num_threads(1)  # on small arrays its threads only get in each other's way
