"""The README's examples run as they are printed, and say what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(code: str, folder: Path) -> str:
    """Run code as a program of its own in `folder`, from this source tree; returns what it printed."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_three_examples():
    assert len(EXAMPLES) == 3


def test_the_gradient_example_runs(tmp_path):
    out = run(EXAMPLES[0], tmp_path)
    assert "12." in out  # 3 t^2 and 6 t at t = 2
    assert "overwritten since" in out


def test_the_training_example_learns_and_draws(tmp_path):
    out = run(EXAMPLES[1], tmp_path)
    accuracy = float(re.search(r"accuracy ([\d.]+)%", out).group(1))
    assert accuracy > 85
    assert {path.suffix for path in tmp_path.glob("flow_profile.*")} == {".png", ".svg", ".json"}


def test_the_example_of_an_operation_of_ones_own_runs(tmp_path):
    out = run(EXAMPLES[2], tmp_path)
    assert "True True" in out
    assert "-12." in out  # 6 x at x = -2
    assert out.count("eigenvalues of the Hessian") == 3


@pytest.mark.parametrize("link", [x for x in re.findall(r"\]\(([^)]+)\)", README) if not x.startswith("http")])
def test_its_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_the_printed_floors_name_real_files():
    floors = re.search(r"```text\n(.*?)```", README, re.DOTALL).group(1)
    names = re.findall(r"([a-z_]+(?:\.py|/))", floors.split("functional/\n")[0])
    assert [n for n in names if not (ROOT / "minidl" / n).exists()] == []
