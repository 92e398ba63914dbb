"""python -m figures.stepper [NAME ...]: record the steps again, or some of them, and write their pages."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from figures.stepper import STEPS
from minidl import using
from minidl.files.writing import write_atomically

HERE = Path(__file__).parent
README = """\
# Recorded steps

Each of these pages is one file: download it and open it from the disk, nothing else is needed. The arrow keys go from
event to event, forward and back; [ and ] to the next phase; a click on a value shows its number, its gradient and the
line that made it. The script of the same name makes the page; `python -m figures.stepper` makes all of them again, and
tests hold them, and what is said here of them, to the numbers. [What other tools show of a
step](../../docs/stepper_beside_others.md).
"""


def main(arguments: list[str] | None = None) -> int:
    """Make the pages that are named, or all; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m figures.stepper", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"out of {', '.join(STEPS)} (default: all)")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="the folder (default: figures/stepper)")
    parser.add_argument("--chromium", metavar="PATH", help="the browser for the pictures (default: Playwright's)")
    parser.add_argument("--no-pictures", action="store_true", help="write the pages alone")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in STEPS]
    if unknown:
        parser.error(f"there is no step {unknown[0]!r}; there are {', '.join(STEPS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    claims = {}
    names = options.names or list(STEPS)
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name:<26}", end="", flush=True)
        begin = time.perf_counter()
        tapes = recorded(name)
        page = options.out / f"{name}.html"
        tapes[0].save_html(page, *tapes[1:])
        if not options.no_pictures:
            picture(page, script(name).MOMENT, 850 if len(tapes) == 1 else 1100, options.chromium)
        claims[name] = script(name).claim(*tapes)
        print(f"{time.perf_counter() - begin:5.1f} s  {page.stat().st_size // 1000} KB  {claims[name]}")
    if options.out == HERE:
        write_atomically(HERE / "README.md", readme().encode())
    return 0


def script(name: str) -> Any:
    """The script of a step."""
    return importlib.import_module(f"figures.stepper.{name}")


def recorded(name: str) -> Any:
    """The tapes of a step, recorded now: one, or two to be laid side by side."""
    with using("numpy"):  # small examples, the same everywhere
        return script(name).make()


def picture(page: Path, moment: str, height: int, chromium: str | None) -> None:
    """A png of the page at a moment, beside it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        tab = browser.new_page(viewport={"width": 1360, "height": height})
        tab.goto(f"{page.resolve().as_uri()}#{moment}")
        tab.wait_for_timeout(1500)
        for rates in tab.get_by_role("heading", name="the weight moves").all():  # of an update they are the point
            rates.evaluate("heading => heading.scrollIntoView({block: 'center'})")
        seen = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
        browser.close()
    few = seen.quantize(256, dither=Image.Dither.NONE)  # half as large, and looks the same
    png = io.BytesIO()
    few.save(png, "png", optimize=True)
    write_atomically(page.with_suffix(".png"), png.getvalue())


def readme() -> str:
    """The page that lists the steps: the question, the picture, what its script says, and its claim."""
    parts = [README]
    for name, question in STEPS.items():
        module = script(name)
        said = module.__doc__.split("\n\n", 1)[1].strip().replace("\n", " ")
        link = f"{name}.html#{module.MOMENT}"
        claim = module.claim(*recorded(name))
        parts.append(
            f"## {question}\n\n[![{name}]({name}.png)]({link})\n\n{said}\n\n{claim} "
            f"([the page]({link}), [`{name}.py`]({name}.py))\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
