from itertools import pairwise

from minidl.plot.graph_layout import layout


def test_ranks_follow_the_longest_way_and_what_is_given_stands_just_before_its_reader():
    found = layout(5, [(0, 2), (2, 3), (1, 4), (3, 4)])
    assert found.rank == [0, 2, 1, 2, 3]


def test_a_chain_is_straight_and_leaves_stand_beside_it():
    edges = [(0, 3), (1, 3), (3, 4), (2, 5), (4, 5)]
    found = layout(6, edges)
    assert len({found.place[i] for i in (3, 4, 5)}) == 1
    assert sorted(abs(found.place[i] - found.place[3]) for i in (0, 1)) == [0, 1]
    assert abs(found.place[2] - found.place[4]) == 1


def test_no_two_boxes_touch_and_a_long_edge_goes_round():
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (1, 4)]
    found = layout(5, edges)
    route = found.routes[edges.index((1, 4))]
    assert [rank for rank, _ in route] == [1, 2, 3, 4]
    for rank, place in route[1:-1]:
        others = [found.place[i] for i in range(5) if found.rank[i] == rank]
        assert all(abs(place - other) >= 1 - 1e-9 for other in others)


def test_a_wide_graph_keeps_its_distances():
    found = layout(30, [(i, 20 + i % 10) for i in range(20)] + [(i, i + 1) for i in range(20, 29)])
    for rank in set(found.rank):
        row = sorted(found.place[i] for i in range(30) if found.rank[i] == rank)
        assert all(b - a >= 1 - 1e-9 for a, b in pairwise(row))
