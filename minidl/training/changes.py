"""What a run takes from a checkpoint whose parts were others: `allow_changes=True`.

Settings are those of here. What was learned and counted is that of the checkpoint: weights, the optimizer's state, how
many steps and epochs were made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.data import Loader
from minidl.optim import Optimizer
from minidl.optim.schedule import Schedule
from minidl.optim.trained import slot_dtype

State = dict[str, Any]


def optimizer_state(saved: State, optimizer: Optimizer, new_rate: bool, same_method: bool) -> State:
    """The optimizer's state, with the rate of here if another one was asked for.

    What the same method remembers because of other settings, such as a velocity where there was no momentum, begins at
    0; what it no longer uses is left out. (Of another method nothing can be taken: the optimizer refuses its state.)
    """
    own = optimizer.state_dict()
    kept = {"initial_lr": own["initial_lr"]} if "initial_lr" in own else {}
    state = saved | kept | {"lr": own["lr"]} if new_rate else kept | saved
    if not same_method:
        return state
    mine = {name for layer in optimizer.layers for name in (layer.name, *(own for own, _ in layer.parameters))}
    slots = _slots(optimizer)

    def is_used(name: str) -> bool:
        owner, _, slot = name.rpartition("/")
        return owner not in mine or slot == "steps" or name in slots  # what is of others is then refused by name

    return slots | {name: value for name, value in state.items() if is_used(name)}


def _slots(optimizer: Optimizer) -> State:
    """The arrays that a method keeps with its settings of here, all 0."""
    found: State = {}
    for layer in optimizer.layers:
        for name, p in layer.parameters:
            found |= {f"{name}/{slot}": np.zeros(p.shape, slot_dtype(p.dtype)) for slot in optimizer.slots}
        found |= {f"{layer.name}/{slot}": np.zeros(()) for slot in optimizer.layer_slots}
    return found


def schedule_state(saved: State, schedule: Schedule, new_rate: bool) -> State:
    """The number of steps, and the first rate unless another one was asked for; everything else is that of here."""
    own = schedule.state_dict()
    return _at(own, own["base_lr"] if new_rate else saved["base_lr"]) | {"step_count": saved["step_count"]}


def _at(own: State, base_lr: Any) -> State:
    """A schedule's state, and that of those inside it, with another first rate."""
    inner = {"schedulers": [_at(state, base_lr) for state in own["schedulers"]]} if "schedulers" in own else {}
    return {**own, "base_lr": base_lr, **inner}


def loader_state(saved: State, loader: Loader) -> State:
    """The epoch and the seed of its order; within an epoch as many examples are behind as were, in whole batches."""
    own = loader.state_dict()
    saved = {"next_epoch": 0, **saved}
    kept = {key: saved[key] for key in ("epoch", "seed", "next_epoch")}
    same = all(saved[key] == own[key] for key in ("examples", "batch_size", "drop_last"))
    return {**own, **kept, "position": saved["position"] if same else _position(saved, loader)}


def _position(saved: State, loader: Loader) -> int:
    whole, rest = divmod(saved["examples"], saved["batch_size"])
    if saved["position"] >= whole + (rest > 0 and not saved["drop_last"]):
        return len(loader)  # the epoch was handed out
    return min(saved["position"] * saved["batch_size"] // loader.batch_size, len(loader) - 1)
