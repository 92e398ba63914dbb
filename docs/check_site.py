"""Open every page of the built site from the disk, as on a phone and on a desk, and say what is wrong with it.

    python docs/check_site.py build/site

Wrong is: an error on the browser's console, a file that is not there, anything asked of a network, a page that moves
sideways on a phone, and, on one page of each kind, a finding of axe-core (accessibility). A link to a page or file of
the site that does not exist counts too.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from playwright.sync_api import Page, sync_playwright

AXE = Path(__file__).parents[1] / "minidl" / "stepper" / "page" / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
LINK = re.compile(r'(?:href|src)="([^"#?]+)')
KINDS = {  # where axe-core looks too: it takes seconds on a page
    "index.html",
    "start.html",
    "tutorials.html",
    "paper.html",
    "figures/README.html",
    "figures/stepper/README.html",
    "figures/reproduction/README.html",
    "docs/debugging.html",
    "docs/fast.html",
    "api/optim.html",
    "tutorials/notebooks/03_tensors.html",
    "source/minidl/nn/linear.html",
}
OWN = ("figures/stepper/", "tutorials/pages/", "lite/")  # pages that are not Sphinx's, with tests of their own


def pages(site: Path) -> list[Path]:
    """The pages that Sphinx made, and one of those with the source of a module, which are all of one kind."""
    found = (page for page in sorted(site.rglob("*.html")) if not str(page.relative_to(site)).startswith(OWN))
    return [page for page in found if "source" not in page.parts or page.name == "linear.html"]


def broken_links(site: Path) -> list[str]:
    """Links that lead nowhere on the disk."""
    wrong = []
    for page in pages(site):
        for link in set(LINK.findall(page.read_text(encoding="utf-8"))):
            if not re.match(r"[a-z]+:|//", link) and not (page.parent / unquote(link)).exists():
                wrong.append(f"{page.relative_to(site)}: {link} is not there")
    return wrong


def look(page: Page, path: Path, axe: str) -> list[str]:
    """What is wrong with a page at the size the browser has; `axe` is the program of axe-core, or empty."""
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on(
        "request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:")) else None
    )
    page.goto(path.as_uri())
    page.wait_for_load_state("load")
    found = [f"console: {text}" for text in said] + [f"asked the network for {url}" for url in asked]
    wide: Any = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        found.append(f"moves sideways by {wide} pixels")
    if axe:
        page.evaluate(axe)
        for finding in page.evaluate("axe.run().then((r) => r.violations)"):
            places = [node["target"] for node in finding["nodes"][:2]]
            found.append(f"axe: {finding['id']} ({finding['impact']}), {len(finding['nodes'])} times: {places}")
    return found


def main() -> None:
    """Look at everything, print what is wrong, and fail if anything is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "/usr/bin/chromium"))
    options = parser.parse_args()
    site = options.site.resolve()
    wrong = broken_links(site)
    axe = AXE.read_text(encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium)
        for words, size, scheme in (("phone", PHONE, "light"), ("desk", DESK, "light"), ("desk, dark", DESK, "dark")):
            context = browser.new_context(viewport=size, color_scheme=scheme)
            for path in pages(site):
                name = path.relative_to(site).as_posix()
                if scheme == "dark" and name not in KINDS:
                    continue
                page = context.new_page()
                found = look(page, path, axe if name in KINDS else "")
                wrong += [f"{name} ({words}): {text}" for text in found]
                page.close()
            context.close()
        browser.close()
    print("\n".join(wrong) or f"{len(pages(site))} pages, as on a phone and on a desk: nothing is wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
