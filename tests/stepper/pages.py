"""Tapes and a browser for the tests of the page."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.stepper.tape import Tape

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def missing(what: str) -> NoReturn:
    """Skip a test for want of a program; but where MINIDL_BROWSER is set, as in CI, nothing may be missing."""
    if os.environ.get("MINIDL_BROWSER"):
        pytest.fail(f"{what}, and MINIDL_BROWSER is set")
    pytest.skip(what)


def small(title: str = "small.py", factor: float = 3.0) -> Tape:
    """h is used twice by one op: a shared ancestor."""
    w = md.tensor(np.array([1.0, -2.0, 0.5]), requires_grad=True)
    with md.record(title=title) as tape:
        h = w * factor
        loss = F.sum(h * h)
        loss.backward()
    return tape


def lenet(title: str = "lenet.py", layer_rate: Any = None) -> Tape:
    """On NumPy: a page knows of no device."""
    with md.using("numpy"):
        return _lenet(title, layer_rate)


def _lenet(title: str, layer_rate: Any) -> Tape:
    md.seed(0)
    model = md.models.lenet()
    optimizer = md.optim.SGD(model, lr=0.05, layer_rate=layer_rate)
    draw = np.random.default_rng(0)
    images = md.tensor(draw.normal(size=(64, 1, 28, 28)).astype(np.float32))
    labels = md.tensor(draw.integers(0, 10, 64))
    with md.record(title=title) as tape:
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    return tape


def chain(ops: int = 1000) -> Tape:
    w = md.tensor(np.full(4, 1.01, np.float32), requires_grad=True)
    with md.record(title="chain.py") as tape:
        h = w
        for _ in range(ops // 2):
            h = F.tanh(h * w)
        F.sum(h).backward()
    return tape


class Opened:
    """A page in the browser, and everything it complained about or asked a network for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith("file:"):
            self.complaints.append(f"a request: {url}")

    def go(self, path: Path, address: str = "") -> Opened:
        self.page.goto(path.as_uri() + address)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def until(self, condition: str, seconds: float = 5.0) -> None:
        """Wait until a condition holds; not with playwright's own: the page's policy forbids to evaluate in it."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"{condition} never came true"
            self.page.wait_for_timeout(20)

    @property
    def count(self) -> str:
        return str(self.page.inner_text(".count"))

    @property
    def panel(self) -> str:
        return str(self.page.inner_text(".panel-box"))


@contextmanager
def opened(browser: Any, width: int = 1280, height: int = 800, scheme: str = "light") -> Iterator[Opened]:
    """A page of its own, offline, that must not complain."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
    try:
        page = Opened(context.new_page())
        yield page
        assert page.complaints == []
    finally:
        context.close()
