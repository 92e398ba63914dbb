"""What CuPy has, read from `cupy_names.txt`, and whether a call keeps to CuPy's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("cupy_names.txt")


@dataclass(frozen=True)
class Parameters:
    """The parameters of one function: how many may come by position, and which by name."""

    positional: int
    named: frozenset[str]
    any_positional: bool
    any_named: bool

    @classmethod
    def read(cls, text: str) -> Parameters:
        """From `(a, axis=None, *, out=None)`."""
        words = [word.partition("=")[0].strip() for word in text.strip("()").split(",") if word.strip()]
        words = [word for word in words if word not in ("self", "/")]
        starred = [i for i, word in enumerate(words) if word.startswith("*") and not word.startswith("**")]
        return cls(
            positional=starred[0] if starred else len([w for w in words if not w.startswith("**")]),
            named=frozenset(word for word in words if not word.startswith("*")),
            any_positional=any(words[i] != "*" for i in starred),
            any_named=any(word.startswith("**") for word in words),
        )

    def check(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """TypeError for arguments CuPy's function does not have."""
        if len(args) > self.positional and not self.any_positional:
            raise TypeError(f"cupy.{name}() takes {self.positional} positional arguments but {len(args)} were given")
        unknown = set(kwargs) - self.named
        if unknown and not self.any_named:
            raise TypeError(f"cupy.{name}() got an unexpected keyword argument {min(unknown)!r}")


def read_names() -> dict[str, Parameters | None]:
    """Every public name of CuPy: with its parameters if it is a function that is no ufunc."""
    found: dict[str, Parameters | None] = {}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name, bracket, rest = line.partition("(")
        found[name.split()[0]] = Parameters.read(bracket + rest) if bracket else None
    return found


def listed(words: str) -> list[str]:
    """The names in a text; a list of eighty quoted names is harder to read."""
    return words.split()


NAMES = read_names()
