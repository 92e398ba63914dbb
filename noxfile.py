"""What there is to run, each in an environment of its own: `nox -l` lists it, `nox -s tests` runs one.

What follows after `--` is handed on: `nox -s tests -- tests/nn -k Linear`. `nox -r` uses the environments again.
"""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "docs", "tests"]

CORE = [f"tests/{room}" for room in ("autograd", "functional", "tensors", "nn", "optim", "derivatives", "models")]


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, with PyTorch to compare with."""
    session.install("-e", ".[test-torch]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def light(session: nox.Session) -> None:
    """The tests without PyTorch, as who installs no large wheel runs them."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def plain(session: nox.Session) -> None:
    """The core's tests on plain lines: no faster version of anything runs."""
    session.install("-e", ".[test-torch]")
    session.run("pytest", "-n", "auto", "--plain", *(session.posargs or CORE))


@nox.session
def standin(session: nox.Session) -> None:
    """The tests on the strict stand-in for CuPy, which needs no GPU but a C++ compiler."""
    session.install("-e", ".[test-torch]")
    session.run("pytest", "-n", "auto", "--backend", "standin", "--arithmetic", "gpu", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Rules and format of the code."""
    session.install("ruff>=0.8")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """The type checker, strict."""
    session.install("-e", ".", "mypy>=1.13")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Make the pages of docs/ that come from the code; with `-- --check` only say which are out of date."""
    session.install("-e", ".")
    for script in sorted(Path("docs").glob("make_*.py")):
        session.run("python", str(script), *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed beside PyTorch and others; takes about eight minutes, on a machine that does nothing else."""
    session.install("-e", ".[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def site(session: nox.Session) -> None:
    """The documentation site, into build/site; with `-- --lite` the students' notebooks in the browser, too."""
    session.install("-e", ".[site]")
    with session.chdir("docs/sphinx"):
        session.run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", external=True)
    session.run("python", "docs/build_site.py", "build/site", *session.posargs)
