"""Doing a plan: each run whose needs are done is begun in the plan's order, as many at a time as there are processes.

A run that is done is skipped, and one with a checkpoint goes on from there, so a plan that was stopped is followed to
its end by the same command. A run that fails leaves error.txt in its folder and stops nothing but the runs that need
it. One scheduler at a time works in a folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.doing import STOPPED, Perform, do_run, note_failure, one_line, result_of
from minidl.experiments.reproduce.grids import best_rate
from minidl.experiments.reproduce.holding import Hold, ask_to_stop, iteration_in
from minidl.experiments.reproduce.lanes import Lanes, Pool
from minidl.experiments.reproduce.methods import REPLAYED
from minidl.experiments.reproduce.plan import LAYER_SPECIFIC, Plan, PlannedRun, tuning_of, twin_of
from minidl.experiments.reproduce.results import ERROR, is_done, tuning_score
from minidl.experiments.reproduce.showing import Showing, clock

RUNS = "runs"
LOOK = 0.5  # seconds between two looks at how far the runs are
GRACE = 20.0  # seconds that runs have to leave a checkpoint when they are stopped


@dataclass
class Outcome:
    """What has come of a plan.

    Attributes:
        runs: how many there are.
        folder: where the runs are.
        twins: the twins among them -> the controls that replay them.
        done: the ids of those that are done, or that turned out not to be needed.
        spared: of these the twins that were not needed: a run that is there is the same.
        failed: id -> why, in one line.
        left_out: of these the runs whose result is there and cannot be used, which to try again does not mend.
        waiting: id -> "waiting for ID, which failed".
        stopped: whether Ctrl-C ended it.
    """

    runs: int
    folder: Path
    twins: Mapping[str, set[str]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    spared: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    @property
    def complete(self) -> bool:
        """Whether every run is done."""
        return len(self.done) == self.runs

    def words(self, command: str) -> str:
        """What a user has to know at the end; nothing if all is done. `command` is what goes on with it."""
        lines = [self._failure(name, why) for name, why in self.failed.items()]
        lines += [f"{name}: {why}" for name, why in self.waiting.items()]
        how_many = self._how_many()
        again = "Delete what is left out, and try the others again" if self.left_out else "Try the others again"
        if self.stopped:
            lines.append(f"stopped: {how_many}, begun ones keep their checkpoints. Go on with: {command}")
        elif not self.complete:
            lines.append(f"{how_many}. {again} with: {command}")
        return "\n".join(lines)

    def _failure(self, name: str, why: str) -> str:
        if name in self.left_out:
            return f"left out: {name}: {why}"
        told = self.folder / name / ERROR
        return f"failed: {name}: {why}" + (f" ({told})" if told.exists() else "")

    def _how_many(self) -> str:
        """As the report counts: without the twins in whose place the control has replayed another run."""
        have = self.done - self.spared
        lacking = self.twins.keys() - have - self.failed.keys()
        unneeded = {twin for twin in lacking if self.twins[twin] & have}
        return f"{len(have)} of {self.runs - len(unneeded)} runs are done"


def do(
    plan: Plan,
    out: Path,
    perform: Perform,
    workers: int | None = None,
    pool: Pool | None = None,
    show: bool | None = None,
    hold: Hold | None = None,
) -> Outcome:
    """Follow a plan until each of its runs is done, has failed, or needs one that failed; or until Ctrl-C.

    Args:
        plan: which runs, in which order.
        out: the folder of the reproduction; the runs are in its folder `runs`.
        perform: does a run: perform(spec, folder, base_rate=, twin=, on_iteration=). It is sent to other processes, so
            it has to be a function of a module (or a functools.partial of one).
        workers: how many processes, each with one thread; None for one a core.
        pool: where the runs are done instead, such as a cluster.
        show: as for `Showing`.
        hold: on `out`, if the caller has it already.

    Raises:
        BusyError: another scheduler works in this folder.
        UnwritableError: the folder cannot be made or written to.
    """
    out = Path(os.path.abspath(out))  # a worker of a cluster may stand elsewhere
    with Hold(out) if hold is None else nullcontext(hold) as held, Showing(plan.runs, show) as showing:
        scheduler = _Scheduler(plan, out / RUNS, perform, showing)
        scheduler.find_done()
        try:
            with Lanes(workers) if pool is None else nullcontext(pool) as where:
                scheduler.follow(where, lambda: held.at(len(scheduler.outcome.done)))
        except KeyboardInterrupt:
            scheduler.outcome.stopped = True
    return scheduler.outcome


class _Scheduler:
    def __init__(self, plan: Plan, folder: Path, perform: Perform, showing: Showing) -> None:
        self._plan = plan
        self._named = {run.id: run for run in plan.runs}
        self._folder = folder
        self._perform = perform
        self._showing = showing
        self._tasks: dict[Future[str | None], PlannedRun] = {}
        self._rates: dict[str, float] = {}
        self._same: dict[str, str] = {}  # a twin that is not run -> the run that it would be
        needed = {run.id: set[str]() for run in plan.runs if run.role == "twin"}
        for run in plan.runs:
            for need in needed.keys() & set(run.needs):
                needed[need].add(run.id)
        self.outcome = Outcome(len(plan.runs), folder, needed)

    # ---- following the plan

    def find_done(self) -> None:
        """Skip what was done before."""
        for run in self._plan.runs:
            try:
                found = result_of(run, self._folder / run.id)
            except (ValueError, OSError) as error:
                self._leave_out(run, error)
                self._showing.found(run)  # it is told at the end
            else:
                if found is not None:
                    self.outcome.done.add(run.id)
                    self._showing.found(run)

    def follow(self, pool: Pool, beat: Callable[[], object] = lambda: None) -> None:
        """Begin what can be begun and wait, until nothing is left."""
        try:
            while True:
                self._begin_all(pool)
                if not self._tasks and not self._undecided():
                    return
                over, _ = wait(self._tasks, timeout=LOOK, return_when=FIRST_COMPLETED)
                for task in over:
                    self._end(self._tasks.pop(task), task, pool)
                self._showing.running({run.id: self._steps(run) for run in self._tasks.values()})
                beat()
        except BaseException:
            self._stop()
            raise

    def _undecided(self) -> list[PlannedRun]:
        """The runs, in order, of which nothing is known yet."""
        outcome, begun = self.outcome, {run.id for run in self._tasks.values()}
        known = outcome.done | outcome.failed.keys() | outcome.waiting.keys() | begun
        return [run for run in self._plan.runs if run.id not in known]

    def _begin_all(self, pool: Pool) -> None:
        """Begin the first runs that are ready, as many as there is room for."""
        again = True
        while again:  # what cannot be done, or need not be, may decide about others
            again = False
            for run in self._undecided():
                needs = [self._same.get(need, need) for need in run.needs]
                lost = [need for need in needs if need in self.outcome.failed or need in self.outcome.waiting]
                if lost:
                    why = "failed" if lost[0] in self.outcome.failed else "cannot be done either"
                    why = "was left out" if lost[0] in self.outcome.left_out else why
                    self.outcome.waiting[run.id] = f"waiting for {lost[0]}, which {why}"
                    self._showing.ended(run, self.outcome.waiting[run.id], done=False)
                    again = True
                elif self.outcome.done.issuperset(needs):
                    again |= self._begin(run, pool)

    def _begin(self, run: PlannedRun, pool: Pool) -> bool:
        """Begin a run, if there is room; returns whether it is over without that."""
        try:
            rate = self._base_rate(run)
        except (ValueError, OSError) as error:
            self._fail(run, one_line(error))
            return True
        if run.role == "twin":
            other = self._with_this_rate(run, rate)
            if other is not None:
                self._same[run.id] = other.id
                self.outcome.done.add(run.id)
                self.outcome.spared.add(run.id)
                self._showing.found(run)
                return True
        if pool.free() < 1:
            return False
        twin = twin_of(run, [self._named[need] for need in run.needs]) if run.rate in REPLAYED else None
        replayed = None if twin is None else self._folder / self._same.get(twin.id, twin.id)
        task = pool.submit(do_run, self._perform, run.as_spec(), self._folder / run.id, rate, replayed)
        self._tasks[task] = run
        return False

    def _end(self, run: PlannedRun, task: Future[str | None], pool: Pool) -> None:
        """Note what has come of a run."""
        try:
            why = task.result()
        except Exception as error:  # not the run's own: it tells of those itself
            why = pool.why(error)
            note_failure(self._folder / run.id, run.id, why, one_line(error))
        if why == STOPPED:
            raise KeyboardInterrupt
        if why is not None:
            self._fail(run, why, leave=False)
            return
        try:
            found = result_of(run, self._folder / run.id)
        except (ValueError, OSError) as error:
            self._leave_out(run, error)
            self._showing.ended(run, "its result is left out", done=False)
            return
        if found is None:
            self._fail(run, "its result.json cannot be seen from here")
            return
        self.outcome.done.add(run.id)
        self._showing.ended(run, _in_short(found))

    def _fail(self, run: PlannedRun, why: str, leave: bool = True) -> None:
        if leave:
            note_failure(self._folder / run.id, run.id, why)
        self.outcome.failed[run.id] = why
        self._showing.ended(run, f"failed: {why}", done=False)

    def _leave_out(self, run: PlannedRun, error: ValueError | OSError) -> None:
        """Its result is there and cannot be used. The error names the file and says what to do."""
        self.outcome.failed[run.id] = str(error)
        self.outcome.left_out.add(run.id)

    def _steps(self, run: PlannedRun) -> int:
        return iteration_in(self._folder / run.id) or 0

    def _stop(self) -> None:
        """Let the runs that are being done leave a checkpoint and end; what has not begun is not begun."""
        going = {self._folder / run.id for task, run in self._tasks.items() if not (task.done() or task.cancel())}
        going |= {self._folder / run.id for task, run in self._tasks.items() if task.cancelled()}  # maybe not in time
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            going = {folder for folder in going if iteration_in(folder) is not None}
            if not going:
                break
            for folder in going:
                ask_to_stop(folder)
            time.sleep(LOOK)
        self.outcome.done |= {run.id for run in self._tasks.values() if is_done(self._folder / run.id)}

    # ---- base rates

    def _base_rate(self, run: PlannedRun) -> float:
        """The rate that a run's layers' rates are multiples of.

        Raises:
            ValueError: it has to be tuned, and every rate of the grid diverged.
        """
        if run.base == "recipe":
            return float(self._plan.settings["base_rates"][run.method])
        if run.base != "tuned":
            return float(run.base)
        if run.id not in self._rates:
            scores: dict[float, list[float]] = {}
            for other in tuning_of(run, [self._named[need] for need in run.needs]):
                found = result_of(other, self._folder / other.id)
                if found is None:
                    raise ValueError(f"the result of {other.id} is gone; give the command again")
                scores.setdefault(float(other.base), []).append(tuning_score(found))
            best = best_rate(scores)
            if best is None:
                grid = ", ".join(f"{rate:g}" for rate in sorted(scores))
                raise ValueError(
                    f"every rate of the grid diverged, or led nowhere ({grid}): there is none to tune it to"
                )
            self._rates[run.id] = best
        return self._rates[run.id]

    def _with_this_rate(self, twin: PlannedRun, rate: float) -> PlannedRun | None:
        """A layer-specific run that is done and is the same as `twin` would be: same method, seed and base rate."""
        for run in self._plan.runs:
            same = (run.rate, run.method, run.seed) == (LAYER_SPECIFIC, twin.method, twin.seed)
            if same and run.id != twin.id and run.id in self.outcome.done and self._base_rate(run) == rate:
                return run
        return None


def _in_short(result: dict[str, Any]) -> str:
    """A run's result in a few words."""
    if result["diverged_at"] is not None:
        return f"diverged at step {result['diverged_at']}"
    looks = result["looks"]
    last = f"accuracy {looks[-1]['accuracy']:.4f}, " if looks else ""
    return f"{last}{clock(result['seconds'])}"
