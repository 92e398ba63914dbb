"""minidl/fast/cpu/layouts.py: the same numbers as a plain copy, by way of other memory where channels collide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.fast.cpu import layouts
from tests.factory import examples


def images(shape, dtype="float32"):
    """(N, C, H, W) with numbers that all differ, seen as (N, H, W, C)."""
    return np.arange(np.prod(shape)).reshape(shape).clip(max=60_000).astype(dtype).transpose(0, 2, 3, 1)


@pytest.mark.parametrize(
    ("shape", "dtype", "collide"),
    [
        ((2, 64, 32, 32), "float32", True),  # 4 KiB apart
        ((2, 8, 32, 32), "float32", False),  # eight of them fit
        ((2, 9, 32, 32), "float32", True),
        ((2, 64, 30, 30), "float32", False),
        ((2, 64, 16, 16), "float32", True),  # 1 KiB: four times as many lines
        ((2, 32, 16, 16), "float32", False),
        ((2, 64, 64, 64), "float32", True),
        ((2, 16, 16, 32), "float64", True),
        ((0, 64, 32, 32), "float32", False),
        ((2, 64, 1, 1), "float32", False),
    ],
)
def test_channels_collide_where_a_power_of_two_lies_between_too_many(shape, dtype, collide):
    x = images(shape, dtype)
    assert layouts.collides(x) is collide
    assert not layouts.collides(np.ascontiguousarray(x))
    assert not layouts.collides(np.empty((1, 2, 2, 16384), np.float32))  # they lie side by side
    assert not layouts.collides(np.broadcast_to(np.float32(1), (2, 4, 4, 64)))


@examples(60)
@given(st.data())
def test_a_copy_is_a_copy(data):
    sizes = st.sampled_from([0, 1, 2, 3, 5, 8, 16])
    shape = tuple(data.draw(sizes) for _ in range(4))
    x = images(shape, data.draw(st.sampled_from(["float32", "float64", "float16"])))
    part = x[data.draw(st.sampled_from([np.s_[:], np.s_[1:], np.s_[::-1], np.s_[:, 1:, :-1], np.s_[:, ::2]]))]
    target = np.full((*part.shape[:3], part.shape[3] + 2), -1, data.draw(st.sampled_from(["float32", "float64"])))
    out = target[..., 1:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layouts, "SOME", data.draw(st.sampled_from([1, 100, layouts.SOME])))
        patch.setattr(layouts, "CACHE", data.draw(st.sampled_from([0, layouts.CACHE])))  # 0: everything collides
        layouts.copy_together(part, out)
    np.testing.assert_array_equal(out, part)
    assert (target[..., 0] == -1).all()
    assert (target[..., -1] == -1).all()


def test_it_goes_by_way_of_other_memory_only_where_channels_collide(monkeypatch):
    asked = []
    monkeypatch.setattr(layouts, "workspace", lambda name, shape, dtype: asked.append(shape) or np.empty(shape, dtype))
    for shape in ((2, 64, 30, 30), (2, 64, 32, 32)):
        x = images(shape)
        layouts.copy_together(x, np.empty(x.shape, x.dtype))
    assert asked == [(64, 32 * 32 + 16)]  # 64 bytes more a channel: the next line
    first = np.empty((64, 2, 32, 32), np.float32).transpose(1, 2, 3, 0)  # the channels lie apart in the result too
    layouts.copy_together(images((2, 64, 32, 32)), first)
    assert len(asked) == 1


def test_together_gives_what_it_got_where_that_is_in_order():
    x = np.ascontiguousarray(images((2, 3, 4, 5)))
    assert layouts.together(x, np.dtype("float32")) is x
    wide = layouts.together(x, np.dtype("float64"))
    assert wide.dtype == "float64"
    np.testing.assert_array_equal(wide, x)
    turned = layouts.together(images((2, 64, 32, 32)), np.dtype("float32"))
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, images((2, 64, 32, 32)))
