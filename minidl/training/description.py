"""What a training is made of, in words: compared when a run is resumed, so that it goes on as what it was.

`kinds` names the classes, `describe` tells what they were made with: a layer's options, a schedule's numbers, the code
of a function. How an object is put into words is in objects.py. The latter is as much as can be seen from outside: what
a function reads from a file, a name that it looks up by a text, or code that it imports when it is called, is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minidl.data import Dataset, ImageFolder, Loader, Mapped, Source
from minidl.data.dataset import fingerprint
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedule import Schedule
from minidl.tensors.tensor import Tensor
from minidl.training.objects import Certainty, Fact, Told
from minidl.training.texts import is_minidls, name_of, plain_text

_OF_A_MODULE = ("training",)
_OF_A_SCHEDULE = ("optimizer", "base_lr", "step_count", "schedulers", "best")
_OF_A_SOURCE = ("labels", "classes")
_OF_AN_OPTIMIZER = ("layers", "layer_rate", "step_count", "state", "scales", "initial_lr", "layer_state", "lr")


def kinds(
    model: Module, optimizer: Optimizer | None, loader: Loader | None, schedule: Schedule | None
) -> dict[str, str]:
    """The classes of everything that is saved, and the optimizer's settings: what it is, by its place."""
    found = {f"module {name}".rstrip(): type(module).__name__ for name, module in model.named_modules()}
    for name, part in (("optimizer", optimizer), ("schedule", schedule), ("loader", loader)):
        if part is not None:
            found[name] = type(part).__name__
    if optimizer is not None:
        found["layer rate"] = type(optimizer.layer_rate).__name__
        written = () if schedule is None else schedule.writes
        of = {name: getattr(optimizer, name) for name in optimizer.settings if name not in written}
        of |= {"lr": asked_rate(optimizer)}
        found |= {f"{name} of the optimizer": plain_text(value) or name_of(value) for name, value in of.items()}
        scaled = {name: scale for name, scale in optimizer.scales.items() if scale != (1.0, 1.0)}
        found |= {f"scale of {name}": f"lr={scale.lr}, decay={scale.decay}" for name, scale in scaled.items()}
    return found


def describe(
    model: Module,
    optimizer: Optimizer | None = None,
    loader: Loader | None = None,
    schedule: Schedule | None = None,
    loss: Callable[..., Any] | None = None,
    validation: Source | str | None = None,
) -> dict[str, Fact]:
    """What everything was made with, by its place; also which parameters are frozen.

    Args:
        validation: the validation data, or the word "none".
    """
    dataset = None if loader is None else loader.dataset
    parts = (optimizer, loader, schedule, *getattr(schedule, "schedulers", ()), dataset)
    told = Told(elsewhere=[*model.modules(), *(part for part in parts if part is not None)])
    _tell_model(told, model)
    if optimizer is not None:
        told.tell_options("optimizer", optimizer, left_out=(*_OF_AN_OPTIMIZER, *optimizer.settings))
        told.tell("rule of the layer rate", optimizer.layer_rate)
    if schedule is not None:
        _tell_schedule(told, "schedule", schedule)
    if loader is not None:
        told.tell("transform of the loader", loader.transform)
        _tell_source(told, "data set", loader.dataset)
    _tell_hooks(told, model, optimizer)
    if isinstance(validation, str):
        told.put("validation data", validation)
    elif validation is not None:
        told.put("content of the validation data", f"{len(validation)} examples ({fingerprint(validation)})")
        _tell_source(told, "validation data", validation)
    if loss is not None:
        told.tell("loss", loss)
    return told.entries


def settings(*parts: Any, begun: Mapping[str, Fact] | None = None, **named: Any) -> dict[str, str]:
    """What `describe` tells of what is a setting.

    Args:
        begun: what it told when the run began: whatever is the same now is a setting, and whatever is not, though it
            looks like one, is none, unless it is an option. Without it what may be a counter is left out.
    """
    return {what: entry.text for what, entry in describe(*parts, **named).items() if _is_setting(what, entry, begun)}


def _is_setting(what: str, entry: Fact, begun: Mapping[str, Fact] | None) -> bool:
    if begun is None:
        return entry.certainty > Certainty.POSSIBLE
    return entry.certainty == Certainty.CERTAIN or (what in begun and begun[what].text == entry.text)


