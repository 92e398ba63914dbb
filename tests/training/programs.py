"""Programs of a user's own that make what a run is made of, each with one change that makes another run of it.

`CASES` holds, by name, the source and the change: what is replaced, and by what. `made(source)` runs one as a module of
its own.
"""

import types

BEGIN = """
import collections, enum, functools, math, types
from dataclasses import dataclass
import numpy as np
import minidl as md
import minidl.functional as F
from minidl import nn, optim
from minidl.data import Dataset, Loader, Mapped
from minidl.data import transforms as T
from minidl.training.description import describe, settings

DATA = Dataset(np.ones((6, 4), np.float32), np.arange(6) % 3)
"""

END = """
def run():
    '''Everything that a run is described by.'''
    found = dict(globals())
    model = found["make_model"]() if "make_model" in found else nn.Linear(4, 3)
    make_optimizer = found.get("make_optimizer", lambda model: optim.SGD(model, lr=0.1, layer_rate=found.get("rate")))
    optimizer = make_optimizer(model)
    schedule = found["make_schedule"](optimizer) if "make_schedule" in found else None
    loader = Loader(found.get("data", DATA), 2, seed=0, transform=found.get("transform"))
    if "hook" in found:
        found["hook"](model, optimizer)
    return model, optimizer, loader, schedule, found.get("loss", F.cross_entropy), found.get("validation", "none")
"""

LOSS = """
def loss(outputs, labels):
    return {0}
"""


def loss(expression: str, before: str = "") -> str:
    return before + LOSS.format(expression)


