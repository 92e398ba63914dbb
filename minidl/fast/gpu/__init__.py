"""Versions for a GPU: one launch of a kernel where the plain lines would take one for every operator.

`kernels/` has the device code, each file `.cu` beside the `.py` that launches it. Each other file here holds the
versions of one file of `functional/`, `nn/` or `optim/`, under its name.
"""
