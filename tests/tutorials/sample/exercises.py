"""The sample's exercises, as md.check has those of the tutorials."""

from types import SimpleNamespace

from minidl.check.exercise import Explain, Implement, Mistake, Predict

t00_slope = Predict("t00_slope", "the slope of y = 2x", 2.0, [Mistake(0.5, "that is 1 / slope")])
t00_double = Implement(
    "t00_double",
    "twice x",
    lambda x: 2 * x,
    lambda rng: [(rng.standard_normal(3),), (rng.standard_normal((2, 3)),)],
    [Mistake(lambda x: x * x, "that is the square"), Mistake(lambda x: x, "x itself came")],
)
t00_why = Explain(
    "t00_why",
    "why is it linear?",
    {"a": "it is steep", "b": "f(a + b) = f(a) + f(b)"},
    "b",
    {"a": "x * x is steep, too"},
)

EXERCISES = (t00_slope, t00_double, t00_why)
check = SimpleNamespace(**{exercise.name: exercise for exercise in EXERCISES})
