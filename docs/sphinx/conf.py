"""How Sphinx makes the site of the staged pages (docs/build_site.py calls it)."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "docs"), str(ROOT)]

from described import is_described, signature  # noqa: E402
from docstrings import restructured  # noqa: E402
from sources import place_of  # noqa: E402

from minidl.version import __version__  # noqa: E402

project = "minidl"
author = "the minidl authors"
copyright = "the minidl authors, MIT licence"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.linkcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
root_doc = "index"
nitpicky = False
language = "en"

# Pages are Markdown as GitHub shows it, with formulas; notebooks come executed and are not run again.
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
# "site:" leads to what is on the finished site and is no page of Sphinx's: a module's source, a page of the stepper.
myst_url_schemes = {"http": None, "https": None, "mailto": None, "site": "{{path}}", "at": "{{path}}#{{fragment}}"}
exclude_patterns = ["_extra"]
nb_execution_mode = "off"
nb_merge_streams = True

# The reference: in the order of the pages, types left to the text.
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
# A page may begin with a section of the second order, as the README does; one that another leads to need be in no list.
suppress_warnings = ["myst.header", "toc.not_included"]

html_theme = "furo"
html_title = "minidl"
html_static_path = ["_static"]
html_css_files = ["minidl.css"]
html_js_files = ["minidl.js"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#1b5e9b", "color-brand-content": "#1b5e9b"},
    "dark_css_variables": {"color-brand-primary": "#7ab8f5", "color-brand-content": "#7ab8f5"},
}
mathjax_path = "mathjax/tex-svg.js"  # the site's own copy: it works from a disk, offline
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
html_context = {"default_mode": "auto"}


def linkcode_resolve(domain: str, info: dict[str, str]) -> str | None:
    """Where "[source]" leads, from a page of api/."""
    thing: Any = import_module(info["module"])
    for part in info["fullname"].split("."):
        thing = getattr(thing, part, None)
    place = place_of(ROOT, thing.fget if isinstance(thing, property) else thing)
    return f"../{place}" if place else None


def _restructure(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def _sign(
    app: Any, what: str, name: str, thing: Any, options: Any, signed: str, returned: str
) -> tuple[str, str] | None:
    """A signature as the other pages show it: without types, defaults by their names."""
    if what not in ("class", "function") or not is_described(thing) or "(" not in signature(thing):
        return None
    return signature(thing).removeprefix(thing.__name__), ""  # of an error the name alone


def _left_out(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """`plain` of a layer that has faster versions is the engine's business."""
    return True if name == "plain" and isinstance(thing, type) else None


def setup(app: Any) -> None:
    """Docstrings are rewritten before napoleon reads their sections."""
    app.connect("autodoc-process-docstring", _restructure, priority=100)
    app.connect("autodoc-process-signature", _sign)
    app.connect("autodoc-skip-member", _left_out)
