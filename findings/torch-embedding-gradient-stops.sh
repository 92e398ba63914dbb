#!/usr/bin/env bash
# PyTorch 2.13.0, CPU: the float32 gradient of an embedding's row stops growing at 2^24 = 16,777,216 hits.
#
# One would guess that a row that is looked up 2^25 times, in a loss that sums what was looked up, gets the gradient
# 2^25, or that much to within a few units in the last place: sum() in float32 adds in pairs and gives just that. But
# the gradients of Embedding, of w[indices], index_select and gather add one hit after another into a float32; once the
# sum is 2^24, adding 1 no longer changes it. No warning, and the same with one thread and with two. expand(), whose
# gradient is a sum(), is exact. So is float64. What one meets in practice comes sooner: with gradients of 1/3 instead
# of 1 (a mean over a batch has no tidy number either) the same sum is already 25% short at 2^25 hits and 4% short at
# 2^24: the gradient of a padding token, of the most frequent word, of a one-row table over a long corpus.
#
# Seen with Python 3.11.7:
#   hits 33,554,432  Embedding 16,777,216  w[i] 16,777,216  index_select 16,777,216  gather 16,777,216
#   hits 33,554,432  expand 33,554,432  Embedding in float64 33,554,432
#   gradients of 1/3: 0.750 of the sum at 2^25 hits, 0.961 at 2^24
#
# Usage: bash findings/torch-embedding-gradient-stops.sh      (needs about 2 GB of memory; fails if this has changed)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet 'torch==2.13.0' 'numpy==2.4.*'
"$folder/env/bin/python" - <<'PYTHON'
import torch

HITS = 2**25
first = torch.zeros(HITS, dtype=torch.long)


def gradient(look_up, dtype=torch.float32):
    """dL/dw[0] of L = the sum of row 0, looked up HITS times."""
    w = torch.zeros(3, 1, dtype=dtype, requires_grad=True)
    look_up(w).sum().backward()
    return int(w.grad[0].item())


in_turn = {
    "Embedding": gradient(lambda w: torch.nn.functional.embedding(first, w)),
    "w[i]": gradient(lambda w: w[first]),
    "index_select": gradient(lambda w: w.index_select(0, first)),
    "gather": gradient(lambda w: w.gather(0, first[:, None])),
}
print(f"hits {HITS:,} ", "  ".join(f"{name} {value:,}" for name, value in in_turn.items()))
assert set(in_turn.values()) == {2**24}, in_turn

expanded = gradient(lambda w: w[:1].expand(HITS, 1))
double = gradient(lambda w: torch.nn.functional.embedding(first, w), torch.float64)
print(f"hits {HITS:,}  expand {expanded:,}  Embedding in float64 {double:,}")
assert expanded == double == HITS

short = []
for hits in (2**25, 2**24):
    table = torch.nn.Embedding(3, 1)
    table(first[:hits]).backward(torch.full((hits, 1), 1 / 3))
    short.append(table.weight.grad[0].item() / (hits / 3))
print(f"gradients of 1/3: {short[0]:.3f} of the sum at 2^25 hits, {short[1]:.3f} at 2^24")
assert abs(short[0] - 0.750) < 0.002, short
assert abs(short[1] - 0.961) < 0.002, short
PYTHON
