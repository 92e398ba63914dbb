"""python -m figures.reproduction: make the report of the reproduction from the collected results beside this file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.collected import collect, file_name, load, save
from minidl.experiments.reproduce.merging import merge
from minidl.experiments.reproduce.report import headline
from minidl.experiments.reproduce.writing import write_report

HERE = Path(__file__).parent


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
    taken: dict[Path, dict[str, Any]] = {}
    for out in options.collect:
        try:
            found = collect(out)
            path = options.out / file_name(found)
            if path in taken:
                found = merge(taken[path], found)
            elif path.exists() and not options.anew:
                found = merge(load(path), found)
        except FileNotFoundError as error:
            parser.error(str(error))
        except ValueError as error:
            parser.error(f"{out} cannot be added: {error}")
        taken[path] = found
    for path, found in taken.items():
        save(found, path)
        print(f"{path.name}: {len(found['runs'])} runs, {len(found['missing'])} missing, "
              f"{len(found['failed'])} failed, {len(found['damaged'])} damaged")  # fmt: skip
    collections = [load(path) for path in collected_in(options.out)]
    old = set(options.out.glob("*-*.png"))
    files = write_report(collections, options.out, everything=options.page)
    for path in old - set(files):  # pictures of runs that are no longer told of
        path.unlink()
    print("\n".join(headline(collections)))
    return 0


def collected_in(folder: Path) -> list[Path]:
    """The files with collected results: RECIPE-SCALE.json."""
    return sorted(path for path in folder.glob("*-*.json") if path.stem.endswith(("-quick", "-paper")))


if __name__ == "__main__":
    sys.exit(main())
