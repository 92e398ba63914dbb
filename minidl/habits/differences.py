"""Lines that run in PyTorch and in minidl and mean something else: (line, in PyTorch, in minidl, what to write)."""

from __future__ import annotations

DIFFERENCES: tuple[tuple[str, str, str, str], ...] = (
    (
        "x.transpose(0, 1)",
        "exchanges two axes",
        "the order of all axes: of a matrix nothing changes (a warning says so); of others it is an error",
        "x.T",
    ),
    (
        "x.max(1)",
        "(values, places)",
        "the values; `_, places = x.max(1)` is an error where it can be seen",
        "x.argmax(axis=1)",
    ),
    (
        "F.pad(x, (1, 1))",
        "pads the last axis",
        "pads every axis (a warning says so)",
        "F.pad(x, [(0, 0), (1, 1)])",
    ),
    (
        "md.data.Loader(dataset, 2)",
        "a DataLoader keeps the order",
        "shuffles",
        "md.data.Loader(dataset, 2, shuffle=False)",
    ),
    ("x.var()", "divides by n - 1", "divides by n, as NumPy's; batch norm is PyTorch's", "x.var(ddof=1)"),
    ("x.std()", "divides by n - 1", "divides by n, as NumPy's", "x.std(ddof=1)"),
    ("x.repeat(2, 1)", "repeats the whole", "repeats each number 2 times along axis 1", "F.tile(x, (2, 1))"),
    ("F.split(x, 1)", "parts of length 1", "1 part", "F.split(x, 2)"),
    ("x.max(axis=1)", "of equal ones the first gets the gradient", "equal ones share it evenly", "x.max(axis=1)"),
    ("x.sum(0)", "of float32 is added up in float32", "is added up in float64 and rounded once", "x.sum(0)"),
    ("F.one_hot(labels, 3)", "int64", "float32, ready for a product", 'F.one_hot(labels, 3, dtype="int64")'),
    (
        "labels * md.ones(2)",
        "int64 with float32 is float32",
        "int64 with float32 is float64, as in NumPy; a number never promotes",
        'labels.astype("float32") * md.ones(2)',
    ),
    (
        "md.tensor(np.zeros(3))",
        "float64, and so is what is computed with it",
        "the same: arrays keep their dtype; lists of floats are float32",
        "md.tensor(np.zeros(3, np.float32))",
    ),
    (
        "optim.CosineLR(optimizer, 100)",
        "CosineAnnealingLR rises again after T_max",
        "stays at min_lr",
        "optim.CosineLR(optimizer, 100)",
    ),
    ("x.argsort(0)", "any order of equal ones", "equal ones as they stand", "x.argsort(0)"),
    ("x.flatten(0)", "a copy or a view", "a view; reshape likewise", "x.flatten(0).copy()"),
    ("x.size", "a method", "the number of elements; the lengths are x.shape", "x.shape"),
    ("model.parameters()", "an iterator, of which next() takes the first", "a list", "model.parameters()[0]"),
    ("nn.Softmax()", "guesses the axis, with a warning", "the last axis", "nn.Softmax(dim=-1)"),
    ("F.softmax(x)", "guesses the axis, with a warning", "the last axis", "F.softmax(x, axis=-1)"),
)
