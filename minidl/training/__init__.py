"""Training and evaluating a model: fit, evaluate, the history of a run, and checkpoints."""

from minidl.examples.reading import add_examples
from minidl.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from minidl.training.evaluation import Evaluation, evaluate
from minidl.training.history import History
from minidl.training.loop import fit
from minidl.training.run import TrainingState

__all__ = [
    "Checkpoint",
    "Evaluation",
    "History",
    "TrainingState",
    "evaluate",
    "fit",
    "load_checkpoint",
    "save_checkpoint",
]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "training")
