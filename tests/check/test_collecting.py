"""The results of checks are collected for who grades a file."""

from __future__ import annotations

from minidl.check.collecting import collected
from tests.tutorials.sample.exercises import t00_slope, t00_why


def test_what_is_checked_inside_is_collected_and_of_two_tries_the_last_counts() -> None:
    with collected() as results:
        t00_slope(0.5, show=False)
        t00_slope(2.0, show=False)
    t00_why("b", show=False)
    assert list(results) == ["t00_slope"]
    assert results["t00_slope"].passed


def test_inside_of_another_one_the_inner_one_collects() -> None:
    with collected() as outer:
        with collected() as inner:
            t00_why("b", show=False)
        assert not outer
        assert list(inner) == ["t00_why"]
