"""How fast minidl is, beside PyTorch, NumPy by hand, HIPS autograd and MyGrad.

    python -m benchmarks                 every workload, a table in markdown
    python -m benchmarks.scaling         step time and memory against batch, width, depth and image size, as a figure

Read `workloads.py` for what is computed, `peers/` for how each library computes it, `race.py` for how it is timed, and
`README.md` for what came out. Not part of the installed package: run from the repository's root.
"""
