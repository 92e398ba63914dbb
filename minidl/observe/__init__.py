"""Recorders: they watch a training loop and never compute into it. What they saw is plain arrays with names."""

from minidl.observe.depth_sweep import DepthRecording, depth_sweep
from minidl.observe.gradient_flow import GradientFlow
from minidl.observe.graph_recording import Graph, GraphRecording
from minidl.observe.jacobian_spectrum import JacobianRecording, jacobian_spectrum
from minidl.observe.race import RaceRecording
from minidl.observe.recording import FlowRecording
from minidl.observe.through_time import TimeRecording, through_time
from minidl.observe.vanishing_theory import TheoryRecording, vanishing_theory

__all__ = [
    "DepthRecording",
    "FlowRecording",
    "GradientFlow",
    "Graph",
    "GraphRecording",
    "JacobianRecording",
    "RaceRecording",
    "TheoryRecording",
    "TimeRecording",
    "depth_sweep",
    "jacobian_spectrum",
    "through_time",
    "vanishing_theory",
]
