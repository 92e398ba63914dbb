import numpy as np
import pytest

from minidl.plot.words import factor_words, listed, part_words, positional


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (0.0, "nothing"),
        (np.nan, "an unknown part"),
        (1.1, "110%"),
        (0.0163, "1.6%"),
        (1e-3, "0.1%"),
        (1e-5, "0.001%"),
        (5e-8, "1 part in 20,000,000"),
        (1e-200, "less than 1 part in 1,000,000,000,000"),
    ],
)
def test_a_part_in_words(part, words):
    assert part_words(part) == words


def test_factors_numbers_and_lists_in_words():
    assert [factor_words(x) for x in (1.0, 2.34, 12.3, 20400, 1e19)] == ["1", "2.3", "12", "20,000", "10^19"]
    assert [positional(x) for x in (0.00163, 1.0, 1999.0)] == ["0.0016", "1", "2,000"]
    assert [listed(list(text)) for text in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
