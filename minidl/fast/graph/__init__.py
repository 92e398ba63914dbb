"""Training steps captured as CUDA graphs: `md.GraphedStep` asks the GPU for a whole step with one call.

`step.py` is what a user calls, `capture.py` makes and launches the graph, `unchanged.py` says what a step must
be like.
"""