def asked_rate(optimizer: Optimizer) -> float:
    """The rate that an optimizer was made with, whatever has become of it in the training."""
    return optimizer._asked_lr if optimizer.initial_lr is None else optimizer.initial_lr


def differences(saved: Mapping[str, str], here: Mapping[str, str], only_shared: bool = False) -> list[str]:
    """Where the two differ, each as a sentence.

    Args:
        only_shared: leave out what only one of them has: another version of minidl or Python may know other settings.
    """
    found = []
    for what in {**here, **saved}:
        both = what in saved and what in here
        if saved.get(what) != here.get(what) and (both or not only_shared):
            label = "the model" if what == "module" else f"the {what}"
            found.append(
                f"{label} is {saved.get(what) or 'missing'} in the checkpoint and {here.get(what) or 'missing'} here"
            )
    return found


def comparable(older: Mapping[str, str]) -> dict[str, str]:
    """Of the settings in a checkpoint of before, those that are written as today: no code, and no objects."""
    return {
        what: text
        for what, text in older.items()
        if not what.startswith("code of ") and not re.search(r"\w\(| with | of ", text)
    }


def _tell_model(told: Told, model: Module) -> None:
    all_evaluate = not any(module.training for module in model.modules())  # then `fit` lets all of them train
    for name, module in model.named_modules():
        where = f"module {name}" if name else "model"
        if not module.children():
            told.put(f"mode of the {where}", "training" if module.training or all_evaluate else "evaluation")
        elsewhere = [key for key, value in vars(module).items() if isinstance(value, Module)]
        saved = [key for key, value in vars(module).items() if isinstance(value, Tensor)]
        told.tell_options(where, module, left_out=(*_OF_A_MODULE, *elsewhere, *saved))
    for name, p in model.named_parameters():
        told.put(f"parameter {name}", f"{p.dtype}, {'trained' if p.requires_grad else 'frozen'}")


def _tell_schedule(told: Told, where: str, schedule: Schedule) -> None:
    told.tell_options(where, schedule, left_out=_OF_A_SCHEDULE)
    for i, inner in enumerate(getattr(schedule, "schedulers", ())):
        told.put(f"schedule {i} of the {where}", type(inner).__name__)
        _tell_schedule(told, f"schedule {i} of the {where}", inner)


def _tell_source(told: Told, where: str, source: Source) -> None:
    told.put(where, type(source).__name__)
    told.tell(f"classes of the {where}", source.classes)
    if isinstance(source, Mapped):
        told.tell(f"transform of the {where}", source.transform)
        _tell_source(told, f"source of the {where}", source.source)
    elif not isinstance(source, Dataset):
        path = ("path",) if isinstance(source, ImageFolder) else ()  # where the images lie is no setting
        told.tell_options(where, source, left_out=(*_OF_A_SOURCE, *path))


def _tell_hooks(told: Told, model: Module, optimizer: Optimizer | None) -> None:
    """The hooks that are not minidl's own: its recorders watch and change nothing."""
    named = [(what, hook) for what, hook in _hooks(model, optimizer) if not _is_a_recorders(hook)]
    told.put("list of hooks", ", ".join(name_of(hook) for _, hook in named) or "none", Certainty.LIKELY)
    for what, hook in named:
        told.tell(what, hook, Certainty.LIKELY)


def _hooks(model: Module, optimizer: Optimizer | None) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        for kind in ("pre", "forward", "backward") if module._hooks is not None else ():
            for i, hook in enumerate(getattr(module._hooks, kind).values()):
                yield f"{kind} hook {i} of the {f'module {name}' if name else 'model'}", hook
    for name, p in model.named_parameters():
        for i, hook in enumerate(((p._extras and p._extras.hooks) or {}).values()):
            yield f"hook {i} of the parameter {name}", hook
    if optimizer is not None:
        for kind, hooks in (("pre", optimizer._pre_hooks), ("post", optimizer._post_hooks)):
            for i, hook in enumerate(hooks.values()):
                yield f"{kind} hook {i} of the optimizer", hook


def _is_a_recorders(hook: Any) -> bool:
    function = getattr(hook, "__func__", hook)
    return is_minidls(function if hasattr(function, "__code__") else type(function))
