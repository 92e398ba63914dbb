"""One tutorial built from its source: the student's notebook, the executed one, slides and pages."""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from minidl.classroom.notebook import notebook_of, text_of_notebook
from minidl.classroom.source import CODE, Cell, read
from minidl.classroom.student import TEACHER, badge, for_students, installing, linked, with_solutions
from tutorials.pictures import with_palette
from tutorials.tidy import tidied

ROOT = Path(__file__).parents[1]
SECONDS = 300  # for a cell, on a slow machine
DPI, SLIDE_DPI = 80, 200
COLOURS = 256  # of a picture's palette: figures have few, and files a third of the size

# What runs before the first cell and after the last one; neither is kept.
_BEFORE = f"""
import matplotlib as _mpl
from matplotlib_inline.backend_inline import set_matplotlib_formats as _formats
_mpl.rcParams["figure.dpi"] = {DPI}
_formats("png")
del _mpl, _formats
"""
_AFTER = """
from tutorials.build import write_slides_and_pages as _write
_write({stem!r}, {folder!r}, globals().get("slides", {{}}), globals().get("pages", {{}}))
"""


def build(source: Path, folder: Path) -> None:
    """Write folder/student, notebooks, slides and pages of one source.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    write_text(folder / "student" / f"{source.stem}.ipynb", student_notebook(source))
    with tempfile.TemporaryDirectory() as aside:
        text = executed_notebook(source, Path(aside))
        write_text(folder / "notebooks" / f"{source.stem}.ipynb", text)
        for kind in ("slides", "pages"):
            target = folder / kind
            target.mkdir(parents=True, exist_ok=True)
            for old in target.glob(f"{source.stem[:2]}_*"):
                old.unlink()
            for new in sorted((Path(aside) / kind).glob("*")):
                (target / new.name).write_bytes(new.read_bytes())


def student_notebook(source: Path) -> str:
    """The text of the student's notebook, which runs nothing."""
    cells = for_students(read(source))
    cells = [badge(source.stem), installing(), *linked(cells, "../pages/")]
    return text_of_notebook(notebook_of(cells))


def executed_notebook(source: Path, aside: Path) -> str:
    """The text of the notebook to read: solutions, outputs, figures. Slides and pages are written into `aside`."""
    cells = read(source)
    teachers = [cell for cell in cells if TEACHER in cell.tags]
    own = linked(with_solutions(cells), "../pages/")
    after = Cell(CODE, _AFTER.format(stem=source.stem, folder=str(aside)))
    found = executed(notebook_of([Cell(CODE, _BEFORE), *own, *teachers, after]), source.parent)
    found["cells"] = [tidied(cell, COLOURS) for cell in found["cells"][1 : 1 + len(own)]]
    count = 0
    for number, cell in enumerate(found["cells"], 1):
        cell["id"] = f"cell-{number:03d}"
        if cell["cell_type"] == CODE:
            count += 1
            cell["execution_count"] = count
            for output in cell["outputs"]:
                if "execution_count" in output:
                    output["execution_count"] = count
    found["metadata"] = notebook_of([])["metadata"]
    return text_of_notebook(found)


def executed(notebook: dict[str, Any], beside: Path, stop: bool = True, **variables: str) -> dict[str, Any]:
    """A notebook after running its cells in a kernel of its own, in an empty folder.

    Args:
        notebook: as json; it is left as it is.
        beside: a folder whose Python files can be imported as well as the repository's.
        stop: whether an error in a cell ends it with that error.
        variables: of the environment.
    """
    import nbformat
    from nbclient import NotebookClient

    path = [str(ROOT), str(beside.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "MINIDL_PROGRESS": "0",
        "PYTHONPATH": os.pathsep.join(path),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "NO_COLOR": "1",
        **variables,
    }
    environment.pop("MPLBACKEND", None)  # the kernel chooses the one that shows figures in cells
    running = nbformat.reads(json.dumps(notebook), as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            running,
            timeout=SECONDS,
            kernel_name="python3",
            allow_errors=not stop,
            record_timing=False,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    return dict(running)


def write_slides_and_pages(stem: str, folder: str, slides: dict[str, Any], pages: dict[str, Any]) -> None:
    """What the teacher's cell made, as files: figures as png, tapes as pages. Called in the kernel.

    Raises:
        ValueError: a name does not begin with the tutorial's number.
    """
    wrong = [name for name in (*slides, *pages) if not name.startswith(f"{stem[:2]}_")]
    if wrong:
        raise ValueError(f"slides and pages of {stem} have names that begin with {stem[:2]}_, not {wrong}")
    for kind in ("slides", "pages"):
        (Path(folder) / kind).mkdir(parents=True, exist_ok=True)
    for name, figure in slides.items():
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=SLIDE_DPI, metadata={"Software": None})
        (Path(folder) / "slides" / f"{name}.png").write_bytes(with_palette(picture.getvalue(), COLOURS))
    for name, tape in pages.items():
        tape.save_html(Path(folder) / "pages" / f"{name}.html")


def write_text(path: Path, text: str) -> None:
    """Write a file, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
