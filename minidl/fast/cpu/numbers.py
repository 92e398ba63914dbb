"""Numbers as arrays without axes: what NumPy has to ask of a number of Python's takes it as long as adding 4,000."""

from __future__ import annotations

import numpy as np

DTYPES = tuple(np.dtype(dtype) for dtype in (np.float32, np.float64))
ZERO = {dtype: np.zeros((), dtype) for dtype in DTYPES}
ONE = {dtype: np.ones((), dtype) for dtype in DTYPES}
for _array in (*ZERO.values(), *ONE.values()):
    _array.flags.writeable = False
