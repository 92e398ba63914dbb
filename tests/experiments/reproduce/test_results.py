"""result.json: strict JSON of a known form, and numbers that are short."""

import json
import math
import time

import numpy as np
import pytest

from minidl.experiments.reproduce import results
from minidl.experiments.reproduce.results import Stopwatch, as_text, commit, machine, read_replay, rounded, write_replay


def test_numbers_have_six_digits_and_what_is_not_finite_is_null():
    numbers = [math.nan, math.inf, np.float64(2e-9 / 3)]
    given = {"a": 1 / 3, "b": numbers, "c": np.int64(3), "d": (True, np.bool_(False))}
    assert rounded(given) == {"a": 0.333333, "b": [None, None, 6.66667e-10], "c": 3, "d": [True, False]}
    assert rounded(np.array([1.23456]), 3) == [1.23]
    assert json.loads(as_text(rounded(given))) == rounded(given)


def test_what_is_replayed_keeps_all_its_bits(tmp_path):
    multipliers = np.random.default_rng(0).random(50) + 1
    write_replay(tmp_path, multipliers)
    assert np.array_equal(read_replay(tmp_path), multipliers)


def test_a_damaged_replay_says_what_to_delete(tmp_path):
    (tmp_path / "replay.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"replay.npz is damaged.* Delete the folder .* is done again"):
        read_replay(tmp_path)
    (tmp_path / "replay.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"Delete the folder .* is done again"):
        read_replay(tmp_path)


def test_a_result_of_another_form_says_what_to_do(tmp_path):
    for text, words in (("{}", "is not a result that this version can read"), ("[]", "is damaged")):
        (tmp_path / "result.json").write_text(text)
        with pytest.raises(ValueError, match=rf"result\.json {words}.*delete it, and the run is done again"):
            results.read_result(tmp_path)


def test_a_damaged_result_is_named(tmp_path):
    (tmp_path / "result.json").write_text('{"format": 1, "spec": ')
    with pytest.raises(ValueError, match=r"result\.json is damaged: delete it"):
        results.read_result(tmp_path)
    (tmp_path / "result.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match=r"result\.json is not a result that this version can read"):
        results.read_result(tmp_path)


def test_where_it_was_run_is_said():
    assert machine().endswith(("cores", "core"))
    assert commit() is None or len(commit().rstrip("+")) >= 7
    assert results.versions()["numpy"] == np.__version__


def test_a_stopwatch_counts_only_while_it_runs():
    clock = Stopwatch(10.0, 5.0)
    assert clock.read() == (10.0, 5.0)
    clock.start()
    time.sleep(0.01)
    clock.stop()
    stopped = clock.read()
    assert stopped[0] >= 10.01
    time.sleep(0.01)
    assert clock.read() == stopped
