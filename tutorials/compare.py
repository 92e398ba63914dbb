"""Whether what is committed equals a rebuild: sources exactly, outputs by kind and text, numbers to a tolerance."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

NEAR = 0.02  # how far a number may be off, relatively: another machine, another NumPy
LONG = 20_000  # characters; longer html is a page with its program, of which only the presence is compared
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_TIME = re.compile(r"\d+(\.\d+)?\s*(ns|us|µs|ms|s|seconds|minutes)\b")


def differences(stem: str, there: Path, rebuilt: Path) -> list[str]:
    """How the files of one tutorial in `there` differ from those in `rebuilt`, in words; empty if they do not."""
    found = []
    for kind in ("student", "notebooks"):
        name = f"{kind}/{stem}.ipynb"
        if not (rebuilt / name).exists():
            continue  # it was not asked for
        if not (there / name).exists():
            found.append(f"{name} is missing")
            continue
        old, new = (json.loads((folder / name).read_text(encoding="utf-8")) for folder in (there, rebuilt))
        found += [f"{name}, {words}" for words in of_notebooks(old, new)]
    for kind in ("slides", "pages"):
        if (rebuilt / kind).is_dir():
            old_names, new_names = (
                {path.name for path in (folder / kind).glob(f"{stem[:2]}_*")} for folder in (there, rebuilt)
            )
            found += [f"{kind}/{name} is missing" for name in sorted(new_names - old_names)]
            found += [f"{kind}/{name} is made by nothing" for name in sorted(old_names - new_names)]
    return found


def of_notebooks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """How a notebook differs from a rebuilt one, ids of cells aside."""
    if len(old["cells"]) != len(new["cells"]):
        return [f"{len(old['cells'])} cells, rebuilt {len(new['cells'])}"]
    found = []
    for number, (before, after) in enumerate(zip(old["cells"], new["cells"], strict=True), 1):
        if any(before.get(key) != after.get(key) for key in ("cell_type", "source", "metadata")):
            found.append(f"cell {number}: its source is another one")
            continue
        a, b = before.get("outputs", []), after.get("outputs", [])
        if [_kind(output) for output in a] != [_kind(output) for output in b]:
            found.append(f"cell {number}: outputs {[_kind(o) for o in a]}, rebuilt {[_kind(o) for o in b]}")
            continue
        found += [
            f"cell {number}: {words}"
            for first, second in zip(a, b, strict=True)
            for words in [of_texts(_words(first), _words(second))]
            if words
        ]
    return found


def of_texts(old: str, new: str) -> str:
    """How two printed texts differ, numbers that are near each other and times aside; empty if they do not."""
    old, new = (" ".join(_TIME.sub("T", text).split()) for text in (old, new))
    if " ".join(_NUMBER.sub("#", old).split()) != " ".join(_NUMBER.sub("#", new).split()):
        at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        return f"it says {old[max(0, at - 20) : at + 40]!r}, rebuilt {new[max(0, at - 20) : at + 40]!r}"
    for a, b in zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True):
        if not math.isclose(float(a), float(b), rel_tol=NEAR, abs_tol=1e-5):
            return f"it says {a}, rebuilt {b}"
    return ""


def _kind(output: dict[str, Any]) -> str:
    if output["output_type"] in ("display_data", "execute_result"):
        return "+".join(sorted(output["data"]))
    return str(output["output_type"])


def _words(output: dict[str, Any]) -> str:
    """What an output says, without tags."""
    if output["output_type"] == "stream":
        return "".join(output["text"])
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    texts = ["".join(output["data"][kind]) for kind in sorted(output["data"]) if kind.startswith("text/")]
    return " ".join(re.sub(r"<[^>]*>", " ", text) for text in texts if len(text) <= LONG)
