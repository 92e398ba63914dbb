"""minidl/nn/mistakes.py: a first layer that is made, called or filled otherwise than a Module has to be."""

from __future__ import annotations

import re
from typing import Any

import pytest

import minidl as md
from minidl import nn
from tests.arrays import tensor


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 1)

    def forward(self, x: Any) -> Any:
        return self.fc(x)


@pytest.mark.parametrize("cls", [nn.ReLU, Net])
def test_a_module_that_takes_nothing_is_not_made_of_its_inputs(cls: Any) -> None:
    name = cls.__name__
    with pytest.raises(TypeError, match=rf"{name} takes no options: a module is made first .*, {name}\(\)\(x\)"):
        cls(tensor([1.0, 2.0]))


def test_one_that_takes_options_says_which_are_missing_as_python_does() -> None:
    with pytest.raises(TypeError, match="out_features"):
        nn.Linear(3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("inputs", "said"), [((), r"\. Its forward takes \(x\)$"), ((1, 2), r"called with 1, 2\. Its forward takes \(x\)$")]
)
def test_a_call_with_other_inputs_than_forward_takes(inputs: tuple[Any, ...], said: str) -> None:
    with pytest.raises(TypeError, match=r"forward\(\)") as caught:
        Net()(*inputs)
    assert re.search(said, caught.value.__notes__[0])


def test_a_forward_without_self() -> None:
    class Forgetful(nn.Module):
        def forward(x: Any) -> Any:  # type: ignore[misc]  # noqa: N805
            return x

    with pytest.raises(TypeError) as caught:
        Forgetful()(tensor([1.0]))
    assert caught.value.__notes__[0].endswith(
        "The first parameter of a method is the module itself: def forward(self, x)"
    )


@pytest.mark.parametrize("written", ["foward", "Forward", "forwards"])
def test_a_forward_that_is_misspelt(written: str) -> None:
    cls = type("Net", (nn.Module,), {written: lambda self, x: x})
    with pytest.raises(AttributeError, match=rf"define forward\(self, x\) in the class; it has '{written}'"):
        cls()(tensor([1.0]))


@pytest.mark.parametrize("written", ["init", "_init_", "__int__"])
def test_an_init_that_is_misspelt(written: str) -> None:
    cls = type("Net", (nn.Module,), {written: lambda self: None, "forward": lambda self, x: self.fc(x)})
    with pytest.raises(AttributeError, match=rf"holds nothing; Net has '{written}': is __init__ meant"):
        cls()(tensor([1.0]))


@pytest.mark.parametrize("value", [[], {}], ids=["list", "dict"])
@pytest.mark.parametrize(
    "part", [lambda: nn.Linear(2, 2), lambda: nn.Parameter(md.ones(2))], ids=["layer", "parameter"]
)
def test_what_is_put_into_a_list_later_is_not_passed_over(value: Any, part: Any) -> None:
    net = Net()
    net.parts = type(value)()
    if isinstance(value, dict):
        net.parts["one"] = part()
    else:
        net.parts.append(part())
    for use in (net.parameters, net.state_dict, lambda: md.optim.SGD(net, lr=0.1)):
        with pytest.raises(TypeError, match=r"Net\.parts = a (list|dict) with modules or parameters in it: nobody"):
            use()


def test_a_list_of_what_is_registered_elsewhere_is_no_fault() -> None:
    net = Net()
    net.order = [net.fc, net.fc.weight]
    assert len(net.parameters()) == 2


@pytest.mark.parametrize("name", ["forward", "train", "modules", "parameters", "eval", "to"])
@pytest.mark.parametrize("value", [3, None, [], "text"])
def test_a_method_is_not_replaced_by_a_value(name: str, value: Any) -> None:
    with pytest.raises(AttributeError, match=rf"Net\.{name} = an? \w+ would hide {name!r} of every Module; .*{name}_"):
        setattr(Net(), name, value)


def test_a_method_may_be_replaced_by_a_function() -> None:
    net = Net()
    net.forward = lambda x: x * 2
    assert net(tensor([1.0])).tolist() == [2.0]
