"""minidl/training/instructions.py: what a function does, whatever it looks like and wherever it stands."""

import textwrap

import pytest

from minidl.training.instructions import instructions_of, is_installed


def function(text, lines=0):
    space = {}
    exec(compile("\n" * lines + textwrap.dedent(text), f"file{lines}.py", "exec"), space)
    return instructions_of(space["f"].__code__)


SAME = [
    ("def f(x): return x + 1", "def f(y):\n\n    # more\n    return y + 1"),
    ("def f(x): return x + 1", "def f(x: int) -> int:\n    'What it does.'\n    return x + 1"),
    (
        "def f(x):\n  def g(y):\n    'One.'\n    return y\n  return g",
        "def f(x):\n  def g(z):\n    return z\n  return g",
    ),
    ("def f(x): return {'a', 'b'} == x", "def f(x): return {'a', 'b'} == x"),
    ("def f(x): return x in {'a', 'b'}", "def f(x): return x in {'b', 'a'}"),
    ("f = lambda x: 'a'", "f = lambda y: 'a'"),
]
OTHER = [
    ("def f(x): return x + 1", "def f(x): return x + 2"),
    ("def f(x): return x + 1", "def f(x): return x - 1"),
    ("def f(x): return x + 1", "def f(x): return x + 1.0"),
    ("def f(x): return x + 1", "def f(x): return x + True"),
    ("def f(x, y): return x - y", "def f(x, y): return y - x"),
    ("def f(x): return x.a", "def f(x): return x.b"),
    ("def f(x): return a(x)", "def f(x): return b(x)"),
    ("def f(x): return x in {'a', 'b'}", "def f(x): return x in {'a', 'c'}"),
    ("def f(x): return [y + 1 for y in x]", "def f(x): return [y + 2 for y in x]"),
    ("def f(x): return x", "def f(*x): return x"),
    ("def f(x): return x", "def f(x): yield x"),
    ("f = lambda x: 'a'", "f = lambda x: 'b'"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_is_the_same(one, other):
    assert function(one) == function(other, lines=9)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_is_another(one, other):
    assert function(one).checksum != function(other).checksum


def test_what_it_reads_and_writes():
    found = function(
        """
        def around():
            k = 1
            def f(x):
                global n
                n = LIMIT
                x.count += 1
                inner = 3
                return helper(lambda y: y * k * inner + x.scale * np.pi)
            return f
        f = around()
        """
    )
    assert found.read == ("LIMIT", "helper", "k", "np")
    assert found.attributes == {"count", "scale", "pi"}
    assert found.written == {"n", "count"}
    assert not found.changes


@pytest.mark.parametrize("line", ["x[0] = 1", "x[0] += 1", "del x[0]", "x.append(1)", "x[1:] = x", "x.update(a=1)"])
def test_what_changes_a_list_or_an_array_is_seen(line):
    assert function(f"def f(x):\n    {line}").changes
    assert function(f"def f(x):\n    def g():\n        {line}").changes
    assert not function("def f(x):\n    return x[0] + x.sum()").changes


def test_installed_code_is_known_by_its_file():
    assert is_installed(textwrap.__file__)
    assert is_installed(pytest.__file__)
    assert not is_installed(__file__)
    assert not is_installed("<stdin>")
