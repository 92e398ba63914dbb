"""The engine: operations that remember how values were made, and the walk back that turns this into gradients."""

from typing import Any

from minidl.habits.answers import missing_name


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)
