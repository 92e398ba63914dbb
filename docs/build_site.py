"""Make the documentation site from the pages, docstrings, figures and tutorials of this folder.

    pip install -e '.[site]' && python docs/build_site.py build/site        needs Node.js too, for MathJax

The pages are first staged: laid out in a folder of their own as they lie here, so that a link from one to another leads
to the same place in the repository and on the site. A link to a module leads to its source on the site, one to any
other file to a copy of it. A warning of Sphinx's is an error. The site works from a disk, without a network.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE), str(HERE / "sphinx")]

from described import PACKAGES, described  # noqa: E402
from sources import address, write_pages  # noqa: E402

MATHJAX = HERE / "sphinx" / "node_modules" / "mathjax" / "es5" / "tex-svg.js"
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "minidl/data/DIGITS.md", "LICENSE")
FOLDERS = ("docs", "figures", "tutorials", "benchmarks")
KEPT = {".md", ".png", ".html", ".ipynb", ".json", ".svg"}
LEFT_OUT = ("docs/sphinx/", "docs/reference/", "tutorials/student/")
SHOWN = re.compile(r"minidl/.*\.py|tutorials/\d\d_\w+\.py")  # files with a page of their own, coloured
LITE = re.compile(r"% JupyterLite\n.*?\n\n", re.DOTALL)  # a paragraph
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s]+)(\))")
CODE = re.compile(r"^(```|~~~).*?^\1[ ]*$", re.MULTILINE | re.DOTALL)


def staged(path: str) -> bool:
    """Whether a file of the repository, by its path, is one of the site's."""
    if path in PAGES:
        return True
    inside = path.startswith(tuple(f"{folder}/" for folder in FOLDERS))
    return inside and Path(path).suffix in KEPT and not path.startswith(LEFT_OUT)


def files() -> list[str]:
    """What Git knows of, so that nothing that lies about gets onto the site."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return found.splitlines()


class Links:
    """Rewrites the links of a page."""

    def __init__(self, stage: Path, known: list[str]) -> None:
        self.stage = stage
        self.files = set(known)
        self.folders = {str(parent) for name in known for parent in Path(name).parents}

    def rewrite(self, text: str, page: str) -> str:
        """The text of a page at `page`, with its links as the site has them; blocks of code are left as they are."""
        out, end = [], 0
        for block in CODE.finditer(text):
            out += [self._rewrite(text[end : block.start()], page), block.group()]
            end = block.end()
        return "".join([*out, self._rewrite(text[end:], page)])

    def _rewrite(self, text: str, page: str) -> str:
        # An image that is a link: the image first, then what is around it.
        text = re.sub(
            r"\[(!\[[^\]]*\]\([^)\s]+\))\]\(([^)\s]+)\)", lambda m: f"[{m[1]}]({self._target(m[2], page)})", text
        )
        return LINK.sub(lambda m: m[1] + self._target(m[2], page) + m[3], text)

    def _target(self, link: str, page: str) -> str:
        if re.match(r"[a-z]+:|#", link):
            return link
        path, hash_, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path))
        relative = os.path.relpath(target, os.path.dirname(page) or ".")
        reference = re.fullmatch(r"docs/reference/(\w+)\.md", target)
        if reference:
            return os.path.relpath(f"api/{reference[1]}.md", os.path.dirname(page) or ".")
        if staged(target) and target.endswith((".md", ".ipynb", ".png", ".svg")):
            return f"{relative}{hash_}{anchor}"
        if target in self.files and target.endswith(".html"):
            return self._beside(relative, hash_ + anchor)
        if target in self.files and SHOWN.fullmatch(target):
            return self._beside(os.path.relpath(address(target), os.path.dirname(page) or "."))
        if target in self.files:
            # A browser shows a text, and saves a notebook.
            copy = f"files/{target}" if target.endswith(".ipynb") else f"files/{target}.txt"
            (self.stage / "_extra" / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / target, self.stage / "_extra" / copy)
            return self._beside(os.path.relpath(copy, os.path.dirname(page) or "."))
        if target in self.folders:
            inside = [f"{target}/README.md", f"{target}/__init__.py", *sorted(self.files)]
            file = next(f for f in inside if f in self.files and f.startswith(f"{target}/"))
            return self._target(os.path.relpath(file, os.path.dirname(page) or "."), page)
        raise SystemExit(f"{page}: the link {link} leads to no file of the repository")

    @staticmethod
    def _beside(relative: str, anchor: str = "") -> str:
        """A file of the finished site that is no page of Sphinx's: conf.py makes plain links of these schemes."""
        return f"at:{relative}{anchor}" if anchor else f"site:{relative}"


