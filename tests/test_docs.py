"""docs/reference.md says what there is now."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_tables_of_operations_and_layers_are_up_to_date():
    command = [sys.executable, str(DOCS / "make_reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_operation_layer_and_method_is_in_the_tables():
    import minidl as md

    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    names = [*md.functional.__all__, *md.nn.__all__, *md.optim.__all__, *md.models.__all__, *md.data.__all__]
    untold = {
        "init",
        "transforms",
        "abs",
        "Parameter",
        "ACTIVATIONS",
        "LayerGroup",
        "LayerReport",
        "LayerView",
        "Scale",
    }
    missing = [name for name in names if f"`{name}(" not in page and f"`{name}`" not in page]
    assert set(missing) <= untold
