"""The package's source as pages of the site: coloured, with numbered lines that one can link to."""

from __future__ import annotations

import html
import inspect
import os
from pathlib import Path
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name} - minidl</title>
<link rel="stylesheet" href="{top}source/source.css">
</head>
<body>
<header><a href="{top}index.html">minidl</a> <h1>{name}</h1></header>
<main tabindex="0">{code}</main>
</body>
</html>
"""
OWN = """\
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; background: #fff; color: #1c1c1c; }
header { padding: 8px 16px; border-bottom: 1px solid #ddd; }
header a { color: #1b5e9b; }
h1 { display: inline; font: 600 15px ui-monospace, monospace; margin-left: 12px; }
main { overflow-x: auto; padding: 8px 16px; }
pre { margin: 0; font: 13.5px/1.5 ui-monospace, monospace; }
.linenos { user-select: none; padding-right: 14px; color: #666; }
span:target { background: #fff3c4; }
@media (prefers-color-scheme: dark) {
  body { background: #131416; color: #ddd; }
  header { border-color: #333; }
  header a { color: #7ab8f5; }
  .linenos { color: #999; }
  span:target { background: #4a3f10; }
}
"""


def address(path: str) -> str:
    """Where the page of a file is on the site: `minidl/nn/linear.py` is at `source/minidl/nn/linear.html`."""
    return f"source/{path.removesuffix('.py')}.html"


def write_pages(root: Path, paths: list[str], into: Path) -> None:
    """A page for each of the files, and the sheet of styles that they share."""
    light = HtmlFormatter(style="default", linenos="inline", linespans="L")
    dark = HtmlFormatter(style="github-dark")
    (into / "source").mkdir(parents=True, exist_ok=True)
    style = "\n".join([OWN, light.get_style_defs("main"), "@media (prefers-color-scheme: dark) {"])
    (into / "source" / "source.css").write_text(
        f"{style}\n{dark.get_style_defs('main')}\nmain pre span.linenos {{ color: #9aa0a6; }}\n}}\n", encoding="utf-8"
    )
    lexer = PythonLexer(stripnl=False)
    for path in paths:
        target = into / address(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        code = highlight((root / path).read_text(encoding="utf-8"), lexer, light)
        top = "../" * (path.count("/") + 1)
        target.write_text(PAGE.format(name=html.escape(path), top=top, code=code), encoding="utf-8")


def place_of(root: Path, thing: Any) -> str | None:
    """The page and line of a class or function of the package; None if it has none."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(thing))
        line = inspect.getsourcelines(inspect.unwrap(thing))[1]
    except (TypeError, OSError):
        return None
    path = os.path.relpath(file or "", root)
    return None if path.startswith("..") else f"{address(Path(path).as_posix())}#L-{line}"
