"""assembled: the recording that the rows, the snapshots and what was not seen make together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.observe.layers import Layer
from minidl.observe.notes import Unseen, notes_of
from minidl.observe.recording import FlowRecording
from minidl.observe.rows import Rows
from minidl.observe.snapshots import Snapshots


def assembled(
    layers: Sequence[Layer],
    outputs: Sequence[str],
    rows: Rows,
    snapshots: Snapshots,
    unseen: Unseen,
    has_optimizer: bool,
    finding: str | None,
) -> FlowRecording:
    """The recording so far; waits for the device.

    Args:
        layers, outputs: what was recorded, and which module's or function's result each layer's h is.
        rows, snapshots: the numbers.
        unseen: what is not among them.
        has_optimizer: whether gradients were read at its step.
        finding: the words for a forgotten zero_grad, or None.
    """
    values, loss = rows.fields(len(layers))
    about = rows.about()
    names = tuple(layer.name for layer in layers)
    steps = np.array([one.step for one in about], dtype=np.int64)
    most = max((one.backwards for one in about), default=0)
    notes = notes_of(values, steps, has_optimizer, most, unseen, names, rows.stride)
    dtypes = [p.dtype for layer in layers for p in layer.parameters]
    return FlowRecording(
        layers=names,
        outputs=tuple(outputs),
        steps=steps,
        loss=loss,
        kinds=tuple(layer.kind for layer in layers),
        dtype=str(min(dtypes, key=lambda dtype: dtype.itemsize)),
        notes=(*notes, *([] if finding is None else [finding])),
        **values,
        **snapshots.arrays(),
    )
