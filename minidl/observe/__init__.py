"""Recorders: they watch a training loop and never compute into it. What they saw is plain arrays with names."""

from minidl.examples.reading import add_examples
from minidl.observe.gradient_flow import GradientFlow
from minidl.observe.race import RaceRecording
from minidl.observe.recording import FlowRecording

__all__ = ["FlowRecording", "GradientFlow", "RaceRecording"]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "observe")
