"""Versions for the CPU: blocks that fit the processor's cache, threads that share them, work in place.

`threads.py` cuts work into blocks and shares them out; `blas.py` and `memory.py` change settings of the libraries below
NumPy (`../process.py` says which, and has the switch); `rows.py` has sums of rows of numbers. Each other file holds the
versions of one file of `functional/` or `optim/`, under its name; but `winograd.py`, which has the convolutions that
are faster with fewer products, `standardize.py`, layer_norm and group_norm, and `softmax.py`, softmax and cross entropy
of many numbers.
"""
