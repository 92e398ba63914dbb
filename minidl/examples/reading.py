"""Examples in the help of what they are of: `help(F.relu)` ends with them.

They stand in files of their own, one for each package: `minidl/examples/functional.md` has a heading for each function
and under it what one would type, and what one would see. docs/decisions/examples.md says why.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

_HEADING = re.compile(r"^## (\w+)\n", re.MULTILINE)
_STRIPPED = sys.version_info >= (3, 13)  # Python takes the indentation of a docstring's lines away, and keeps it before


def examples_of(package: str) -> dict[str, str]:
    """The examples of a package, such as 'functional', by the names of what they are of."""
    text = Path(__file__).with_name(f"{package}.md").read_text(encoding="utf-8")
    parts = _HEADING.split(text)
    return {name: example.strip("\n") for name, example in zip(parts[1::2], parts[2::2], strict=True)}


def add_examples(namespace: dict[str, Any], package: str) -> None:
    """Add the examples of a package to the docstrings of what its namespace holds.

    In a Python that drops docstrings (`python -OO`) there is nothing to add to.
    """
    if sys.flags.optimize > 1:
        return
    for name, example in examples_of(package).items():
        if name in namespace:
            text = f"\n\nExamples:\n\n{example}\n"
            namespace[name].__doc__ = namespace[name].__doc__.rstrip() + (
                text if _STRIPPED else text.replace("\n", "\n    ")
            )
