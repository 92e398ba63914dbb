"""One browser for the tests of a file. It ends with them: while it runs, so does an event loop in this thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stepper import pages


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pages.missing("playwright is not installed")
    if pages.CHROMIUM is None:
        pages.missing("no chromium is installed")
    with sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=pages.CHROMIUM, args=pages.ARGUMENTS)
        yield chromium
        chromium.close()
