"""Tutorial 10: what it claims of the remedies, and what its checks say to wrong answers."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from minidl import functional as F
from minidl import nn

NAME = "10_remedies"


def test_weights_of_the_right_size_make_tanh_and_relu_level_and_the_sigmoid_not(tutorial):
    space = tutorial(NAME)
    found = {}
    for activation, s in (("tanh", 1), ("relu", np.sqrt(2)), ("sigmoid", 4)):
        found[activation] = space["decades"](
            space["network"](activation, lambda weight, s=s: nn.init.normal_(weight, 0, s / np.sqrt(32)))
        )
    assert abs(found["tanh"]) < 0.05
    assert abs(found["relu"]) < 0.05
    assert 0.1 < found["sigmoid"] < 0.5 * space["decades"](space["network"]())


def test_the_named_initialisers_are_what_the_text_says():
    md.seed(0)
    assert nn.Linear(300, 100, init=nn.init.glorot_normal_).weight.numpy().std() == pytest.approx(
        np.sqrt(2 / 400), rel=0.02
    )
    assert nn.Linear(300, 300, init=nn.init.he_normal_).weight.numpy().std() == pytest.approx(
        np.sqrt(2 / 300), rel=0.02
    )


def test_relu_alone_halves_the_illness(tutorial):
    decades, network = tutorial(NAME)["decades"], tutorial(NAME)["network"]
    assert decades(network("relu")) == pytest.approx(0.24 + 0.15, abs=0.05)
    assert decades(network("relu")) == pytest.approx(0.5 * decades(network()), abs=0.05)
    assert abs(decades(network("relu", nn.init.he_normal_))) < 0.05


def test_with_batch_normalisation_the_size_of_the_weights_does_not_matter(tutorial):
    table = tutorial(NAME)["table"]
    without, normalised = np.array(list(table.values())).T
    assert without.max() - without.min() > 0.5
    assert normalised.max() - normalised.min() < 0.01
    assert np.abs(normalised).max() < 0.05


def test_the_output_of_a_normalised_layer_does_not_change_with_the_weights():
    md.seed(0)
    x = md.randn(64, 8)
    layer, norm = nn.Linear(8, 5), nn.BatchNorm1d(5)
    before = norm(layer(x)).numpy()
    layer.weight.data = layer.weight.data * 3
    layer.bias.data = layer.bias.data * 3
    assert np.allclose(norm(layer(x)).numpy(), before, atol=1e-3)


def test_the_normalisation_of_the_text_is_that_of_the_layer(tutorial):
    rng = np.random.default_rng(0)
    z, grad_out = rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
    layer = nn.BatchNorm1d(3).to(np.float64)
    x = md.Tensor(z).requires_grad_()
    grads = md.grad(layer(x), [x, layer.weight, layer.bias], grad_outputs=[md.Tensor(grad_out)])
    mine = tutorial(NAME)["batch_norm_backward"](grad_out, z, np.ones(3), np.zeros(3))
    for computed, expected in zip(mine, grads, strict=True):
        assert np.allclose(computed, expected.numpy())


def test_twenty_blocks_grow_by_about_a_thousand_and_not_at_all_from_zero(tutorial):
    assert 500 < tutorial(NAME)["measured_growth"] < 2000
    assert tutorial(NAME)["growth_of_blocks"](nn.init.zeros_) == pytest.approx(1, abs=1e-6)


def test_the_value_between_the_blocks_has_two_addends(tutorial):
    (name, tape), *others = tutorial(NAME)["pages"].items()
    assert (name, others) == ("10_residual", [])
    assert len(tape.gradient("0.add").addends) == 2


def test_two_networks_fall_and_learn_nothing(tutorial):
    sizes, losses = tutorial(NAME)["sizes"], tutorial(NAME)["losses"]
    for name in ("sigmoid", "ReLU"):
        assert sizes[name][0] / sizes[name][-1] < 1e-3
        assert abs(losses[name][-1] - np.log(10)) < 0.03


def test_all_that_are_level_begin_to_learn_and_large_weights_slowest_by_far(tutorial):
    sizes, losses = tutorial(NAME)["sizes"], tutorial(NAME)["losses"]
    level = set(sizes) - {"sigmoid", "ReLU"}
    assert len(level) == 5
    for name in level:
        assert 0.3 < sizes[name][0] / sizes[name][-1] < 3
        assert losses[name][-1] < np.log(10) - 0.3
    others = [losses[name][-1] for name in level - {"large weights"}]
    assert max(others) < 0.5 * losses["large weights"][-1]
    assert max(losses["residual"][-1], losses["orthogonal"][-1]) < min(losses["ReLU, He"][-1], losses["batch norm"][-1])


def test_large_weights_keep_few_directions_and_the_others_all(tutorial):
    panels = md.plot.jacobian_spectrum(tutorial(NAME)["spectra"]).numbers["panels"]
    low, median, largest = (0.1, 0.5, 1.0)
    levels = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    last = {
        name: dict(zip(levels, np.array(panel["log10"]).astype(float)[:, -1], strict=True))
        for name, panel in panels.items()
    }
    assert last["large weights"][largest] > 0
    assert last["large weights"][median] < -6
    for name in ("residual", "orthogonal"):
        assert last[name][largest] - last[name][low] < 1


def test_only_the_normalised_network_does_not_feel_three_times_the_weights(tutorial):
    change = {name: abs(after - before) for name, (before, after) in tutorial(NAME)["thrice"].items()}
    assert change["batch norm"] < 0.01
    assert min(change["ReLU alone"], change["He"]) == pytest.approx(np.log10(3), abs=0.03)
    assert change["residual"] > 0.1


def test_a_normalised_relu_network_grows_slightly(tutorial):
    assert -0.15 < tutorial(NAME)["thrice"]["batch norm"][0] < -0.05


def test_the_page_is_small_enough(tutorial, tmp_path):
    tutorial(NAME)["pages"]["10_residual"].save_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 300_000
    assert len(tutorial(NAME)["slides"]) == 2


# The checks: answers as students write them.


def std_by_norm(n, slope):
    return np.sqrt(slope.size / n) / np.linalg.norm(slope)


def std_with_a_loop(n, slope):
    total = 0.0
    for value in slope.ravel():
        total += float(value) ** 2
    return (n * total / slope.size) ** -0.5


@pytest.mark.parametrize("answer", [std_by_norm, std_with_a_loop])
def test_right_standard_deviations_pass(answer):
    assert md.check.t10_weight_std(answer, show=False).passed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda n, slope: 1 / n / np.mean(slope**2), "this is the variance"),
        (lambda n, slope: 1 / np.sqrt(n) / np.mean(slope), "mean of their squares"),
        (lambda n, slope: n**-0.5, "slopes are missing"),
        (lambda n, slope: np.sqrt(np.mean(slope**2) / n), "larger weights"),
        (lambda n, slope: np.sqrt(n * np.mean(slope**2)), "upside down"),
        (lambda n, slope: 1 / np.sqrt(n * np.std(slope) ** 2), "variance was taken"),
        (lambda n, slope: 1 / np.sqrt(n * np.var(slope)), "variance was taken"),
        (lambda n, slope: 1 / np.sqrt(len(slope) * np.mean(slope**2)), "number of slopes"),
        (lambda n, slope: 1 / (n * np.mean(slope**2) ** 0.5), "goes over n"),
        (lambda n, slope: n**0.5 / np.mean(slope**2) ** 0.5, "n stands below"),
        (lambda n, slope: 1 / np.sqrt(n) * np.mean(slope**2), "stands above"),
        (lambda n, slope: 3**0.5 / np.sqrt(n * np.mean(slope**2)), "uniform"),
    ],
)
def test_wrong_standard_deviations_are_named(answer, hint):
    result = md.check.t10_weight_std(answer, show=False)
    assert not result.passed
    assert hint in result.hint


def norm_step_by_step(grad_out, z, gamma, beta):
    n = len(z)
    centred = z - z.mean(0)
    s = np.sqrt((centred**2).mean(0) + 1e-5)
    grad_normal = grad_out * gamma
    grad_var = (grad_normal * centred).sum(0) * -0.5 * s**-3
    grad_mean = -grad_normal.sum(0) / s - 2 * grad_var * centred.mean(0)
    grad_z = grad_normal / s + grad_var * 2 * centred / n + grad_mean / n
    return grad_z, np.sum(grad_out * centred / s, 0), np.sum(grad_out, 0)


def norm_by_jacobian(grad_out, z, gamma, beta):
    n, units = z.shape
    s = np.sqrt(z.var(axis=0) + 1e-5)
    normal = (z - z.mean(axis=0)) / s
    grad_z = np.empty_like(z)
    for j in range(units):
        jacobian = (np.eye(n, dtype=z.dtype) - 1 / n - np.outer(normal[:, j], normal[:, j]) / n) / s[j]
        grad_z[:, j] = jacobian.astype(z.dtype) @ (grad_out[:, j] * gamma[j])
    return [grad_z, np.einsum("nu,nu->u", grad_out, normal), grad_out.sum(axis=0)]


@pytest.mark.parametrize("answer", [norm_step_by_step, norm_by_jacobian])
def test_right_normalisations_pass(answer):
    assert md.check.t10_batch_norm_backward(answer, show=False).passed


def wrong_norm(grad_z=None, grad_gamma=None, grad_beta=None):
    def answer(grad_out, z, gamma, beta):
        s = np.sqrt(z.var(axis=0) + 1e-5)
        n = (z - z.mean(axis=0)) / s
        g = grad_out * gamma
        right = (g - g.mean(axis=0) - n * (g * n).mean(axis=0)) / s
        return (
            right if grad_z is None else grad_z(g, n, s),
            np.sum(grad_out * n, axis=0) if grad_gamma is None else grad_gamma(grad_out, z, n),
            np.sum(grad_out, axis=0) if grad_beta is None else grad_beta(grad_out),
        )

    return answer


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (wrong_norm(lambda g, n, s: g / s), "treated as constants"),
        (wrong_norm(lambda g, n, s: (g - g.mean(0)) / s), "way through s is missing"),
        (wrong_norm(lambda g, n, s: (g - n * np.mean(g * n, 0)) / s), "way through the mean is missing"),
        (wrong_norm(lambda g, n, s: g - g.mean(0) - n * (g * n).mean(0)), "division by s is missing"),
        (wrong_norm(lambda g, n, s: (g - g.sum(0) - n * (g * n).sum(0)) / s), "sums were taken away"),
        (wrong_norm(lambda g, n, s: (g - g.mean(0) + n * (g * n).mean(0)) / s), "not added"),
        (wrong_norm(grad_gamma=lambda g, z, n: (g * z).sum(0)), "not z itself"),
        (
            wrong_norm(grad_gamma=lambda g, z, n: (g * n).mean(0), grad_beta=lambda g: g.mean(0)),
            "sums over it, not means",
        ),
        (wrong_norm(lambda g, n, s: (g - g.mean(0) - n * (g * n).mean(0)) * s), "multiplied by s, or divided"),
        (wrong_norm(lambda g, n, s: (g - g.mean(0) - (g * n).mean(0)) / s), "a number a unit"),
        (wrong_norm(lambda g, n, s: (g - g.mean(1) - n * (g * n).mean(1)) / s), "axis=0"),
        (wrong_norm(grad_gamma=lambda g, z, n: g.sum(0), grad_beta=lambda g: g.sum(0)), "not dL/dbeta"),
        (wrong_norm(grad_gamma=lambda g, z, n: g * n, grad_beta=lambda g: g), "sum over it is missing"),
        (wrong_norm(lambda g, n, s: g - g.mean(0) - n * (g * n).mean(0) / s), "brackets are missing"),
        (wrong_norm(lambda g, n, s: (g - g.mean(0) - n * n * g) / s), "second mean is missing"),
        (wrong_norm(lambda g, n, s: (g - g.mean(0) - np.mean(n * n * g, 0)) / s), "stands outside"),
        (wrong_norm(lambda g, n, s: (g - g.mean(0) - n * g.mean(0) * n.mean(0)) / s), "product of the means"),
        (wrong_norm(lambda g, n, s: g), "how z acts on it"),
        (lambda g, z, gamma, beta: norm_step_by_step(g, z, gamma, beta)[0], "one gradient came"),
    ],
)
def test_wrong_normalisations_are_named(answer, hint):
    result = md.check.t10_batch_norm_backward(answer, show=False)
    assert not result.passed
    assert hint in result.hint


def residual_in_two_steps(grad_out, x, w1, w2):
    z = x @ w1
    grad_w2 = np.tanh(z).T @ grad_out
    grad_z = (grad_out @ w2.T) / np.cosh(z) ** 2
    grad_x = grad_out.copy()
    grad_x += grad_z @ w1.T
    return grad_x, x.T @ grad_z, grad_w2


def residual_example_by_example(grad_out, x, w1, w2):
    grad_x, grad_w1, grad_w2 = np.zeros_like(x), np.zeros_like(w1), np.zeros_like(w2)
    for i in range(len(x)):
        h = np.tanh(x[i] @ w1)
        delta = (w2 @ grad_out[i]) * (1 - h * h)
        grad_x[i] = grad_out[i] + w1 @ delta
        grad_w1 += np.outer(x[i], delta)
        grad_w2 += np.outer(h, grad_out[i])
    return grad_x, grad_w1, grad_w2


@pytest.mark.parametrize("answer", [residual_in_two_steps, residual_example_by_example])
def test_right_residual_blocks_pass(answer):
    assert md.check.t10_residual_backward(answer, show=False).passed


def wrong_residual(together=lambda grad_out, branch, x: grad_out + branch, slope=lambda h: 1 - h**2):
    def answer(grad_out, x, w1, w2):
        h = np.tanh(np.dot(x, w1))
        dz = np.dot(grad_out, w2.T) * slope(h)
        return together(grad_out, np.dot(dz, w1.T), x), np.dot(x.T, dz), np.dot(h.T, grad_out)

    return answer


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (wrong_residual(lambda grad_out, branch, x: branch), "way around is missing"),
        (wrong_residual(lambda grad_out, branch, x: 1 + branch), "1 was added"),
        (wrong_residual(lambda grad_out, branch, x: grad_out * branch), "were multiplied"),
        (wrong_residual(lambda grad_out, branch, x: grad_out.copy()), "through the branch is missing"),
        (wrong_residual(slope=lambda h: 1), "slope of tanh is missing"),
        (wrong_residual(slope=lambda h: h * (1 - h)), "slope of the sigmoid"),
        (lambda g, x, w1, w2: (g + g @ w2 @ w1.T, x.T @ g, g), "transposed matrix"),
        (wrong_residual(slope=lambda h: 1 - h), "square of h"),
        (wrong_residual(lambda grad_out, branch, x: grad_out - branch), "has a minus"),
        (wrong_residual(lambda grad_out, branch, x: 2 * grad_out + branch), "added twice"),
        (wrong_residual(lambda grad_out, branch, x: grad_out + branch + x), "x does not"),
        (lambda *case: residual_in_two_steps(*case)[0], "one gradient came"),
        (lambda *case: [residual_in_two_steps(*case)[k] for k in (0, 2, 1)], "order is x, w1, w2"),
    ],
)
def test_wrong_residual_blocks_are_named(answer, hint):
    result = md.check.t10_residual_backward(answer, show=False)
    assert not result.passed
    assert hint in result.hint


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (2**20, "same way"),
        (1, "two ways"),
        (20, "multiplied"),
        (40, "multiplied"),
        (10, "exponent"),
        (3, "decades"),
        (2**9, "18"),
        (2**-10, "grows"),
    ],
)
def test_predictions_of_the_growth(value, hint):
    assert md.check.t10_twenty_blocks(1000, show=False).passed
    assert md.check.t10_twenty_blocks(2**10, show=False).passed
    assert md.check.t10_twenty_blocks(1.4**20, show=False).passed
    assert not md.check.t10_twenty_blocks(1.4**19, show=False).passed
    assert hint in md.check.t10_twenty_blocks(value, show=False).hint


@pytest.mark.parametrize(("letter", "hint"), [("a", "3 a layer"), ("b", "3 times as large"), ("d", "branch's factor")])
def test_who_does_not_feel_the_weights(letter, hint):
    assert md.check.t10_three_times("c", show=False).passed
    assert hint in md.check.t10_three_times(letter, show=False).hint


def test_cross_entropy_of_ten_classes_begins_at_ln_ten():
    assert F.cross_entropy(md.zeros(4, 10), np.arange(4)).item() == pytest.approx(np.log(10), rel=1e-6)
