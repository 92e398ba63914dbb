"""Is a gradient right? One number is moved a little, and the recorded forward computed again: a central difference."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.errors import GraphError, printable
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import LEAF, PARAMETER, Value
from minidl.stepper.kept import Kept
from minidl.stepper.lines import label_at
from minidl.stepper.replay import Replay, Walk, walks_of
from minidl.stepper.worked import largest

TOLERANCE = {"float16": 3e-2, "float32": 2e-3, "float64": 1e-5}
ROUNDING = {"float16": 4e-3, "float32": 5e-7, "float64": 1e-15}  # of the largest gradient: what sums leave over
WORK = 100_000_000  # numbers that `checks_of` may compute again
EVERY = 64  # of a leaf with at most so many numbers `checks_of` checks each


@dataclass(frozen=True, slots=True)
class Check:
    """A gradient beside what a small move of the number really does to the loss.

    Attributes:
        value: the number of the value on the tape.
        index: the place in it.
        backward: dL/d(value) there, as the backward computed it.
        numeric: (L(v + eps) - L(v - eps)) / (2 eps), in float64.
        eps: how far the number was moved.
        error: how far apart the two are.
        ok: whether they agree, as far as the dtype of the backward lets them.
        words: all that in a sentence.
    """

    value: int
    index: tuple[int, ...]
    backward: float
    numeric: float
    eps: float
    error: float
    ok: bool
    words: str

    def __str__(self) -> str:
        return self.words

    def plain(self) -> dict[str, Any]:
        """As a tape keeps it in a file."""
        return {
            "value": self.value, "index": list(self.index), "backward": self.backward, "numeric": self.numeric,
            "eps": self.eps, "error": self.error, "ok": self.ok, "words": self.words,
        }  # fmt: skip


def check(
    tape: TapeContents, value: Value | str, place: tuple[int, ...] | None = None, eps: float | None = None
) -> Check:
    """Hold one number of a gradient to a central difference: dL/dv is about (L(v + eps) - L(v - eps)) / (2 eps).

    The forward is computed again in float64, from the arrays and ops that the tape keeps while the recorded program
    runs; nothing of the program is touched. Dropout drops what it dropped, batch norm leaves its running statistics
    alone. Of several backwards the last in which the value got a gradient counts.

    Args:
        tape: the recording.
        value: what to move, by itself or by its key; a result of an op too.
        place: which of its numbers; the one with the largest gradient if none is given.
        eps: how far; 1e-5 times the number's size (at least 1) if none is given.

    Raises:
        KeyError, IndexError: there is no such value, or place.
        GraphError: it has no gradient, or the forward cannot be computed again; the message says why, and what to do.
    """
    return Checker(tape).check(tape.value(value) if isinstance(value, str) else value, place, eps)


def checks_of(tape: TapeContents, work: int = WORK) -> list[dict[str, Any]]:
    """Checks for a page or a file, as plain data: of every leaf with at most 64 numbers each, of others one number.

    As many as can be made with computing about `work` numbers, whatever the machine: first one of each leaf, from the
    last layer back (less is computed again), then of each result, then the leaves' other numbers. What cannot be
    checked is left out.
    """
    checker = Checker(tape, work)
    found: list[dict[str, Any]] = []
    gradients = [(value, kept) for value in tape.values if (kept := checker.gradient(value)) is not None]
    leaves = [(value, kept) for value, kept in gradients if value.kind in (PARAMETER, LEAF)][::-1]
    results = [(value, kept) for value, kept in gradients if value.kind not in (PARAMETER, LEAF)][::-1]
    small = [(value, kept) for value, kept in leaves if kept.size <= EVERY]
    first = [(value, largest(kept)) for value, kept in (*leaves, *results) if kept.size]
    others = [(value, place) for value, kept in small for place in np.ndindex(kept.shape) if place != largest(kept)]
    refused: set[int] = set()
    for value, place in (*first, *others):
        if value.number in refused:
            continue
        if checker.work >= work:
            break
        try:
            found.append(checker.check(value, place, None).plain())
        except GraphError:
            refused.add(value.number)
    return found


def fill_checks(tape: TapeContents) -> None:
    """Give a tape its checks before it is written, if it has none: a file holds no program to make them with.

    Whatever goes wrong, the tape can still be written: then without them.
    """
    if tape.program is None or tape.recording or tape.checks:
        return
    with suppress(Exception):  # an op of the user's may do anything when it is called again
        tape.checks += checks_of(tape)


class Checker:
    """Checks of one tape; the forward is computed again once for each backward."""

    def __init__(self, tape: TapeContents, most: int | None = None) -> None:
        self.tape = tape
        self.walks = walks_of(tape)
        self.most = most  # numbers to compute for one forward
        self._replays: dict[int, Replay | GraphError] = {}

    @property
    def work(self) -> int:
        """About how many numbers have been computed until now."""
        return sum(replay.work for replay in self._replays.values() if isinstance(replay, Replay))

    def walk_of(self, value: Value) -> Walk | None:
        """The last backward in which a value got a gradient."""
        return next((walk for walk in reversed(self.walks) if walk.gradient(value) is not None), None)

    def gradient(self, value: Value) -> Kept | None:
        """What `walk_of` has of a value; None if there is none, or if its numbers cannot be moved a little."""
        if not value.requires_grad or value.dtype[:5] != "float":
            return None
        walk = self.walk_of(value)
        return None if walk is None else walk.gradient(value)

    def replay(self, walk: Walk) -> Replay:
        number = walk.seeds[0].number
        if number not in self._replays:
            program = self.tape.program
            assert program is not None
            try:
                self._replays[number] = Replay(self.tape, program, walk, self.most)
            except GraphError as error:
                self._replays[number] = error
        found = self._replays[number]
        if isinstance(found, GraphError):
            raise GraphError(*found.args)
        return found

    def check(self, value: Value, place: tuple[int, ...] | None, eps: float | None) -> Check:
        walk = self.walk_of(value)
        if walk is None:
            raise GraphError(self._why_none(value))
        gradient = walk.gradient(value)
        assert gradient is not None
        if gradient.size == 0:
            raise GraphError(f"{printable(value.key)} has no numbers: its shape is {value.shape}")
        if place is None:
            place = largest(gradient)
        place = tuple([int(i) for i in place])
        said = gradient.at(place)
        place = tuple([i % n for i, n in zip(place, value.shape, strict=True)])
        if self.tape.program is None:
            return self._saved(value, place)
        if said is None:
            raise GraphError(
                f"of dL/d{printable(value.key)} the tape holds a sample without {list(place)}: leave the place out, "
                f"or record with md.record(elements={gradient.size})"
            )
        replay = self.replay(walk)
        top = max(abs(gradient.low), abs(gradient.high))
        return _checked(replay, value, place, float(said), 0.0 if math.isnan(top) else top, eps)

    def _why_none(self, value: Value) -> str:
        if not self.walks:
            return "no backward was recorded, so there is no gradient to check: call loss.backward() inside the block"
        if value.dtype[:5] != "float":
            return f"{printable(value.key)} holds {value.dtype}: whole numbers cannot be moved a little"
        if not value.requires_grad:
            return f"{printable(value.key)} requires no gradient, so the backward computed none"
        return f"no gradient reached {printable(value.key)}: the loss of the recorded backward does not depend on it"

    def _saved(self, value: Value, place: tuple[int, ...]) -> Check:
        """A check that was made before the tape was saved."""
        for saved in self.tape.checks:
            if saved.get("value") != value.number or list(saved.get("index", ())) != list(place):
                continue
            try:
                numbers = [float(saved[name]) for name in ("backward", "numeric", "eps", "error")]
                ok = bool(saved["ok"])
            except (KeyError, TypeError, ValueError):
                continue  # of a file that somebody else has written
            backward, numeric, eps, error = numbers
            words = printable(str(saved.get("words") or _words(value, place, backward, numeric, eps, ok)))
            return Check(value.number, place, backward, numeric, eps, error, ok, words)
        places = [saved.get("index") for saved in self.tape.checks if saved.get("value") == value.number]
        instead = f"; of {printable(value.key)} these places were checked before: {places[:8]}" if places else ""
        raise GraphError(
            "this tape does not hold the program any more (it was read from a file, or took more memory than a tape "
            f"may): check while the recorded program runs{instead}"
        )


def _checked(
    replay: Replay, value: Value, place: tuple[int, ...], backward: float, top: float, eps: float | None
) -> Check:
    number = _number(replay, value, place)
    step = 1e-5 * max(1.0, abs(number)) if eps is None else float(eps)
    if not (step > 0 and math.isfinite(step)):
        raise GraphError(f"eps, how far the number is moved, must be positive; got {eps}")
    if not math.isfinite(replay.loss):
        raise GraphError(f"the loss is {replay.loss}: nothing can be learnt from moving a number")
    relative = TOLERANCE.get(value.dtype, 2e-3)

    def allowed(of: float) -> float:
        noise = 1e-13 * abs(replay.loss) / step  # of two losses that are nearly equal
        rounding = ROUNDING.get(value.dtype, 5e-7) * replay.walk.largest()
        return relative * max(abs(backward), abs(of)) + relative * 1e-2 * top + rounding + noise + 1e-10

    left, right = _slopes(replay, value, place, step)
    far = gap = abs(right - left)
    for _ in range(2 if eps is None else 0):  # a kink nearby, or a strong curve: come closer
        if gap <= allowed(right):
            break
        step /= 10
        left, right = _slopes(replay, value, place, step)
        gap = abs(right - left)
    numeric = (left + right) / 2
    if gap > 10 * allowed(right) and gap > 0.5 * far:  # of a curve it would have become smaller
        low, high = min(left, right), max(left, right)
        ok = low - allowed(low) <= backward <= high + allowed(high)
        error = max(low - backward, backward - high, 0.0)
        words = _kink_words(value, place, backward, left, right, ok)
    else:
        error = abs(backward - numeric)
        ok = bool(error <= allowed(numeric))
        words = _words(value, place, backward, numeric, step, ok)
    return Check(value.number, place, backward, numeric, step, error, ok, words)


def _number(replay: Replay, value: Value, place: tuple[int, ...]) -> float:
    if value.number in replay.results:
        return float(replay.results[value.number][place])
    kept = value.contents[0][1] if value.contents else None
    number = None if kept is None else kept.at(place)
    return 1.0 if number is None else float(number)


def _slopes(replay: Replay, value: Value, place: tuple[int, ...], step: float) -> tuple[float, float]:
    """To the left and to the right."""
    up, down = replay.moved(value, place, step), replay.moved(value, place, -step)
    return (replay.loss - down) / step, (up - replay.loss) / step


def _words(value: Value, place: tuple[int, ...], backward: float, numeric: float, step: float, ok: bool) -> str:
    said = (
        f"the backward says {backward:.5g}, moving {label_at(value.key, place)} by +-{step:.0e} changes the loss by "
        f"{numeric:.5g} per unit: "
    )
    if ok:
        apart = abs(backward - numeric) > TOLERANCE.get(value.dtype, 2e-3) * max(abs(backward), abs(numeric))
        return said + ("they agree, but for rounding" if apart and backward != numeric else "they agree")
    return said + "they do not agree" + _guess(backward, numeric)


def _guess(backward: float, numeric: float) -> str:
    """What the ratio of the two tells."""
    if not (math.isfinite(backward) and math.isfinite(numeric)):
        return ": one of them is no number"
    if backward == 0:
        return ": the backward sends nothing here"
    if numeric == 0 or abs(numeric) < 1e-9 * abs(backward):
        return ": the loss does not depend on it"
    ratio = backward / numeric
    if abs(ratio + 1) < 1e-2:
        return ": the sign is wrong"
    for factor in range(2, 1001):
        for times, words in ((factor, "times too large"), (1 / factor, "times too small")):
            if abs(ratio / times - 1) < min(1e-2, 0.2 / factor):
                return f": the backward is {factor} {words}"
    return ""


def _kink_words(value: Value, place: tuple[int, ...], backward: float, left: float, right: float, ok: bool) -> str:
    at = label_at(value.key, place)
    said = (
        f"the loss has a kink at {at}: below it the slope is {left:.5g}, above it {right:.5g}, so there is no one "
        f"derivative; the backward says {backward:.5g}, "
    )
    return said + ("which lies between: fine" if ok else "which is neither, nor between")
