"""A set of files for a class: made in memory, then written, never over something that was there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from minidl.errors import printable
from minidl.files.writing import write_atomically

Files = Mapping[str, str | bytes]
SHOWN = 3  # names in an error


def written(files: Files, folder: Path, force: bool = False) -> list[Path]:
    """Write files under a folder, by their names in it; returns their paths.

    Raises:
        FileExistsError: some are there with another content, and force is False. Nothing is written then.
    """
    paths = {name: folder / name for name in files}
    if not force:
        taken = [name for name, path in paths.items() if path.exists() and not _same(path, files[name])]
        if taken:
            more = f" and {len(taken) - SHOWN} more" if len(taken) > SHOWN else ""
            raise FileExistsError(
                f"{printable(str(folder))} holds other files of these names, perhaps answers: "
                f"{', '.join(taken[:SHOWN])}{more}. Choose another folder, or write over them with --force"
            )
    for name, path in paths.items():
        write_atomically(path, _bytes(files[name]))
    return list(paths.values())


def _same(path: Path, content: str | bytes) -> bool:
    return path.is_file() and path.read_bytes() == _bytes(content)


def _bytes(content: str | bytes) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content


def pages_of(stem: str, source: Path) -> dict[str, bytes]:
    """The pages that a tutorial's text links to, by their names in its folder: `pages/09_backward.html`."""
    return {f"pages/{path.name}": path.read_bytes() for path in sorted(source.parent.glob(f"pages/{stem[:2]}_*.html"))}


def title_of(text: str) -> str:
    """What the first heading of a source says: `Tensors` of `# # 3. Tensors`."""
    heading = next((line for line in text.splitlines() if line.startswith("# # ")), "# # ")
    return heading.removeprefix("# # ").lstrip("0123456789. ")
