"""minidl/training/interrupt.py: the first Ctrl-C asks, the second insists."""

import signal
import threading

import pytest

from minidl.training.interrupt import StopOnInterrupt


def test_the_first_interrupt_only_sets_the_flag():
    with StopOnInterrupt() as interrupt:
        assert not interrupt.requested
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested


def test_the_second_interrupt_is_a_keyboard_interrupt():
    with StopOnInterrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interrupt.requested


def test_the_handler_of_before_is_put_back():
    def own(number, frame):
        heard.append(number)

    heard = []
    before = signal.signal(signal.SIGINT, own)
    try:
        for presses in (0, 1):
            with StopOnInterrupt():
                for _ in range(presses):
                    signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is own
        with pytest.raises(RuntimeError), StopOnInterrupt():
            raise RuntimeError
        assert signal.getsignal(signal.SIGINT) is own
        assert heard == []
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_changed():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with StopOnInterrupt() as interrupt:
            seen.append((signal.getsignal(signal.SIGINT), interrupt.requested))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopOnInterrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert not interrupt.requested
    finally:
        signal.signal(signal.SIGINT, before)
