"""The same blocks as GitHub's markdown and as a web page."""

import re

from minidl.experiments.reproduce.page import Folded, Heading, Points, Shown, Table, Text, as_html, as_markdown
from minidl.experiments.reproduce.picture import Picture

BLOCKS = [
    Heading(2, "A < B", "there"),
    Text("**Bold**, `code`, [a link](x.json) & 1/|g|."),
    Text("Mind\nthis.", "note"),
    Points(["one", "two"]),
    Table(("arm", "a | b"), [("**ln**", "1 \u00b1 2")]),
    Shown(Picture("curves", "A claim. How to read [it].", (lambda ax: None, lambda ax: None))),
    Folded("More & more", [Text("inside")]),
]


def test_markdown():
    text = as_markdown(BLOCKS)
    assert "## A &lt; B\n\n**Bold**, `code`, [a link](x.json) & 1/|g|.\n\n> Mind this.\n\n- one\n- two\n" in text
    assert "| arm | a \\| b |\n| --- | ---: |\n| **ln** | 1 \u00b1 2 |" in text
    assert "![A claim](curves.png)\n\nA claim. How to read [it]." in text
    assert "<details>\n<summary>More &amp; more</summary>\n\ninside\n\n</details>" in text


def test_html():
    page = as_html("Q & A", BLOCKS, lambda picture, k: f"<svg>{picture.name}{k}</svg>")
    assert "<title>Q &amp; A</title>" in page
    assert '<h2 id="there">A &lt; B</h2>' in page
    assert '<b>Bold</b>, <code>code</code>, <a href="x.json">a link</a> &amp; 1/|g|.' in page
    assert '<p class="note">Mind\nthis.</p>' in page
    assert '<tr><th scope="row"><b>ln</b></th><td data-of="a | b">1 \u00b1 2</td></tr>' in page
    assert '<div class="panel"><svg>curves0</svg></div><div class="panel"><svg>curves1</svg></div>' in page
    assert "<summary>More &amp; more</summary>\n<p>inside</p>" in page


def test_the_page_needs_nothing_beside_it_and_fits_light_dark_and_narrow_screens():
    page = as_html("Q", BLOCKS, lambda picture, k: "")
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport" content="width=device-width' in page
    assert "@media (max-width: 44rem)" in page


def test_what_no_page_should_be_sent_is_written_out():
    assert "\x1b" not in as_markdown([Text("a \x1b[31m b")]) + as_html("t", [Text("a \x1b b")], lambda p, k: "")
    assert "<script>" not in as_html("t", [Text("<script>")], lambda p, k: "")
