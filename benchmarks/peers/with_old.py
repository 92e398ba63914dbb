"""The workloads in an older build of minidl: those of `with_minidl`, and the Transformer's block of what it has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import minidl as md
import minidl.functional as F
from benchmarks.peers import with_minidl
from benchmarks.workloads import EPS, HEADS, WIDTH, Workload

if Path(md.__file__).parents[1] != Path(__file__).parents[2]:
    raise ImportError(f"expected the minidl beside these benchmarks; got {md.__file__}")


def _block(_: Workload, x: Any, *parameters: Any) -> Any:
    w_in, b_in, w_out, b_out, w1, b1, w2, b2, g1, s1, g2, s2 = parameters
    projected = F.linear(x, w_in, b_in).reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS)
    q, k, v = (projected[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    scores = F.matmul(q / math.sqrt(WIDTH // HEADS), k.transpose(0, 1, 3, 2))
    found = F.matmul(F.softmax(scores, axis=-1), v).transpose(0, 2, 1, 3).reshape(x.shape)
    x = F.layer_norm(x + F.linear(found, w_out, b_out), WIDTH, g1, s1, EPS)
    return F.layer_norm(x + F.linear(F.relu(F.linear(x, w1, b1)), w2, b2), WIDTH, g2, s2, EPS)


STEPS = with_minidl.STEPS if hasattr(md.nn, "TransformerEncoderLayer") else {
    **with_minidl.STEPS, "Att": with_minidl.layer(_block),
}  # fmt: skip
