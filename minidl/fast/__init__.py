"""ONLY FOR SPEED: faster versions of ops, each a subclass that says for which operands it computes instead of them.

`versions.py` says how one is written. All that exist are imported here, which registers them; `md.fast.table()` lists
them, and `with md.plain():` turns them off.
"""

# ruff: noqa: F401

import minidl.fast.call
import minidl.fast.cpu.classification
import minidl.fast.cpu.conv
import minidl.fast.cpu.exponential
import minidl.fast.cpu.indexing
import minidl.fast.cpu.normalization
import minidl.fast.cpu.norms
import minidl.fast.cpu.pooling
import minidl.fast.cpu.probabilities
import minidl.fast.cpu.products
import minidl.fast.cpu.selection
import minidl.fast.cpu.softmax
import minidl.fast.cpu.standardize
import minidl.fast.cpu.sums
import minidl.fast.cpu.through_time
import minidl.fast.cpu.update
import minidl.fast.cpu.winograd
import minidl.fast.gpu.activation
import minidl.fast.gpu.conv
import minidl.fast.gpu.likelihood
import minidl.fast.gpu.normalization
import minidl.fast.gpu.norms
import minidl.fast.gpu.pooling
import minidl.fast.gpu.probabilities
import minidl.fast.gpu.products
import minidl.fast.gpu.regularization
import minidl.fast.gpu.response
import minidl.fast.gpu.sums
import minidl.fast.gpu.through_time
import minidl.fast.gpu.update
import minidl.fast.graph.shape
import minidl.fast.response
import minidl.fast.through_time
import minidl.fast.walk
from minidl.examples.reading import add_examples
from minidl.fast.process import tune_process
from minidl.fast.versions import table, use

__all__ = ["table", "tune_process", "use"]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "fast")
