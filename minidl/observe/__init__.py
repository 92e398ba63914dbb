"""Recorders: they watch a training loop and never compute into it. What they saw is plain arrays with names."""

from minidl.observe.gradient_flow import GradientFlow
from minidl.observe.graph_recording import Graph, GraphRecording
from minidl.observe.race import RaceRecording
from minidl.observe.reading import load
from minidl.observe.recording import FlowRecording

__all__ = [
    "FlowRecording",
    "GradientFlow",
    "Graph",
    "GraphRecording",
    "RaceRecording",
    "load",
]
