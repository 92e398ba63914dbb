"""Panels together in an image, or each alone on a page."""

from minidl.experiments.reproduce.picture import Picture


def test_panels_are_drawn_together_or_alone_and_labelled_afterwards():
    order = []

    def panel(name):
        def draw(ax):
            order.append(name)
            ax.plot([0, 1], [0, 1])
            return lambda: order.append(f"label {name}")

        return draw

    picture = Picture("p", "A claim.", (panel("a"), panel("b"), lambda ax: None), {"x": 1}, across=2)
    together = picture.together()
    assert order == ["a", "b", "label a", "label b"]
    assert [ax.get_visible() for ax in together.axes] == [True, True, True, False]
    assert (together.caption, together.numbers) == ("A claim.", {"figure": "p", "x": 1})
    alone = picture.alone(1)
    assert order[4:] == ["b", "label b"]
    assert len(alone.axes) == 1
    assert alone.get_size_inches()[0] * 96 <= 358  # a phone's page without its margins
