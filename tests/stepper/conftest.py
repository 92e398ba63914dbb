"""One browser for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stepper import pages


@pytest.fixture(scope="session")
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
