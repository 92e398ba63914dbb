"""SavedRecording: what all small recordings have in common: named arrays that are checked, saved and loaded."""

from __future__ import annotations

from dataclasses import fields
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np

from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.reading import fitting
from minidl.files.schema import TEXT, WHOLE, Entry, Header, check_arrays

FORMAT = 1


class SavedRecording:
    """A frozen dataclass whose fields are arrays, each as `schema` says it must be.

    Arrays of texts are kept as tuples of str, a single text as a str; everything else is a NumPy array.

    Attributes:
        kind: what a file of it is called.
        schema: for each field the kind of its numbers, and its shape.
    """

    kind: ClassVar[str]
    schema: ClassVar[dict[str, Entry]]

    def __post_init__(self) -> None:
        arrays = {}
        for f in fields(self):  # type: ignore[arg-type]  # a subclass is a dataclass
            array = arrays[f.name] = _as_array(getattr(self, f.name), self.schema[f.name])
            value: Any = array
            if array.dtype.kind == TEXT:
                value = tuple(str(text) for text in array) if array.ndim else str(array)
            object.__setattr__(self, f.name, value)
        try:
            check_arrays({name: Header(a.dtype, a.shape) for name, a in arrays.items()}, self.schema)
        except ValueError as error:
            raise ValueError(f"a {self.kind.replace('_', ' ')} recording: {error}") from None

    def save(self, path: str | PathLike[str]) -> None:
        """Write an npz file of plain arrays."""
        arrays = {name: _as_array(getattr(self, name), entry) for name, entry in self.schema.items()}
        save_arrays(path, arrays, kind=self.kind, format=FORMAT)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is no recording of this kind, or it is damaged; it is named.
        """
        arrays, _ = load_arrays(path, kind=cls.kind, format=FORMAT, schema=cls.schema)
        with fitting(path, cls.kind.replace("_", " ")):
            return cls(**arrays)


def _as_array(value: Any, entry: Entry) -> Any:
    if entry.kinds == TEXT:
        return np.asarray(value, dtype=np.str_)
    array = np.asarray(value)
    return (
        array if array.size or entry.kinds != WHOLE else array.astype(np.int64)
    )  # of an empty list NumPy makes floats


def finite_or_infinite(value: float) -> float:
    """As in every recording: what was measured and is no number reads infinity, NaN is what was not measured."""
    return np.inf if np.isnan(value) else value
