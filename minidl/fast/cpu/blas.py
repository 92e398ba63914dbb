"""BLAS, the library that multiplies NumPy's matrices, held to one thread.

For a large product BLAS wakes threads of its own, and the product waits for the slowest of them. Where another program
computes on the same cores that is far too long: on two busy cores a training step of a small MLP took 187 ms with two
threads of BLAS and 2.2 ms with one. And idle threads of BLAS keep a core busy for a tenth of a second after each
product: a loop that minidl shares out among threads of its own (`threads.py`) took twice as long after one.

So before its first product or shared loop minidl takes BLAS over: from then on BLAS has one thread in this process, for
products that are not minidl's too, and minidl shares out what is worth it. (BLAS cuts a product on several threads in
other places and may round it otherwise; since minidl begins with one thread, that never shows in its results.)
`md.fast.tune_process(False)` gives BLAS its threads back.
"""

from __future__ import annotations

from typing import Any


class Blas:
    """The BLAS libraries of this process, by threadpoolctl.

    Attributes:
        allowed: whether minidl may change their number of threads (`md.fast.tune_process`).
        taken: whether it has.
    """

    def __init__(self) -> None:
        self.allowed = True
        self.taken = False
        self._controllers: list[Any] | None = None
        self._before: list[int] = []  # their numbers of threads when they were taken over

    def controllers(self) -> list[Any]:
        """One for each library whose threads can be set; none without threadpoolctl, or of a BLAS it does not know."""
        if self._controllers is None:
            try:
                import threadpoolctl
            except ImportError:
                self._controllers = []
            else:
                found = threadpoolctl.ThreadpoolController().lib_controllers
                self._controllers = [library for library in found if library.user_api == "blas"]
        return self._controllers

    def threads(self) -> int:
        """How many threads BLAS has when it is left alone; 1 if that cannot be known."""
        now = self._before if self.taken else [library.num_threads for library in self.controllers()]
        return max(now, default=1)

    def take_over(self) -> None:
        """Give each library one thread, if that is allowed and has not been done."""
        if self.allowed and not self.taken and self.controllers():
            self._before = [library.num_threads for library in self.controllers()]
            for library in self.controllers():
                library.set_num_threads(1)
            self.taken = True

    def give_back(self) -> None:
        """Give the libraries the threads back that they had."""
        if self.taken:
            for library, number in zip(self.controllers(), self._before, strict=True):
                library.set_num_threads(number)
            self.taken = False