def stage_pages(stage: Path) -> None:
    """Lay out the pages, and what they show."""
    known = files()
    links = Links(stage, known)
    for name in known:
        if not staged(name) or name == "LICENSE":
            continue
        target = stage / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".md"):
            target.write_text(links.rewrite((ROOT / name).read_text(encoding="utf-8"), name), encoding="utf-8")
        elif name.endswith((".html", ".json")):
            extra = stage / "_extra" / name
            extra.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, extra)
        elif name.endswith(".ipynb"):
            target.write_text(rewritten_notebook(links, name), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / name, target)

    write_pages(ROOT, [name for name in known if SHOWN.fullmatch(name)], stage / "_extra")


def rewritten_notebook(links: Links, name: str) -> str:
    """A notebook with the links of its texts as the site has them."""
    notebook = json.loads((ROOT / name).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = links.rewrite("".join(cell["source"]), name).splitlines(keepends=True)
    return json.dumps(notebook)


def api_page(file: str) -> str:
    """The page of a package: every public name with its whole docstring, which ends with examples."""
    package, prefix = PACKAGES[file]
    lines = [f"# {package.__name__}", "", *api_words(package), ""]
    for name, thing in described(file).items():
        full = f"{package.__name__}.{name}"
        own = thing.__name__ == name
        directive = "autoclass" if isinstance(thing, type) else "autofunction"
        if not own:
            lines += [f"(api-{file}-{name})=", f"`{prefix}{name}` is the same as `{prefix}{thing.__name__}`.", ""]
            continue
        lines += ["```{eval-rst}", f".. {directive}:: {full}"]
        lines += ["   :members:", ""] if isinstance(thing, type) else [""]
        lines += ["```", ""]
    return "\n".join(lines)


def api_words(package: object) -> Iterator[str]:
    """The first paragraph of the package's docstring."""
    yield " ".join((getattr(package, "__doc__", "") or "").split("\n\n")[0].split())


def build_lite(out: Path) -> None:
    """JupyterLite with the students' notebooks in out/lite, and minidl's wheel for them to install.

    It needs a server (`python -m http.server`), and fetches Python and NumPy for the browser from Pyodide's network.
    """
    with tempfile.TemporaryDirectory() as aside:
        wheels = Path(aside, "wheels")
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), str(ROOT)]
        subprocess.run(pip, check=True)
        wheel = next(wheels.glob("minidl-*.whl"))
        student = ROOT / "tutorials" / "student"
        command = ["jupyter", "lite", "build", "--contents", str(student), "--output-dir", str(out / "lite")]
        command[0] = str(Path(sys.executable).with_name("jupyter"))
        done = subprocess.run([*command, "--piplite-wheels", str(wheel)], cwd=aside, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
    index = (out / "lite" / "pypi" / "all.json").read_text(encoding="utf-8")
    if wheel.name not in index:
        raise SystemExit(f"JupyterLite's index of wheels has no {wheel.name}")


def main() -> None:
    """Stage, and let Sphinx make the site."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, help="folder of the site; what is in it is replaced")
    parser.add_argument("--warnings", action="store_true", help="list warnings instead of failing at them")
    parser.add_argument("--lite", action="store_true", help="with JupyterLite, 70 MB, for the students' notebooks")
    options = parser.parse_args()

    if not MATHJAX.exists():
        raise SystemExit(f"MathJax is missing: cd {HERE / 'sphinx'} && npm ci --ignore-scripts")
    out = options.out.resolve()
    stage = out.with_name(out.name + "-pages")
    shutil.rmtree(stage, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    stage.mkdir(parents=True)
    stage_pages(stage)
    (stage / "api").mkdir()
    for file in PACKAGES:
        (stage / "api" / f"{file}.md").write_text(api_page(file) + "\n", encoding="utf-8")
    shutil.copytree(HERE / "sphinx" / "pages", stage, dirs_exist_ok=True)
    mathjax = stage / "_extra" / "_static" / "mathjax"
    mathjax.mkdir(parents=True)
    shutil.copyfile(MATHJAX, mathjax / MATHJAX.name)
    if not options.lite:
        page = stage / "tutorials.md"
        page.write_text(LITE.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")
    strict = [] if options.warnings else ["-W", "--keep-going"]
    settings = ["-c", str(HERE / "sphinx"), "-D", f"html_extra_path={stage / '_extra'}"]
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", *settings, *strict, "-j", "auto"]
    done = subprocess.run([*command, str(stage), str(out)], cwd=ROOT, env={**os.environ, "MPLBACKEND": "Agg"})
    if done.returncode:
        sys.exit(done.returncode)
    if options.lite:
        build_lite(out)
    print(f"the site is in {options.out}: open {options.out / 'index.html'}")


if __name__ == "__main__":
    main()
