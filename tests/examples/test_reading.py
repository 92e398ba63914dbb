"""minidl/examples/reading.py: examples from files of their own, in the help of what they are of."""

import inspect
import subprocess
import sys

import minidl as md
import minidl.functional as F
from minidl.examples.reading import add_examples, examples_of


def test_the_examples_of_a_package_stand_under_headings():
    examples = examples_of("functional")
    assert examples["relu"].startswith("    >>> x = md.tensor([-1.0, 2.0], requires_grad=True)\n    >>> F.relu(x)\n")
    assert not examples["relu"].endswith("\n")


def test_help_ends_with_them():
    help_of = inspect.getdoc(F.relu)
    assert help_of.startswith("max(x, 0), elementwise.\n\nExamples:\n\n    >>> x = md.tensor(")
    assert help_of.endswith("Tensor([0., 1.])")


def test_what_is_loaded_later_has_them_too():
    assert 'md.save(model.state_dict(), "model.npz")' in md.save.__doc__
    assert "md.curvature.lanczos" in md.curvature.lanczos.__doc__


def test_what_the_namespace_does_not_hold_is_left_out():
    def relu():
        """Another one."""

    add_examples({"relu": relu}, "functional")
    assert inspect.getdoc(relu).startswith("Another one.\n\nExamples:\n\n")
    assert "F.relu(x)" in relu.__doc__


def test_a_python_without_docstrings_has_none():
    done = subprocess.run(
        [sys.executable, "-OO", "-c", "import minidl as md; print(md.functional.relu.__doc__)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "None\n"
