"""What is recorded, and where the choice holds: threads, tasks, generators, decorated functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

import minidl as md
from minidl.autograd.modes import ANOMALY, mode
from tests.arrays import tensor


def test_no_grad_records_nothing_and_enable_grad_records_again() -> None:
    x = tensor([1.0], requires_grad=True)
    assert md.is_grad_enabled()
    with md.no_grad():
        assert not md.is_grad_enabled()
        assert not (x * 2).requires_grad
        with md.enable_grad():
            assert (x * 2).requires_grad
        assert not md.is_grad_enabled()
    assert (x * 2).requires_grad


def test_the_mode_is_put_back_after_an_error() -> None:
    with pytest.raises(KeyError), md.no_grad():
        raise KeyError
    assert md.is_grad_enabled()


def test_one_instance_may_be_entered_inside_itself() -> None:
    quiet = md.no_grad()
    with quiet:
        with quiet:
            assert not md.is_grad_enabled()
        assert not md.is_grad_enabled()
    assert md.is_grad_enabled()


def test_anomaly_mode_is_a_choice_beside_recording() -> None:
    with md.detect_anomaly():
        assert md.is_grad_enabled()
        with md.no_grad():
            assert mode.get() & ANOMALY
            assert not md.is_grad_enabled()
    assert not mode.get() & ANOMALY


def test_as_a_decorator() -> None:
    @md.no_grad()
    def evaluate(*, flag: bool) -> tuple[bool, bool]:
        """Its docstring."""
        return flag, md.is_grad_enabled()

    assert evaluate(flag=True) == (True, False)
    assert evaluate.__doc__ == "Its docstring."
    assert md.is_grad_enabled()


def test_a_decorated_function_may_call_itself() -> None:
    @md.no_grad()
    def count(n: int) -> int:
        assert not md.is_grad_enabled()
        return n if n == 0 else count(n - 1)

    assert count(5) == 0
    assert md.is_grad_enabled()


def test_without_its_brackets_the_decorator_says_so() -> None:
    with pytest.raises(TypeError, match=r"@md\.no_grad\(\)"):

        @md.no_grad
        def evaluate() -> None:
            return None


def test_a_decorated_generator_has_the_mode_only_while_it_runs() -> None:
    seen = []

    @md.no_grad()
    def numbers() -> Iterator[int]:
        try:
            seen.append(md.is_grad_enabled())
            received = yield 1
            seen.append((received, md.is_grad_enabled()))
            try:
                yield 2
            except ValueError:
                seen.append(("thrown", md.is_grad_enabled()))
                yield 3
        finally:
            seen.append(("closed", md.is_grad_enabled()))

    running = numbers()
    assert next(running) == 1
    assert md.is_grad_enabled()
    assert running.send("hello") == 2
    assert md.is_grad_enabled()
    assert running.throw(ValueError()) == 3
    assert md.is_grad_enabled()
    running.close()
    assert seen == [False, ("hello", False), ("thrown", False), ("closed", False)]
    assert md.is_grad_enabled()


def test_a_decorated_generator_returns_its_value() -> None:
    @md.no_grad()
    def inner() -> Iterator[int]:
        yield 1
        return 7

    def outer() -> Iterator[int]:
        value = yield from inner()
        yield value

    assert list(outer()) == [1, 7]


def test_a_decorated_coroutine_has_the_mode_while_it_runs() -> None:
    @md.no_grad()
    async def evaluate() -> tuple[bool, bool]:
        before = md.is_grad_enabled()
        await asyncio.sleep(0)
        return before, md.is_grad_enabled()

    async def main() -> None:
        assert await evaluate() == (False, False)
        assert md.is_grad_enabled()

    asyncio.run(main())


def test_a_decorated_async_generator_is_refused() -> None:
    with pytest.raises(TypeError, match=r"asynchronous generator.*with md.no_grad"):

        @md.no_grad()
        async def numbers() -> AsyncIterator[int]:
            yield 1


def test_each_thread_has_its_own_mode() -> None:
    seen = []
    inside, done = threading.Event(), threading.Event()

    def evaluate() -> None:
        with md.no_grad():
            inside.set()
            done.wait(5)
            seen.append(md.is_grad_enabled())

    worker = threading.Thread(target=evaluate)
    worker.start()
    inside.wait(5)
    seen.append(md.is_grad_enabled())
    done.set()
    worker.join()
    assert seen == [True, False]
    with md.no_grad():  # nor does a new thread start in the mode of the one that starts it
        other = threading.Thread(target=lambda: seen.append(md.is_grad_enabled()))
        other.start()
        other.join()
    assert seen[-1]


def test_each_task_has_its_own_mode() -> None:
    async def evaluate() -> None:
        with md.no_grad():
            for _ in range(3):
                await asyncio.sleep(0)
                assert not md.is_grad_enabled()

    async def train() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            assert md.is_grad_enabled()

    async def main() -> None:
        await asyncio.gather(evaluate(), train(), evaluate())
        assert md.is_grad_enabled()

    asyncio.run(main())


def test_a_backward_leaves_the_mode_as_it_was() -> None:
    x = tensor([1.0], requires_grad=True)
    seen = []
    y = x * 2
    y.register_hook(lambda grad: seen.append(md.is_grad_enabled()))
    with md.detect_anomaly():
        before = mode.get()
        y.backward(retain_graph=True)
        y.backward(create_graph=True)
        assert mode.get() == before
    assert seen == [False, True]
    x.grad = None


def test_one_object_may_serve_two_threads_at_once() -> None:
    shared, entered, left = md.no_grad(), threading.Barrier(2), threading.Barrier(2)
    found: dict[str, list[bool]] = {"first": [], "second": []}

    def work(name: str) -> None:
        with shared:
            entered.wait(10)
            found[name].append(md.is_grad_enabled())
            if name == "second":
                left.wait(10)  # the first leaves its block while this one is inside
            found[name].append(md.is_grad_enabled())
        if name == "first":
            left.wait(10)
        found[name].append(md.is_grad_enabled())

    with md.enable_grad():
        threads = [threading.Thread(target=work, args=(name,)) for name in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert found == {"first": [False, False, True], "second": [False, False, True]}
