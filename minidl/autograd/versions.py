"""How something that is made to be read has faster versions of itself, without a word about them in its own lines.

A class (an op, an optimizer, the backward walk) says what it computes in the plainest lines there are. A subclass of it
in `minidl/fast/` computes the same, faster, for some operands, and says for which by `fits`. Defining it registers it.
Whoever runs such a class asks `chosen` whose lines to run; `md.plain()` makes it answer: always its own.
`minidl/fast/versions.py` has an example.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minidl.autograd.modes import PLAIN, current_mode


class Versioned:
    """A class that may have faster versions.

    Attributes:
        versions: them, in the order in which they are asked; most classes have none.
        plain: the class whose lines they replace; of a class that is no version, itself.
    """

    __slots__ = ()
    versions: ClassVar[tuple[type[Any], ...]] = ()
    plain: ClassVar[type[Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.plain = cls


def chosen(owner: Any, *operands: Any) -> Any:
    """The class whose lines shall run for `owner`, an instance or a class: the first version that fits, or its own."""
    if owner.versions and not current_mode() & PLAIN:
        for version in owner.versions:
            if version.fits(owner, *operands):
                return version
    return owner.plain