CASES = {
    # ---- functions
    "a number of the module": (loss("GAMMA * F.cross_entropy(outputs, labels)", "GAMMA = 2.0"), "2.0", "3.0"),
    "a whole number": (loss("GAMMA * F.cross_entropy(outputs, labels)", "GAMMA = 2"), "= 2", "= 3"),
    "in lower case": (loss("gamma * F.cross_entropy(outputs, labels)", "gamma = 2"), "= 2", "= 3"),
    "an array": (loss("F.cross_entropy(outputs, labels, W)", "W = np.ones(3)"), "np.ones(3)", "np.array([1, 1, 2.0])"),
    "a list": (loss("F.cross_entropy(outputs, labels, W)", "W = [1.0, 1.0, 1.0]"), "1.0]", "2.0]"),
    "a dict": (loss("W['a'] * F.cross_entropy(outputs, labels)", "W = {'a': 1, 'b': 2}"), "'a': 1", "'a': 2"),
    "a set": (loss("F.mse_loss(outputs, 3) if 'a' in W else F.l1_loss(outputs, 3)", "W = {'a', 'b'}"), "'a',", "'c',"),
    "a tensor": (loss("F.cross_entropy(outputs, labels, W)", "W = md.ones(3)"), "ones(3)", "zeros(3)"),
    "a text": (loss("F.cross_entropy(outputs, labels, reduction=HOW)", "HOW = 'mean'"), "'mean'", "'sum'"),
    "a helper": (
        loss("weigh(F.cross_entropy(outputs, labels))", "def weigh(x):\n    return 2 * x\n"),
        "2 * x",
        "3 * x",
    ),
    "a helper of a helper": (
        loss(
            "weigh(F.cross_entropy(outputs, labels))",
            "def twice(x):\n    return 2 * x\ndef weigh(x):\n    return twice(x)\n",
        ),
        "2 * x",
        "3 * x",
    ),
    "a number that a helper reads": (
        loss("weigh(F.cross_entropy(outputs, labels))", "K = 2.0\ndef weigh(x):\n    return K * x\n"),
        "K = 2.0",
        "K = 3.0",
    ),
    "functions that call each other": (
        loss(
            "even(outputs, 3)",
            "def even(x, n):\n    return odd(x, n - 1) if n else x.sum()\n"
            "def odd(x, n):\n    return even(2 * x, n - 1) if n else x.sum()\n",
        ),
        "2 * x",
        "3 * x",
    ),
    "a helper in a table": (
        loss("HOW['a'](outputs)", "HOW = {'a': lambda x: (2 * x).sum(), 'b': lambda x: x.sum()}"),
        "2 * x",
        "3 * x",
    ),
    "a function inside the function": (
        "def loss(outputs, labels):\n    def weigh(x):\n        return 2 * x\n    return weigh(outputs).sum()\n",
        "2 * x",
        "3 * x",
    ),
    "a generator": (loss("sum(k * outputs.sum() for k in range(K))", "K = 2"), "= 2", "= 3"),
    "a decorated function": (
        "def scaled(f):\n    @functools.wraps(f)\n    def g(*args):\n        return 2 * f(*args)\n    return g\n"
        "@scaled\ndef loss(outputs, labels):\n    return F.cross_entropy(outputs, labels)\n",
        "2 * f",
        "3 * f",
    ),
    "a function in the place of minidl's": (
        "@functools.wraps(F.cross_entropy)\ndef loss(outputs, labels):\n"
        "    return 2 * F.cross_entropy(outputs, labels)\n",
        "2 *",
        "3 *",
    ),
    "under a decorator": (
        "def scaled(f):\n    @functools.wraps(f)\n    def g(*args):\n        return 2 * f(*args)\n    return g\n"
        "@scaled\ndef loss(outputs, labels):\n    return F.cross_entropy(outputs, labels)\n",
        "F.cross_entropy(",
        "0.5 * F.cross_entropy(",
    ),
    "what is kept by functools": (
        loss("weight(3) * outputs.sum()", "@functools.cache\ndef weight(n):\n    return 2 ** n\n"),
        "2 ** n",
        "3 ** n",
    ),
    "a part of a function": (
        "def focal(outputs, labels, gamma):\n    return gamma * F.cross_entropy(outputs, labels)\n"
        "loss = functools.partial(focal, gamma=2)",
        "gamma=2",
        "gamma=3",
    ),
    "a place in a part": (
        "def focal(gamma, outputs, labels):\n    return gamma * F.cross_entropy(outputs, labels)\n"
        "loss = functools.partial(focal, 2)",
        "focal, 2",
        "focal, 3",
    ),
    "a lambda": ("loss = lambda outputs, labels: 2 * F.cross_entropy(outputs, labels)", "2 *", "3 *"),
    "a list around": (
        "def make(weights):\n    return lambda outputs, labels: weights[0] * F.cross_entropy(outputs, labels)\n"
        "loss = make([1.0, 2.0])",
        "[1.0",
        "[2.0",
    ),
    "a whole number around": (
        "def make(k):\n    return lambda outputs, labels: k * F.cross_entropy(outputs, labels)\nloss = make(2)",
        "make(2)",
        "make(3)",
    ),
    "a default": ("def loss(outputs, labels, k=2):\n    return k * F.cross_entropy(outputs, labels)", "k=2", "k=3"),
    "a keyword's default": (
        "def loss(outputs, labels, *, k=2):\n    return k * F.cross_entropy(outputs, labels)",
        "k=2",
        "k=3",
    ),
    "a default that is a list": (
        "def loss(outputs, labels, k=[2]):\n    return k[0] * F.cross_entropy(outputs, labels)",
        "k=[2]",
        "k=[3]",
    ),
    "a name of the module": (
        loss("config.gamma * outputs.sum()", "config = types.SimpleNamespace(gamma=2, name='a')"),
        "gamma=2",
        "gamma=3",
    ),
    "a class of settings": (
        loss("Config.gamma * outputs.sum()", "class Config:\n    gamma = 2\n    name = 'a'\n"),
        "gamma = 2",
        "gamma = 3",
    ),
    "a data class": (
        loss("config.gamma * outputs.sum()", "@dataclass\nclass Config:\n    gamma: int\nconfig = Config(2)\n"),
        "Config(2)",
        "Config(3)",
    ),
    "a named tuple": (
        loss("P.gamma * outputs.sum()", "P = collections.namedtuple('P', 'gamma')(2)"),
        "(2)",
        "(3)",
    ),
    "a choice": (
        loss("HOW.value * outputs.sum()", "class How(enum.Enum):\n    A = 1\n    B = 2\nHOW = How.A"),
        "How.A",
        "How.B",
    ),
    "an object with slots": (
        loss(
            "S.k * outputs.sum()",
            "class Slots:\n    __slots__ = ('k',)\n    def __init__(self, k):\n        self.k = k\nS = Slots(2)\n",
        ),
        "Slots(2)",
        "Slots(3)",
    ),
    "an op of one's own": (
        loss(
            "cube(outputs).sum()",
            "class Cube(md.Function):\n    def forward(self, x):\n        return x * x * x\n"
            "    def backward(self, grad_out, x):\n        return grad_out * (3 * x * x)\n"
            "def cube(x):\n    return Cube()(x)\n",
        ),
        "3 * x * x",
        "2 * x * x",
    ),
    "an object made in the loss": (
        loss(
            "Scaled(2)(outputs)",
            "class Scaled:\n    def __init__(self, k):\n        self.k = k + 1\n"
            "    def __call__(self, x):\n        return self.k * x.sum()\n",
        ),
        "k + 1",
        "k + 2",
    ),
    # ---- losses that are objects
    "a loss in a closure": (
        "def make(inner):\n    return lambda outputs, labels: 2 * inner(outputs, labels)\n"
        "loss = make(nn.CrossEntropyLoss(label_smoothing=0.1))",
        "0.1",
        "0.2",
    ),
    "weights of a loss in a closure": (
        "def make(inner):\n    return lambda outputs, labels: 2 * inner(outputs, labels)\n"
        "loss = make(nn.CrossEntropyLoss(np.array([1, 1, 2.0])))",
        "2.0",
        "3.0",
    ),
    "a loss of the module": (
        loss("INNER(outputs, labels)", "INNER = nn.CrossEntropyLoss(ignore_index=-1)"),
        "=-1",
        "=-2",
    ),
    "a loss inside a loss": (
        "class Twice(nn.Module):\n    def __init__(self, inner):\n        super().__init__()\n"
        "        self.inner = inner\n"
        "    def forward(self, outputs, labels):\n        return 2 * self.inner(outputs, labels)\n"
        "loss = Twice(nn.CrossEntropyLoss(label_smoothing=0.1))",
        "0.1",
        "0.2",
    ),
    "a loss two inside": (
        "class Twice(nn.Module):\n    def __init__(self, inner):\n        super().__init__()\n"
        "        self.body = inner\n"
        "    def forward(self, outputs, labels):\n        return 2 * self.body(outputs, labels)\n"
        "loss = Twice(Twice(nn.CrossEntropyLoss(np.array([1, 1, 2.0]))))",
        "2.0",
        "3.0",
    ),
    "a list of losses": (
        "class Sum:\n    def __init__(self, losses):\n        self.losses = losses\n"
        "    def __call__(self, outputs, labels):\n        return sum(loss(outputs, labels) for loss in self.losses)\n"
        "loss = Sum([nn.CrossEntropyLoss(), nn.MultiMarginLoss(margin=1.0)])",
        "margin=1.0",
        "margin=2.0",
    ),
    "a teacher": (
        "md.seed(3)\nteacher = nn.Linear(4, 3).requires_grad_(False)\n"
        "def loss(outputs, labels):\n    return F.mse_loss(outputs, teacher(md.ones(2, 4)))\n",
        "md.seed(3)",
        "md.seed(4)",
    ),
    "a method": (
        "class Losses:\n    def __init__(self, k):\n        self.k = k\n    def weigh(self, x):\n        return 2 * x\n"
        "    def focal(self, outputs, labels):\n        return self.weigh(self.k * outputs.sum())\n"
        "loss = Losses(2).focal",
        "2 * x",
        "3 * x",
    ),
    "the object of a method": (
        "class Losses:\n    def __init__(self, k):\n        self.list = [k, k]\n"
        "    def focal(self, outputs, labels):\n        return self.list[0] * outputs.sum()\n"
        "loss = Losses(2).focal",
        "Losses(2)",
        "Losses(3)",
    ),
    "a helper method": (
        "class Loss:\n    def weigh(self, x):\n        return 2 * x\n"
        "    def __call__(self, outputs, labels):\n        return self.weigh(outputs.sum())\n"
        "loss = Loss()",
        "2 * x",
        "3 * x",
    ),
    "a method of a parent": (
        "class Base:\n    def weigh(self, x):\n        return 2 * x\n    def __call__(self, outputs, labels):\n"
        "        return self.weigh(outputs.sum())\nclass Loss(Base):\n    pass\nloss = Loss()",
        "2 * x",
        "3 * x",
    ),
    "a method by super": (
        "class Base:\n    def weigh(self, x):\n        return 2 * x\n    def __call__(self, outputs, labels):\n"
        "        return self.weigh(outputs.sum())\n"
        "class Loss(Base):\n    def weigh(self, x):\n        return super().weigh(x) + 1\nloss = Loss()",
        "2 * x",
        "3 * x",
    ),
    "a static method": (
        "class Loss:\n    @staticmethod\n    def weigh(x):\n        return 2 * x\n"
        "    def __call__(self, outputs, labels):\n        return self.weigh(outputs.sum())\n"
        "loss = Loss()",
        "2 * x",
        "3 * x",
    ),
    "a property": (
        "class Loss:\n    @property\n    def k(self):\n        return 2\n"
        "    def __call__(self, outputs, labels):\n        return self.k * outputs.sum()\n"
        "loss = Loss()",
        "return 2",
        "return 3",
    ),
    "an attribute of the class": (
        "class Loss:\n    k = 2\n    def __call__(self, outputs, labels):\n        return self.k * outputs.sum()\n"
        "loss = Loss()",
        "k = 2",
        "k = 3",
    ),
    "a dict of an object": (
        "class Loss:\n    def __init__(self):\n        self.table = {'a': np.ones(2), 'b': [1, {2, 3}]}\n"
        "    def __call__(self, outputs, labels):\n        return self.table['b'][0] * outputs.sum()\n"
        "loss = Loss()",
        "{2, 3}",
        "{2, 4}",
    ),
    # ---- models
    **{
        f"{name} of a model": (
            "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            f"        self.own = {before}\n        self.fc = nn.Linear(4, 3)\n"
            "    def forward(self, x):\n        return self.scaled(self.fc(x))\n"
            "    def scaled(self, x):\n        return x * self.own.n if self.own == 1 else 1.0 * x\n"
            "make_model = Net",
            before,
            after,
        )
        for name, before, after in (
            ("a whole number", "7", "8"),
            ("a number", "7.5", "8.5"),
            ("a number of NumPy's", "np.float32(7)", "np.float32(8)"),
            ("an integer of NumPy's", "np.int64(7)", "np.int64(8)"),
            ("a list", "[1, 2]", "[1, 3]"),
            ("a dict", "{'a': 7}", "{'a': 8}"),
            ("an array", "np.arange(7)", "np.arange(7)[::-1]"),
            ("a function", "lambda x: 7", "lambda x: 8"),
            ("an object", "types.SimpleNamespace(n=7)", "types.SimpleNamespace(n=8)"),
        )
    },
    "an attribute by its name": (
        "class Net(nn.Linear):\n    def __init__(self):\n        super().__init__(4, 3)\n        self.k = 2\n"
        "    def forward(self, x):\n        return super().forward(x) * getattr(self, 'k')\nmake_model = Net",
        "self.k = 2",
        "self.k = 3",
    ),
    "a helper method of a model": (
        "class Net(nn.Linear):\n    def forward(self, x):\n        return self.scaled(super().forward(x))\n"
        "    def scaled(self, x):\n        return 2.0 * x\nmake_model = lambda: Net(4, 3)",
        "2.0 * x",
        "3.0 * x",
    ),
    "a layer of one's own with other words": (
        "class Drop(nn.Dropout):\n    def __init__(self, **options):\n        super().__init__(**options)\n"
        "make_model = lambda: nn.Sequential(nn.Linear(4, 3), Drop(p=0.25))",
        "0.25",
        "0.5",
    ),
    "a hook": (
        "hook = lambda model, optimizer: model.register_forward_hook(lambda module, x, y: 2 * y)",
        "2 * y",
        "3 * y",
    ),
    "one hook more": (
        "def double(module, x, y):\n    return 2 * y\nhook = lambda model, optimizer: None",
        "optimizer: None",
        "optimizer: model.register_forward_hook(double)",
    ),
    "a hook before": (
        "hook = lambda model, optimizer: model.register_forward_pre_hook(lambda module, x: 2 * x[0])",
        "2 *",
        "3 *",
    ),
    "a hook of a gradient": (
        "hook = lambda model, optimizer: model.weight.register_hook(lambda g: 2 * g)",
        "2 *",
        "3 *",
    ),
    "a hook of the optimizer": (
        "LIMIT = 2\nhook = lambda model, optimizer: optimizer.register_step_pre_hook(\n"
        "    lambda o: optim.clip_grad_norm_(model.parameters(), LIMIT))",
        "LIMIT = 2",
        "LIMIT = 3",
    ),
    # ---- rates
    **{
        f"a layer rate's {name}": (
            "class Rate(optim.LayerRate):\n    def __init__(self):\n"
            f"        self.own = {before}\n    def __call__(self, view):\n        return self.own\nrate = Rate()",
            before,
            after,
        )
        for name, before, after in (
            ("whole number", "7", "8"),
            ("list", "[1, 2]", "[1, 3]"),
            ("array", "np.arange(7)", "np.arange(7)[::-1]"),
            ("number of NumPy's", "np.float32(7)", "np.float32(8)"),
        )
    },
    "a rate's helper": (
        "def grown(x):\n    return 2.0 * x\nclass Rate(optim.LayerRate):\n    def __call__(self, view):\n"
        "        return grown(view.step)\nrate = Rate()",
        "2.0 * x",
        "3.0 * x",
    ),
    "a rate by a function": ("K = 2.0\nrate = lambda view: K", "2.0", "3.0"),
    "an optimizer's code": (
        "class Own(optim.SGD):\n    def direction(self, state, gradient, scaled):\n        return 2 * scaled\n"
        "make_optimizer = Own",
        "2 * scaled",
        "3 * scaled",
    ),
    "an optimizer's helper": (
        "class Own(optim.SGD):\n    def direction(self, state, gradient, scaled):\n        return self.grown(scaled)\n"
        "    def grown(self, g):\n        return 2 * g\nmake_optimizer = Own",
        "2 * g",
        "3 * g",
    ),
    **{
        f"an optimizer's {name}": (
            "class Own(optim.SGD):\n    def __init__(self, model):\n        super().__init__(model, lr=0.1)\n"
            f"        self.own = {before}\n    def direction(self, state, gradient, scaled):\n"
            "        return self.own * scaled\nmake_optimizer = Own",
            before,
            after,
        )
        for name, before, after in (("number", "2.5", "3.5"), ("integer", "2", "3"), ("list", "[1, 2]", "[1, 3]"))
    },
    "an optimizer's settings": (
        "class Own(optim.SGD):\n    settings = (*optim.SGD.settings, 'own')\n    def __init__(self, model):\n"
        "        super().__init__(model, lr=0.1)\n        self.own = np.arange(5000)\nmake_optimizer = Own",
        "np.arange(5000)",
        "np.arange(5000) * (np.arange(5000) != 2500)",
    ),
    "a schedule's code": (
        "class Own(optim.StepLR):\n    def rate(self, k):\n        return 2.0 ** -k\n"
        "make_schedule = lambda optimizer: Own(optimizer, 3)",
        "2.0 **",
        "3.0 **",
    ),
    **{
        f"a schedule's {name}": (
            "class Own(optim.StepLR):\n    def __init__(self, optimizer):\n"
            f"        self.own = {before}\n        super().__init__(optimizer, 3)\n"
            "    def rate(self, k):\n        return 1.0 if self.own is None else 0.5\nmake_schedule = Own",
            before,
            after,
        )
        for name, before, after in (
            ("integer", "7", "8"),
            ("list", "[1, 2]", "[1, 3]"),
            ("array", "np.ones(2)", "np.ones(3)"),
        )
    },
    # ---- data
    "a transform of one's own": (
        "class Jitter:\n    def __init__(self, k):\n        self.sizes = [k]\n"
        "    def __call__(self, images, rng):\n        return images * self.sizes[0]\ntransform = Jitter(2)",
        "Jitter(2)",
        "Jitter(3)",
    ),
    "a transform among others": (
        "def grown(images, rng):\n    return 2 * images\ntransform = T.Compose([T.ToFloat(0.5), grown])",
        "2 * images",
        "3 * images",
    ),
    "a transform that reads a number": ("K = 2\ntransform = lambda images, rng: K * images", "K = 2", "K = 3"),
    "mapped in mapped": (
        "data = Mapped(Mapped(DATA, T.ToFloat(0.5)), T.ToFloat(2.0))",
        "0.5",
        "0.25",
    ),
    "a mapped source": (
        "class Rows:\n    labels, classes = DATA.labels, None\n    def __init__(self, k):\n        self.k = k\n"
        "    def __len__(self):\n        return 6\n    def take(self, i):\n        return DATA.inputs[i] * self.k, i\n"
        "data = Mapped(Rows(2), T.ToFloat(2.0))",
        "Rows(2)",
        "Rows(3)",
    ),
    "a source's code": (
        "class Rows:\n    labels, classes = DATA.labels, None\n    def __len__(self):\n        return 6\n"
        "    def take(self, i):\n        return self.read(i), i\n"
        "    def read(self, i):\n        return 2 * DATA.inputs[i]\n"
        "data = Rows()",
        "2 * DATA",
        "3 * DATA",
    ),
    "a source's array": (
        "class Rows:\n    labels, classes = DATA.labels, None\n    def __init__(self):\n"
        "        self.x = np.ones((6, 2))\n"
        "    def __len__(self):\n        return 6\n    def take(self, i):\n        return self.x[i], i\n"
        "data = Rows()",
        "np.ones(",
        "np.zeros(",
    ),
    "the validation's inputs": (
        "validation = Dataset(np.ones((3, 4), np.float32), np.arange(3))",
        "np.ones(",
        "np.zeros(",
    ),
    "the validation's labels": (
        "validation = Dataset(np.ones((3, 4), np.float32), np.arange(3))",
        "np.arange(3)",
        "np.arange(3)[::-1].copy()",
    ),
    "the validation's number": (
        "N = 3\nvalidation = Dataset(np.ones((N, 4), np.float32), np.arange(N) * 0)",
        "N = 3",
        "N = 4",
    ),
    "no validation": ("validation = DATA", "= DATA", "= 'none'"),
    "the validation's transform": ("validation = Mapped(DATA, T.ToFloat(0.5))", "0.5", "0.25"),
}


