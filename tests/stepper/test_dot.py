"""A tape's graph in Graphviz's language."""

from __future__ import annotations

import re

import numpy as np

import minidl as md
import minidl.functional as F
from tests.stepper import pages


def test_ops_stand_in_frames_and_a_square_has_two_edges() -> None:
    text = pages.lenet().to_dot()
    assert text.startswith("digraph tape {")
    assert text.count("{") == text.count("}")
    assert 'label="conv1: Conv2d 1->20, 5x5";' in text
    assert 'label="conv1.weight (20, 1, 5, 5)"' in text
    assert len(re.findall(r"e0 -> e1 ", pages.small().to_dot())) == 2


def test_a_leaf_that_is_used_twice_by_one_op_is_one_box_with_two_edges() -> None:
    w = md.tensor(np.ones(2), requires_grad=True)
    with md.record() as tape:
        F.sum(w * w)
    text = tape.to_dot()
    assert text.count('label="w (2,)"') == 1
    assert text.count("l0_0 -> e0;") == 2


def test_a_name_stays_a_name() -> None:
    w = md.tensor(np.ones(2), requires_grad=True)
    w.name = 'a"]; evil [label="\\n\x1b'
    with md.record() as tape:
        F.sum(w * 2)
    (line,) = [line for line in tape.to_dot().splitlines() if "evil" in line]
    assert re.fullmatch(r'  l0_0 \[shape=ellipse, label="(?:[^"\\]|\\.)*"\];', line)
    assert "\x1b" not in line
