"""Straight lines through paired values of frames, with intervals that know that neighbouring frames are alike."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from egorear.evaluation.bootstrap import ClusterBootstrap, Estimate

TINY = 1e-300  # keeps the continued fraction off a division by zero
PRECISION = 1e-14


@dataclass(frozen=True)
class Line:
    """Least squares: y = slope · x + intercept.

    slope: its interval is that of the bootstrap. r: Pearson's correlation. p_value: two-sided t-test of no slope that
    takes every value for independent, as papers do; dense frames are not, so believe the interval. 0 where a float
    holds none so small.
    """

    slope: Estimate
    intercept: float
    r: float
    p_value: float


def line(x: Float[np.ndarray, "N M"], y: Float[np.ndarray, "N M"], bootstrap: ClusterBootstrap) -> Line | None:
    """The line through all N · M points, M of each of the bootstrap's N frames; None where all x are the same, or
    there are fewer than three points."""
    spread_x, spread_y = float(x.std()), float(y.std())
    if x.size < 3 or not spread_x:
        return None
    (slope,) = coefficients(y, x[..., None], bootstrap)
    r = 0.0
    if spread_y:
        r = float(np.clip(((x - x.mean()) * (y - y.mean())).mean() / (spread_x * spread_y), -1, 1))
    freedom = x.size - 2
    t = math.inf if abs(r) == 1 else r * math.sqrt(freedom / (1 - r * r))
    return Line(slope, float(y.mean() - slope.value * x.mean()), r, student_p(t, freedom))


def coefficients(
    y: Float[np.ndarray, "N M"],
    regressors: Float[np.ndarray, "N M P"],
    bootstrap: ClusterBootstrap,
    instruments: Float[np.ndarray, "N M P"] | None = None,
) -> list[Estimate]:
    """What y changes by for each regressor (a constant is fitted too, and not told).

    instruments: other measurements of the regressors whose noise is independent of the regressors' and of y's; the
    coefficients are then those of regressors without noise (instrumental variables: those that leave a residual
    without correlation with any instrument). None: least squares, in which noise of a regressor draws its coefficient
    towards zero.
    """
    # Around the means, so that the sums lose no digits; each draw fits its own constant.
    centred = [each - each.mean((0, 1)) for each in (regressors, regressors if instruments is None else instruments)]
    X, Z = (np.concatenate((np.ones((*y.shape, 1)), each), axis=-1) for each in centred)
    width = X.shape[-1]
    products = np.concatenate(
        (np.einsum("nmi,nmj->nij", Z, X).reshape(len(y), -1), np.einsum("nmi,nm->ni", Z, y - y.mean())), axis=1
    )

    def solve(sums: Float[np.ndarray, "D K"]) -> Float[np.ndarray, "D P"]:
        matrix = sums[:, : width * width].reshape(-1, width, width)
        # A pseudo-inverse: a draw of one recording many times may leave nothing to tell the regressors apart by.
        return (np.linalg.pinv(matrix) @ sums[:, width * width :, None])[:, 1:, 0]

    (values,), drawn = solve(products.sum(0, keepdims=True)), bootstrap.sums(products)
    draws = None if drawn is None else solve(drawn)
    return [Estimate.of(value, None if draws is None else draws[:, p]) for p, value in enumerate(values)]


def student_p(t: float, freedom: int) -> float:
    """How often Student's t of `freedom` degrees is farther from zero than t: the regularised incomplete beta function
    I_x(freedom / 2, 1 / 2) at x = freedom / (freedom + t²) (Abramowitz and Stegun, 26.7.1 and 26.5.8)."""
    if math.isinf(t):
        return 0.0
    a, b, x = freedom / 2, 0.5, freedom / (freedom + t * t)
    rest = t * t / (freedom + t * t)
    if not rest:
        return 1.0
    log_x = math.log(x) if x < 0.5 else math.log1p(-rest)  # whichever loses no digits
    log_front = a * log_x + b * math.log(rest) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(a, b, x) / a
    return 1 - front * _beta_fraction(b, a, rest) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    numerator, denominator = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, 100_000):  # it takes some √max(a, b) steps
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            denominator = 1 / _away_from_zero(1 + term * denominator)
            numerator = _away_from_zero(1 + term / numerator)
            value *= denominator * numerator
        if abs(denominator * numerator - 1) < PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
