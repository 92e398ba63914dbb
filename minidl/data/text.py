"""characters: a text as numbers, to learn which character comes next."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np

from minidl.data.dataset import Dataset, is_whole
from minidl.files.reading import read_text
from minidl.files.writing import path_of


class Characters(Dataset):
    """Pieces of a text, (N, T) int64, and as labels the same pieces one character further on.

    Attributes:
        classes: the vocabulary; the number of a character is its place in it.
    """

    def encode(self, text: str) -> Any:
        """The numbers of the characters of `text`, (len(text),) int64; a ValueError names those that have none."""
        return _numbers(text, self.classes or ())

    def decode(self, numbers: Any) -> str:
        """The text that these numbers, (T,) integers, stand for."""
        places, known = np.asarray(numbers), self.classes or ()
        whole = places.size == 0 or places.dtype.kind in "iub"
        if places.ndim != 1 or not whole or np.any((places < 0) | (places >= len(known))):
            raise ValueError(f"decode: expected a row of numbers from 0 to {len(known) - 1}, whole ones; got {places}")
        return "".join(known[place] for place in places.tolist())


def characters(text: str | PathLike[str], length: int, vocabulary: Iterable[str] | None = None) -> Characters:
    """A text cut into pieces of `length` characters, each with the same piece one character further on as its labels.

        text = characters(Path("shakespeare.txt"), length=12)
        text.inputs[0], text.labels[0]          # "First Citize" and "irst Citizen", as numbers
        text.decode(text.encode("Hello"))

    Input i is characters i*T to i*T + T - 1. What is left at the end and makes no whole piece is left out.

    Args:
        text: the text itself (a str), or a file of UTF-8 text (a Path).
        length: T, characters in a piece.
        vocabulary: all characters there are, in the order of their numbers: `classes` of the training text, for another
            one. Without it the characters of this text, sorted.

    Raises:
        ValueError: the text is shorter than length + 1 characters, has some that are not in the vocabulary (the message
            names them), is the name of a file, or is not UTF-8; or the vocabulary is not single, different characters.
        TypeError: the text is neither a str nor a Path.
        OSError: the file cannot be read. All messages about a file name it.
    """
    if not is_whole(length) or length < 1:
        raise ValueError(f"characters: expected a length of at least 1; got {length!r}")
    if not isinstance(text, (str, PathLike)):
        raise TypeError(f"characters: expected a text, a str, or a file of text, a Path; got {type(text).__name__}")
    if isinstance(text, str) and os.path.isfile(text):
        raise ValueError(f"characters: expected a text; {text!r} is a file: to read a file, pass its Path")
    if isinstance(text, str) and re.fullmatch(r"\S+\.(txt|text|md|csv|json)", text):
        raise ValueError(
            f"characters: expected a text; {text!r} looks like the name of a file, and there is none of that name: to "
            f"read a file, pass its Path"
        )
    whose = "characters" if isinstance(text, str) else f"characters: {os.fspath(text)}"
    text = text if isinstance(text, str) else read_text(path_of(text))
    if len(text) <= length:
        raise ValueError(f"{whose}: expected a text of more than {length} characters; it has {len(text)}")
    known = tuple(sorted(set(text)) if vocabulary is None else vocabulary)
    if any(not isinstance(one, str) or len(one) != 1 for one in known) or len(set(known)) < len(known):
        raise ValueError(f"characters: expected a vocabulary of single, different characters; got {known}")
    numbers = _numbers(text, known, whose)
    end = (len(numbers) - 1) // length * length
    inputs, labels = (numbers[first : first + end].reshape(-1, length).copy() for first in (0, 1))
    return Characters(inputs, labels, classes=known)


def _numbers(text: str, vocabulary: tuple[str, ...], whose: str = "characters") -> Any:
    """The place of each character of `text` in the vocabulary; `whose` begins the message about those without one."""
    if unknown := sorted(set(text).difference(vocabulary)):
        named = ", ".join(f"{one!r} (first at {text.index(one)})" for one in unknown[:10])
        raise ValueError(f"{whose}: {len(unknown)} not in the vocabulary: {named}{', ...' * (len(unknown) > 10)}")
    # A table from code point to place: a loop over a dictionary takes thirty times as long.
    codes, known = _codes(text), _codes("".join(vocabulary))
    table = np.zeros(known.max(initial=0) + 1, np.int64)
    table[known] = np.arange(len(known))
    return table[codes]


def _codes(text: str) -> Any:
    """The code points of a text, (len(text),)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
