"""Make what is made from the tutorials' sources: `python -m tutorials`.

    python -m tutorials                   all of them
    python -m tutorials 03_tensors        one
    python -m tutorials --student         only the notebooks for students, which run nothing
    python -m tutorials --check           say whether what is there equals a rebuild; change nothing

From tutorials/NN_name.py come student/NN_name.ipynb (solutions out), notebooks/NN_name.ipynb (with solutions, outputs
and figures, to read), slides/NN_*.png and pages/NN_*.html (from its cell for the teacher). This needs the extra
`tutorials`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from minidl.classroom.source import sources
from tutorials.build import build, student_notebook, write_text
from tutorials.compare import differences

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Build or check; 1 if something failed or differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tutorials", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stems", nargs="*", metavar="STEM", help="such as 03_tensors (default: all)")
    parser.add_argument("--check", action="store_true", help="compare with a rebuild, write nothing")
    parser.add_argument("--student", action="store_true", help="only the students' notebooks")
    options = parser.parse_args(arguments)
    there = sources(HERE)
    unknown = [stem for stem in options.stems if stem not in there]
    if unknown:
        parser.error(f"there is no tutorial {', '.join(unknown)}; there are {', '.join(there)}")
    failed = 0
    for stem in options.stems or there:
        try:
            said = _one(there[stem], check=options.check, student=options.student)
        except Exception as error:  # the others are still made
            said = [f"{type(error).__name__}: {error}"]
        failed += bool(said)
        print(f"{stem}: {'; '.join(said) if said else 'equals a rebuild' if options.check else 'made'}", flush=True)
    return int(failed > 0)


def _one(source: Path, check: bool, student: bool) -> list[str]:
    """Make or check one tutorial; what went wrong, in words."""
    if not check:
        if student:
            write_text(HERE / "student" / f"{source.stem}.ipynb", student_notebook(source))
        else:
            build(source, HERE)
        return []
    with tempfile.TemporaryDirectory() as folder:
        if student:
            write_text(Path(folder) / "student" / f"{source.stem}.ipynb", student_notebook(source))
        else:
            build(source, Path(folder))
        return differences(source.stem, HERE, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
