"""What a student has done so far: a small json file in the current folder, and nothing else is written anywhere."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

FILE = "minidl_progress.json"


class Progress:
    """The exercises that were tried, in this folder: `print(md.check.progress())`."""

    def __init__(self, found: dict[str, dict[str, Any]]) -> None:
        self.exercises = found

    def __repr__(self) -> str:
        if not self.exercises:
            return "no exercise was tried yet in this folder"
        width = max(map(len, self.exercises))
        lines = [
            f"{name:{width}}  {'done' if entry['best'] == 1 else 'open'}  best {entry['best']:4.0%}  "
            f"{entry['tries']} {'try' if entry['tries'] == 1 else 'tries'}"
            for name, entry in sorted(self.exercises.items())
        ]
        done = sum(entry["best"] == 1 for entry in self.exercises.values())
        return "\n".join([*lines, f"{done} of {len(self.exercises)} exercises that were tried are done"])


def progress() -> Progress:
    """What was tried in this folder, with the best score and the number of tries of each exercise.

    Kept in minidl_progress.json; MINIDL_PROGRESS=0 keeps nothing. A file that is none of these is left alone and counts
    as empty.
    """
    return Progress(_read())


def remember(name: str, score: float) -> None:
    """Add a try. Where nothing can be written, nothing is: a check is no reason to fail for it."""
    if os.environ.get("MINIDL_PROGRESS", "1") == "0":
        return
    found = _read()
    if not found and Path(FILE).exists():
        return  # something else has this name, or it is damaged
    before = found.get(name, {"best": 0.0, "tries": 0})
    found[name] = {
        "best": max(float(before["best"]), score),
        "tries": int(before["tries"]) + 1,
        "last": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    aside = Path(f"{FILE}.{os.getpid()}")
    try:
        aside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        aside.replace(FILE)
    except OSError:
        aside.unlink(missing_ok=True)


def _read() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(Path(FILE).read_text(encoding="utf-8"))
        return {str(name): {"best": float(e["best"]), "tries": int(e["tries"]), **e} for name, e in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
