import math

import numpy as np
import pytest

import minidl as md
from minidl import nn
from tests.arrays import host, tensor


def test_sines_and_cosines_are_the_papers_formula():
    added = host(nn.SinusoidalPositions(6, 50)(tensor(np.zeros((50, 6), np.float32))))
    for t in (0, 1, 7, 49):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            np.testing.assert_allclose(added[t, 2 * i : 2 * i + 2], [math.sin(angle), math.cos(angle)], atol=1e-5)


def test_a_step_further_is_the_same_rotation_everywhere():
    table = host(nn.SinusoidalPositions(8, 100).table).astype(np.float64)
    pairs = (table[:, 0::2] + 1j * table[:, 1::2]).conj() * 1j  # cos + i sin, as one complex number
    turned = pairs[5:] / pairs[:-5]
    np.testing.assert_allclose(turned, np.tile(turned[0], (95, 1)), atol=1e-5)


@pytest.mark.parametrize("make", [nn.SinusoidalPositions, nn.LearnedPositions])
def test_each_position_gets_its_vector(make):
    x = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32)
    layer = make(4, 7, batch_first=True)
    vectors = host(layer.vectors())[:5]
    np.testing.assert_array_equal(host(layer(tensor(x))), x + vectors)
    np.testing.assert_array_equal(host(layer(tensor(x[0]))), x[0] + vectors)
    layer.batch_first = False
    np.testing.assert_array_equal(host(layer(tensor(x.swapaxes(0, 1)))), (x + vectors).swapaxes(0, 1))


def test_learned_ones_are_learned_and_the_others_are_part_of_the_state():
    learned, fixed = nn.LearnedPositions(4, 300), nn.SinusoidalPositions(4, 300)
    assert [name for name, _ in learned.named_parameters()] == ["weight"]
    assert host(learned.weight).std() == pytest.approx(0.02, rel=0.1)
    assert fixed.parameters() == []
    assert list(fixed.state_dict()) == ["table"]
    learned(tensor(np.ones((3, 2, 4), np.float32))).sum().backward()
    np.testing.assert_array_equal(host(learned.weight.grad)[:, 0], [2.0] * 3 + [0.0] * 297)


@pytest.mark.parametrize("make", [nn.SinusoidalPositions, nn.LearnedPositions])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtypes_and_zero_lengths(make, dtype):
    layer = make(4, 7, batch_first=True).to(dtype=dtype)
    assert layer(tensor(np.ones((2, 0, 4), dtype))).shape == (2, 0, 4)
    assert layer(tensor(np.ones((2, 3, 4), dtype))).dtype == dtype


def test_they_say_what_they_are_and_what_they_want():
    assert repr(nn.LearnedPositions(4, 7)) == "LearnedPositions(7, 4)"
    assert repr(nn.SinusoidalPositions(4, 7, batch_first=True)).endswith("(7, 4, max_length=7, batch_first=True)")
    with pytest.raises(ValueError, match="LearnedPositions: max_length: expected a whole number of at least 1; got 0"):
        nn.LearnedPositions(4, 0)
    layer = nn.LearnedPositions(4, 7, batch_first=True)
    for shape in ((2, 8, 4), (2, 7, 5), (4,), (1, 2, 7, 4)):
        with pytest.raises(md.ShapeError, match=r"expected x \(N, T, 4\) or \(T, 4\), with T at most 7; got"):
            layer(tensor(np.ones(shape, np.float32)))
    with pytest.raises(md.ShapeError, match=r"expected x \(T, N, 4\)"):
        nn.SinusoidalPositions(4, 7)(tensor(np.ones((8, 2, 4), np.float32)))