def made(source: str, lines_before: int = 0) -> types.ModuleType:
    """A program, run as a module of its own: its own objects at other addresses, and on other lines if asked for."""
    module = types.ModuleType("program")
    text = "# another comment\n" * lines_before + BEGIN + "\n" + source + "\n" + END
    exec(compile(text, f"program{lines_before}.py", "exec"), module.__dict__)
    return module


# Programs in which something changes while they train that is no setting, or that is another in every process.
COUNTERS = {
    "calls of a model": (
        "class Net(nn.Linear):\n    def __init__(self):\n        super().__init__(4, 3)\n        self.calls = 0\n"
        "    def forward(self, x):\n        self.calls += 1\n"
        "        return super().forward(x) * (1 if self.calls else 2)\n"
        "make_model = Net"
    ),
    "a number of a model": (
        "class Net(nn.Linear):\n    def __init__(self):\n        super().__init__(4, 3)\n        self.last = 0.0\n"
        "    def forward(self, x):\n        y = super().forward(x)\n"
        "        self.last = self.last + float(y.data.sum())\n"
        "        return y\nmake_model = Net"
    ),
    "a count that an argument begins": (
        "class Loss:\n    def __init__(self, calls=0):\n        self.calls = calls\n"
        "    def __call__(self, outputs, labels):\n        self.calls += 1\n"
        "        return F.cross_entropy(outputs, labels)\nloss = Loss()"
    ),
    "a list around a loss": (
        "def make(seen):\n    def loss(outputs, labels):\n        seen.append(len(labels))\n"
        "        return F.cross_entropy(outputs, labels)\n    return loss\nloss = make([])"
    ),
    "a list of the module": loss("SEEN.append(1) or F.cross_entropy(outputs, labels)", "SEEN = []"),
    "a queue": loss("SEEN.append(1) or F.cross_entropy(outputs, labels)", "SEEN = collections.deque(maxlen=3)"),
    "a count around a loss": (
        "def make():\n    n = 0\n    def loss(outputs, labels):\n        nonlocal n\n        n += 1\n"
        "        return F.cross_entropy(outputs, labels)\n    return loss\nloss = make()"
    ),
    "a count of the module": (
        "n = 0\ndef loss(outputs, labels):\n    global n\n    n += 1\n    return F.cross_entropy(outputs, labels)\n"
    ),
    "a count by a helper": (
        "n = 0\ndef count():\n    global n\n    n += 1\n"
        "def loss(outputs, labels):\n    count()\n    return F.cross_entropy(outputs, labels) * (1 if n else 2)\n"
    ),
    "a count by a callback": (
        "n, means, shown = 0, [0.0], None\nclass Count:\n    def on_step(self, state):\n        global n, shown\n"
        "        n += 1\n        means[0] += 0.5\n        shown = state\ncallbacks = [Count()]\n"
        "def loss(outputs, labels):\n"
        "    return F.cross_entropy(outputs, labels) * (1 if n + means[0] or shown else 2)\n"
    ),
    "what a callback counts at the end of an epoch": (
        "class Net(nn.Linear):\n    def __init__(self):\n        super().__init__(4, 3)\n        self.epochs = 0\n"
        "    def forward(self, x):\n        return super().forward(x) * (1 if self.epochs >= 0 else 2)\n"
        "make_model = Net\n"
        "class Count:\n    def on_epoch(self, state):\n        state.model.epochs += 1\ncallbacks = [Count()]\n"
    ),
    "a dict that is kept": (
        "class Loss:\n    def __init__(self):\n        self.kept = {}\n    def __call__(self, outputs, labels):\n"
        "        self.kept[len(self.kept)] = outputs\n        return F.cross_entropy(outputs, labels)\nloss = Loss()"
    ),
    "a mean in an array": (
        "class Loss:\n    def __init__(self):\n        self.mean = np.zeros(3)\n"
        "    def __call__(self, outputs, labels):\n"
        "        self.mean[...] += outputs.data.mean(0)\n        return F.cross_entropy(outputs, labels)\nloss = Loss()"
    ),
    "a mean of the module": loss(
        "weigh(F.cross_entropy(outputs, labels))",
        "MEAN = np.zeros(1)\ndef weigh(x):\n    MEAN[0] += x.data\n    return x\n",
    ),
    "a meter": loss(
        "METER.seen(F.cross_entropy(outputs, labels))",
        "class Meter:\n    total = 0.0\n    def __init__(self, window=3):\n        self.window = window\n"
        "    def seen(self, x):\n        self.total += float(x.data)\n        return x\nMETER = Meter()\n",
    ),
    "a class that counts": (
        "class Net(nn.Linear):\n    count = 0\n    def forward(self, x):\n        Net.count += 1\n"
        "        return super().forward(x)\nmake_model = lambda: Net(4, 3)"
    ),
    "what is made when it is needed": (
        "class Loss:\n    def __init__(self):\n        self.weight = None\n    def __call__(self, outputs, labels):\n"
        "        if self.weight is None:\n            self.weight = np.ones(3)\n"
        "            self.inner = nn.CrossEntropyLoss()\n"
        "        return self.inner(outputs, labels)\nloss = Loss()"
    ),
    "a generator": (
        "class Jitter:\n    def __init__(self):\n        self.rng = np.random.default_rng(0)\n"
        "    def __call__(self, images, rng):\n        return images + 0 * self.rng.normal()\ntransform = Jitter()"
    ),
    "the time, a name and a lock": (
        "import logging, threading, time, uuid, pathlib, tempfile, random\nSTARTED = time.time\n"
        "class Jitter:\n    def __init__(self):\n        self.started = time.perf_counter()\n"
        "        self.name = str(uuid.uuid4())\n        self.lock = threading.Lock()\n"
        "        self.log = logging.getLogger('a')\n        self.random = random.Random()\n"
        "        self.path = pathlib.Path(tempfile.mkdtemp()) / 'images'\n"
        "    def __call__(self, images, rng):\n        with self.lock:\n            self.log.debug('%s', STARTED())\n"
        "        return images + 0 * self.random.random() + 0 * (self.path == 3)\ntransform = Jitter()"
    ),
    "what is remembered by functools": loss(
        "weight(len(labels)) * F.cross_entropy(outputs, labels)", "@functools.cache\ndef weight(n):\n    return 1\n"
    ),
    "what a hook collects": (
        "SEEN = []\nhook = lambda model, optimizer: model.register_forward_hook(lambda m, x, y: SEEN.append(y))"
    ),
    "a hook for a while": (
        "class Watch:\n    def on_step(self, state):\n        state.model.register_forward_hook(lambda m, x, y: None)\n"
        "callbacks = [Watch()]"
    ),
    "a rate that remembers": (
        "class Rate(optim.LayerRate):\n    def __init__(self):\n        self.norms, self.steps = {}, 0\n"
        "    def __call__(self, view):\n        self.norms[view.name] = view.gradient_norm\n        self.steps += 1\n"
        "        return 1.0 if self.norms and self.steps else 2.0\nrate = Rate()"
    ),
    "an optimizer that counts": (
        "class Own(optim.SGD):\n    def __init__(self, model):\n        super().__init__(model, lr=0.1)\n"
        "        self.seen, self.mean, self.shapes = 0, 0.0, []\n    def direction(self, state, gradient, scaled):\n"
        "        self.seen += 1\n        self.mean = 0.9 * self.mean + 0.1\n"
        "        self.shapes.append(gradient.shape)\n"
        "        return scaled\nmake_optimizer = Own"
    ),
    "a schedule that counts": (
        "class Own(optim.StepLR):\n    calls, last = 0, 0.0\n    def rate(self, k):\n        self.calls += 1\n"
        "        self.last = 0.1\n        return 0.1\nmake_schedule = lambda optimizer: Own(optimizer, 3)"
    ),
    "a source that counts": (
        "class Rows:\n    labels, classes = DATA.labels, None\n    def __init__(self):\n        self.taken = 0\n"
        "    def __len__(self):\n        return 6\n    def take(self, i):\n        self.taken += 1\n"
        "        return DATA.take(i)\ndata, validation = Rows(), Rows()"
    ),
    "what knows the model and itself": (
        "class Loss:\n    def __init__(self):\n        self.itself, self.models = self, [model]\n"
        "    def __call__(self, outputs, labels):\n        assert self.itself.models[0] is model\n"
        "        return F.cross_entropy(outputs, labels) + 0 * model.weight.sum()\n"
        "model = nn.Linear(4, 3)\nmake_model = lambda: model\nloss = Loss()"
    ),
    "a rate that falls by hand": (
        "class Falls:\n    def on_epoch(self, state):\n        state.optimizer.lr *= 0.5\ncallbacks = [Falls()]"
    ),
}
