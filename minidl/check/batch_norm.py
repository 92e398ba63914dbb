"""The largest exercise of tutorial 10, in a file of its own: batch normalisation, backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.check.exercise import Implement, Mistake

_EPS = 1e-5


def _normal(z: Any) -> tuple[Any, Any]:
    s = np.sqrt(z.var(axis=0) + _EPS)
    return (z - z.mean(axis=0)) / s, s


def _batch_norm(z: Any, gamma: Any, beta: Any) -> Any:
    return gamma * _normal(z)[0] + beta


def _batch_norm_backward(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    normal, s = _normal(z)
    g = grad_out * gamma
    grad_z = (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0)) / s
    return grad_z, (grad_out * normal).sum(axis=0), grad_out.sum(axis=0)


def _wrong_grad_z(of: Any) -> Any:
    """All right but dL/dz, which is `of(g, normal, s, grad_out)`."""

    def answer(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
        normal, s = _normal(z)
        _, grad_gamma, grad_beta = _batch_norm_backward(grad_out, z, gamma, beta)
        return of(grad_out * gamma, normal, s, grad_out), grad_gamma, grad_beta

    return answer


def _wrong_grad_gamma(of: Any) -> Any:
    def answer(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
        grad_z, _, grad_beta = _batch_norm_backward(grad_out, z, gamma, beta)
        return grad_z, of(grad_out, z, _normal(z)[0]), grad_beta

    return answer


def _mean_instead_of_sum(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    grad_z = _batch_norm_backward(grad_out, z, gamma, beta)[0]
    return grad_z, (grad_out * _normal(z)[0]).mean(axis=0), grad_out.mean(axis=0)


def _not_summed(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    return _batch_norm_backward(grad_out, z, gamma, beta)[0], grad_out * _normal(z)[0], grad_out


def _z_for_normal(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    g, s = grad_out * gamma, _normal(z)[1]
    grad_z = (g - g.mean(axis=0) - z * (g * z).mean(axis=0)) / s
    return grad_z, *_batch_norm_backward(grad_out, z, gamma, beta)[1:]


def _mean_of_z(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    g, (normal, s) = grad_out * gamma, _normal(z)
    grad_z = (g - z.mean(axis=0) - normal * (g * normal).mean(axis=0)) / s
    return grad_z, *_batch_norm_backward(grad_out, z, gamma, beta)[1:]


def _of_a_sample(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    g, s = grad_out * gamma, np.sqrt(z.var(axis=0, ddof=1) + _EPS)
    normal = (z - z.mean(axis=0)) / s
    grad_z = (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0)) / s
    return grad_z, (grad_out * normal).sum(axis=0), grad_out.sum(axis=0)


def _g_for_parameters(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    grad_z, grad_gamma, grad_beta = _batch_norm_backward(grad_out, z, gamma, beta)
    return grad_z, gamma * grad_gamma, gamma * grad_beta


def _beta_first(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    grad_z, grad_gamma, grad_beta = _batch_norm_backward(grad_out, z, gamma, beta)
    return grad_z, grad_beta, grad_gamma


def _kept_axes(grad_out: Any, z: Any, gamma: Any, beta: Any) -> Any:
    grad_z, grad_gamma, grad_beta = _batch_norm_backward(grad_out, z, gamma, beta)
    return grad_z, grad_gamma[None], grad_beta[None]


def _norm_cases(rng: np.random.Generator) -> Any:
    for examples, units in ((4, 2), (6, 3), (5, 1)):
        shape = (examples, units)
        yield (
            rng.standard_normal(shape),
            rng.standard_normal(shape) * rng.uniform(0.5, 3, units) + rng.standard_normal(units),
            rng.uniform(0.5, 2, units),
            rng.standard_normal(units),
        )


t10_batch_norm_backward = Implement(
    "t10_batch_norm_backward",
    "dL/dz, dL/dgamma and dL/dbeta of batch normalisation, given dL/dy",
    _batch_norm_backward,
    _norm_cases,
    mistakes=[
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: g / s),
            "the mean and the standard deviation were treated as constants, but they depend on z too: two of the three "
            "ways back are missing",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: (g - g.mean(axis=0)) / s),
            "the way through s is missing, or 0 (the mean of a product is not the product of the means): no gradient "
            "may be left along the normalised z",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: (g - normal * (g * normal).mean(axis=0)) / s),
            "the way through the mean is missing",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: (
                    (grad_out - grad_out.mean(axis=0) - normal * (grad_out * normal).mean(axis=0)) / s
                )
            ),
            "gamma is missing in dL/dz",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: g - g.mean(axis=0) - normal * (g * normal).mean(axis=0),
            ),
            "the division by s is missing in dL/dz: it is the 1/s by which the gradient is made larger again",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: (g - g.mean(axis=0)) / s - normal * (g * normal).mean(axis=0),
            ),
            "all three ways are divided by s, the one along the normalised z as well",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: (g - g.mean() - normal * (g * normal).mean()) / s,
            ),
            "the means run over the batch only, one for each unit: axis=0",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: (g - g.sum(axis=0) - normal * (g * normal).sum(axis=0)) / s,
            ),
            "sums were taken away instead of means",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: (g - g.mean(axis=0) + normal * (g * normal).mean(axis=0)) / s,
            ),
            "the part along the normalised z is to be taken away, not added",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: g - g.mean(axis=0) - normal * (g * normal).mean(axis=0) / s,
            ),
            "only the last of the three ways is divided by s: brackets are missing",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: (g - g.mean(axis=0) - normal * g * normal) / s),
            "the second mean is missing: along the normalised z stands the mean of g times it, over the batch",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: (g - g.mean(axis=0) - (normal * g * normal).mean(axis=0)) / s),
            "the mean is of g times the normalised z; the other normalised z stands outside of it",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: g),
            "this is what reaches the normalised z; how z acts on it is missing",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: grad_out / s),
            "only the direct way is there, and gamma is missing in it",
        ),
        Mistake(
            _mean_of_z,
            "what is taken away is the mean of g, not that of z: this is the way back",
        ),
        Mistake(
            _of_a_sample,
            "z.var(ddof=1) divides by one example less; normalised is by the s that stands there",
        ),
        Mistake(
            lambda *case: _batch_norm_backward(*case)[0],
            "one gradient came: three were expected, of z, gamma and beta",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: (g - g.mean(axis=0) - (g * normal).mean(axis=0)) / s),
            "the mean of g times the normalised z is a number a unit: by what must it be multiplied first?",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0)) * s),
            "y is z divided by s: is dL/dz then multiplied by s, or divided?",
        ),
        Mistake(
            _wrong_grad_z(
                lambda g, normal, s, grad_out: (g - g.mean(axis=0) - normal * (g * normal).mean(axis=0)) / s**2
            ),
            "dL/dz is divided by s, the standard deviation, not by the variance",
        ),
        Mistake(
            _wrong_grad_z(lambda g, normal, s, grad_out: g - g.mean(axis=1) - normal * (g * normal).mean(axis=1)),
            "the means run over the batch only, one for each unit: axis=0",
        ),
        Mistake(
            _z_for_normal,
            "the length that is fixed is that of the normalised z: along that no gradient may be left, not along z",
        ),
        Mistake(
            _wrong_grad_gamma(lambda grad_out, z, normal: (grad_out * z).sum(axis=0)),
            "gamma multiplies the normalised z, so dL/dgamma has that in it, not z itself",
        ),
        Mistake(
            _g_for_parameters,
            "g has gamma in it already: dL/dgamma and dL/dbeta are formed from dL/dy itself",
        ),
        Mistake(_beta_first, "dL/dgamma comes before dL/dbeta"),
        Mistake(_kept_axes, "gamma and beta have one axis, and so have their gradients"),
        Mistake(
            _wrong_grad_gamma(lambda grad_out, z, normal: grad_out.sum(axis=0)),
            "dL/dgamma is not dL/dbeta: what does gamma multiply?",
        ),
        Mistake(
            _mean_instead_of_sum,
            "gamma and beta serve every example of the batch: their gradients are sums over it, not means",
        ),
        Mistake(_not_summed, "gamma and beta serve every example of the batch: the sum over it is missing"),
    ],
    forward=_batch_norm,
)
