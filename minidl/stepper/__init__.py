"""The stepper: one training step, recorded on a tape and walked through in time, forward and back.

    with md.record() as tape:
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

`tape.play()` walks through it in a terminal, `tape.save_html("step.html")` makes a page of it, and a notebook shows it
by itself. `minidl step SCRIPT` records a step of any program.
"""

from minidl.examples.reading import add_examples
from minidl.stepper.checking import Check
from minidl.stepper.events import Addend, Call, Event, File, Gradient, Line, Value
from minidl.stepper.kept import Kept
from minidl.stepper.tape import Tape

__all__ = ["Addend", "Call", "Check", "Event", "File", "Gradient", "Kept", "Line", "Tape", "Value"]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "stepper")
