"""The README's examples run as they are printed, and say what they promise."""

import code
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import house

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(lines: str, folder: Path) -> str:
    """Run lines as a program of its own in `folder`, from this source tree; returns what it printed."""
    lines = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{lines}"
    done = subprocess.run([sys.executable, "-c", lines], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


AT_THE_PROMPT = """
import code
import sys

class Console(code.InteractiveConsole):
    def write(self, text):
        sys.exit(text)

console = Console()
for line in {lines!r}:
    console.push(line)
sys.exit("it waits for more lines" if console.push("") else 0)
"""


def pasted(example: str, folder: Path) -> str:
    """What an example prints that is pasted at Python's prompt, as `run`; its lines are a program as they stand too."""
    compile(example, "README.md", "exec")
    return run(AT_THE_PROMPT.format(lines=example.splitlines()), folder)


def test_there_are_seven_examples():
    assert len(EXAMPLES) == 7


def test_five_lines_draw_the_vanishing_gradient_that_is_shown(tmp_path):
    lines = [line for line in EXAMPLES[0].splitlines() if line and not line.startswith("import")]
    assert len([line for line in lines if not line.endswith(":")]) == 5
    pasted(EXAMPLES[0], tmp_path)
    drawn, shown = (
        json.loads((folder / "vanishing.json").read_text("utf-8")) for folder in (tmp_path, ROOT / "figures")
    )
    assert numbers(drawn) == pytest.approx(numbers(shown), rel=1e-3)
    assert "sigmoid: falls 0.85 decades a layer" in shown["caption"]  # 10^0.85 = 7
    assert "relu: falls 0.34 decades a layer" in shown["caption"]  # 10^0.34 = 2.2


def numbers(found: object) -> list[float]:
    """All numbers of what a json file holds, in its order."""
    if isinstance(found, dict):
        return [number for value in found.values() for number in numbers(value)]
    if isinstance(found, list):
        return [number for value in found for number in numbers(value)]
    return [float(found)] if isinstance(found, int | float) else []


def test_the_gradient_example_runs(tmp_path):
    out = pasted(EXAMPLES[1], tmp_path)
    assert "12." in out  # 3 t^2 and 6 t at t = 2
    assert "overwritten since" in out


def test_the_training_example_learns_and_draws(tmp_path):
    out = pasted(EXAMPLES[2], tmp_path)
    accuracy = float(re.search(r"accuracy ([\d.]+)%", out).group(1))
    assert accuracy > 85
    assert {path.suffix for path in tmp_path.glob("flow_profile.*")} == {".png", ".svg", ".json"}


def test_the_example_of_stepping_shows_two_addends_and_writes_a_page(tmp_path):
    out = pasted(EXAMPLES[3], tmp_path)
    assert len(re.findall(r"event \d+: \[.*\] is added to dL/dh", out)) == 2
    assert "default-src 'none'" in (tmp_path / "step.html").read_text(encoding="utf-8")


def test_the_example_of_parameter_groups_learns(tmp_path):
    out = pasted(EXAMPLES[4], tmp_path)
    assert "Scale(lr=1.0, decay=0.0) Scale(lr=0.5, decay=0.0)" in out
    first, last = map(float, re.search(r"\n([\d.]+) ([\d.]+)\n", out).groups())
    assert last < first / 2


def test_the_example_of_an_operation_of_ones_own_runs(tmp_path):
    out = pasted(EXAMPLES[5], tmp_path)
    assert "True True" in out
    assert "-12." in out  # 6 x at x = -2
    assert out.count("eigenvalues of the Hessian") == 3


def test_the_example_of_plain_lines_runs(tmp_path):
    out = pasted(EXAMPLES[6], tmp_path)
    assert "[[2., 2.], [2., 2.]]" in out.replace("\n       ", "")
    assert "minidl/fast/" in out


# ---- at Python's prompt, where a blank line ends an indented block, and a block ends with nothing else

QUOTES = ("fast.md",)  # its blocks are lines of the package's files
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"]
BLOCKS = [
    (f"{page.name} {i}", block)
    for page in PAGES
    if page.name not in QUOTES
    for i, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("example", [block for _, block in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_a_block_of_a_page_can_be_typed_at_the_prompt(example):
    """Only its form is looked at: what it needs may stand in the blocks before it."""
    typed: list[str] = []
    for line in [*example.splitlines(), ""]:
        if code.compile_command("\n".join([*typed, line])) is None:
            typed.append(line)
        else:
            typed = []
    assert not typed


def test_what_cannot_be_pasted_is_noticed(tmp_path):
    for lines in ["class A:", "    x = 1", "", "    y = 2"], ["for i in range(2):", "    i", "print(i)"], ["print((1,"]:
        with pytest.raises(AssertionError):
            run(AT_THE_PROMPT.format(lines=lines), tmp_path)


@pytest.mark.parametrize("link", [x for x in re.findall(r"\]\(([^)]+)\)", README) if not x.startswith("http")])
def test_its_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_the_printed_floors_are_those_of_the_house():
    printed = re.search(r"```text\n(.*?)```", README, re.DOTALL).group(1)
    names = [[x.rstrip("/").removesuffix(".py") for x in line[:30].split()] for line in printed.splitlines()]
    floors = [set(names_of) for names_of in reversed(names)]
    shown = {name for names_of in floors for name in names_of}
    assert floors == [shown & set(rooms) for rooms in house.FLOORS if shown & set(rooms)]
    assert shown >= {room for rooms in house.FLOORS for room in rooms if (house.ROOT / room).is_dir()}
