"""Versions for the CPU: blocks that fit the processor's cache, threads that share them, work in place.

`threads.py` cuts work into blocks and shares them out; `blas.py` and `memory.py` change settings of the libraries below
NumPy (`../process.py` says which, and has the switch). Each other file holds the versions of one file of `functional/`
or `optim/`, under its name; but `winograd.py`, which has the convolutions that are faster with fewer products.
"""
