"""python -m figures.reproduction: make the report of the reproduction from the collected results beside this file."""

from __future__ import annotations

import argparse
import errno
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.collected import UNKNOWN, collect, file_name, load, save
from minidl.experiments.reproduce.merging import merge
from minidl.experiments.reproduce.page import as_html
from minidl.experiments.reproduce.recipes import SCALES
from minidl.experiments.reproduce.report import QUESTION, headline
from minidl.experiments.reproduce.writing import render_report
from minidl.files.output import finish, say
from minidl.files.writing import write_atomically
from minidl.plot.words import listed

HERE = Path(__file__).parent
REMARKS = "remarks.txt"
# A picture in a report, by its name.
SHOWN = re.compile(r"^!\[.*\]\(([a-z0-9-]+-(?:quick|paper)-(?:curves|depth|ends|escape|time)[a-z0-9-]*)\.png\)$", re.M)
LEFT_OUT = 1
_OPENINGS = {  # by which a page that was written here is known
    "README.md": (f"# {QUESTION}\n".encode(),),
    "index.html": (as_html(QUESTION, [], lambda picture, k: "").partition("</title>")[0].encode(),),
    "findings.json": (b'[{"claim":', b"[]"),
}


def main(arguments: list[str] | None = None) -> int:
    """Collect, if asked to, and make the page and its pictures; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m figures.reproduction", description=__doc__)
    parser.add_argument("--collect", nargs="+", type=Path, default=[], metavar="OUT",
                        help="folders of `minidl reproduce`, whose results are added to what is there")  # fmt: skip
    parser.add_argument("--anew", action="store_true", help="with --collect: instead of adding them")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR",
                        help="the folder of the json files and the report (default: figures/reproduction)")  # fmt: skip
    parser.add_argument("--page", action="store_true", help="also index.html, SVG pictures and findings.json")
    options = parser.parse_args(arguments)
    if options.anew and not options.collect:
        parser.error("--anew says how --collect adds: give the folders too, --collect OUT")
    if not options.out.is_dir():
        parser.error(f"--out: expected the folder of the json files; {options.out} is no folder: make it")
    try:
        for name in ("README.md", *(["index.html", "findings.json"] if options.page else [])):
            _check_own(options.out / name)
    except (ValueError, OSError) as error:
        parser.error(f"--out: {error}")
    left_out: list[str] = []
    try:
        remarks = remarks_in(options.out)
        taken = _taken(options, left_out)
        files = {path: taken[path] if path in taken else _loaded(path) for path in {*collected_in(options.out), *taken}}
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if not files:
        parser.error(f"{options.out} holds no collected results, such as mnist-quick.json: add some with --collect OUT")
    try:
        _write(taken, [files[path] for path in sorted(files)], remarks, options)
    except OSError as error:
        parser.error(f"{options.out} could not be written to: {error.strerror or error}")
    for line in left_out:
        say(line, sys.stderr)
    return LEFT_OUT if left_out else 0


def _check_own(page: Path) -> None:
    """Refuse to write over a page that is no report.

    Raises:
        ValueError: it is somebody else's.
        OSError: it cannot be read.
    """
    if not page.exists():
        return
    begins = page.is_file() and page.read_bytes().replace(b"\r\n", b"\n").startswith(_OPENINGS[page.name])
    if not begins:
        raise ValueError(f"{page} is no report of a reproduction, and would be written over: name another folder")


def _taken(options: argparse.Namespace, left_out: list[str]) -> dict[Path, dict[str, Any]]:
    """The folders' results, added to those that are there: file -> what it is to hold.

    Args:
        options: of the command.
        left_out: gets a line for each result that is damaged, or cannot be compared with the others.

    Raises:
        ValueError, OSError: a folder is none of a reproduction, or of another than what is there. The message names it.
    """
    taken: dict[Path, dict[str, Any]] = {}
    for out in options.collect:
        found = collect(out)
        if "plan.json" in found["damaged"] and not found["runs"]:
            raise ValueError(f"{out} cannot be added: its plan.json is damaged, and it has no results")
        if UNKNOWN in (found["recipe"], found["scale"]):
            raise ValueError(f"{out} cannot be added: neither a plan nor a result in it says which experiment it is")
        if found["scale"] not in SCALES:
            raise ValueError(f"{out} cannot be added: expected the scale {' or '.join(SCALES)}; got {found['scale']}")
        left_out += [f"{out}: {name} is left out: {why}" for name, why in found["damaged"].items()]
        path = options.out / file_name(found)
        before = taken.get(path) or (_loaded(path) if path.exists() and not options.anew else None)
        try:
            taken[path] = found if before is None else merge(before, found)
        except ValueError as error:
            raise ValueError(f"{out} cannot be added: {error}") from error
        told = {*found["damaged"], *(before or found)["damaged"]}
        left_out += [f"{name} is left out: {why}" for name, why in taken[path]["damaged"].items() if name not in told]
    return taken


def _loaded(path: Path) -> dict[str, Any]:
    """The collected results in a file; what is wrong with it is told with its name, and what to do."""
    try:
        found = load(path)
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged: {error}. Put back the file that was committed, or make it with --collect OUT --anew"
        ) from error
    if file_name(found) != path.name:
        raise ValueError(
            f"{path} holds {found['recipe']}, {found['scale']}, which belong into {file_name(found)}: move it away"
        )
    return found


def _write(
    taken: dict[Path, dict[str, Any]],
    collections: list[dict[str, Any]],
    remarks: list[str],
    options: argparse.Namespace,
) -> None:
    """Write what was taken, and the report of all collected results; nothing if there cannot be a report of them."""
    files = render_report(collections, options.page, remarks)
    before = _pictures_in(options.out)
    _check_pictures(options.out, files, before)
    page = files.pop("README.md")
    for path, found in taken.items():
        save(found, path)
        say(
            f"{path.name}: {len(found['runs'])} runs, {len(found['missing'])} missing, "
            f"{len(found['failed'])} failed, {len(found['damaged'])} damaged",
            sys.stdout,
        )
    for name, content in files.items():
        write_atomically(options.out / name, content)
    for name in before - set(SHOWN.findall(page.decode())):  # pictures of runs that are no longer told of
        if f"{name}.png" not in files:
            for path in (options.out / f"{name}.png", options.out / f"{name}.json", *options.out.glob(f"{name}-?.svg")):
                path.unlink(missing_ok=True)
    write_atomically(options.out / "README.md", page)  # the last: by the one before it is known which pictures are ours
    say("\n".join(headline(collections)), sys.stdout)


def _pictures_in(folder: Path) -> set[str]:
    """The names of the pictures that the report in a folder shows, and of no other file; without one there are none."""
    page = folder / "README.md"
    text = page.read_text(encoding="utf-8", errors="replace") if page.exists() else ""
    return set(SHOWN.findall(text))


def _check_pictures(folder: Path, files: Iterable[str], before: set[str]) -> None:
    """Refuse to write over pictures, or their numbers, that are of no report in the folder.

    Those of results that are there are its own, though the report itself may be gone.

    Raises:
        FileExistsError: there are some. Its `strerror` says so.
    """
    own = (*before, *(path.stem + "-" for path in collected_in(folder)))
    others = [name for name in files if name not in _OPENINGS and not name.startswith(own)]
    if foreign := [name for name in others if (folder / name).exists()]:
        raise FileExistsError(errno.EEXIST, f"{listed(foreign)} there, but of no report: move that away")


def remarks_in(folder: Path) -> list[str]:
    """The paragraphs of remarks.txt, if it is there: what had been seen when the runs beside it were chosen.

    Raises:
        ValueError: it cannot be read. The message names it.
    """
    path = folder / REMARKS
    try:
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    except (UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} could not be read as a text in UTF-8: {error}") from error
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]


def collected_in(folder: Path) -> list[Path]:
    """The files with collected results: RECIPE-SCALE.json."""
    return sorted(path for path in folder.glob("*-*.json") if path.stem.endswith(("-quick", "-paper")))


if __name__ == "__main__":
    status = main()
    finish(sys.stdout)  # its reader may have gone: `| head`
    sys.exit(status)
