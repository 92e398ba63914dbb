"""minidl: a deep-learning framework to read, to step through, and to plot gradients with."""

from minidl import backend, functional
from minidl.autograd import Function
from minidl.backend import seed, use, using
from minidl.errors import DeviceError, DTypeError, GraphError, ShapeError
from minidl.gradients import grad, gradcheck, gradgradcheck
from minidl.modes import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from minidl.tensor import Tensor

from minidl.version import __version__
