"""Smooth random functions of time, all drawn before they are evaluated: the same generator gives the same curve
wherever it is sampled."""

import numpy as np
from jaxtyping import Float, Int, Num

KEYS = 64  # enough for half a minute of the shortest holds


def ease(x: Num[np.ndarray, "*T"]) -> Float[np.ndarray, "*T"]:
    """Minimum-jerk step from 0 (x <= 0) to 1 (x >= 1)."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x * x)


def through(x: Num[np.ndarray, "*T"], knots, values) -> Float[np.ndarray, "*T"]:
    """Passes the `values` at the ascending `knots` at rest, with minimum-jerk moves between them."""
    knots, values = np.asarray(knots, float), np.asarray(values, float)
    i = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    return values[i] + (values[i + 1] - values[i]) * ease((x - knots[i]) / (knots[i + 1] - knots[i]))


def wander(
    rng: np.random.Generator,
    t: Num[np.ndarray, "T"],
    low,
    high,
    hold: tuple[float, float] = (0.2, 1.5),
    move: tuple[float, float] = (0.4, 1.0),
) -> Float[np.ndarray, "T *D"]:
    """Goes from one uniformly drawn point of the box [low, high] to the next: a move, then a hold, in seconds."""
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    points = rng.uniform(low, high, (KEYS, *low.shape))
    i, share = _stages(rng, t, hold, move)
    return points[i] + (points[i + 1] - points[i]) * ease(share).reshape(-1, *[1] * low.ndim)


def set_anew(
    rng: np.random.Generator, t: Num[np.ndarray, "T"], size, lift: float, hold: tuple[float, float] = (1.5, 5.0)
) -> Float[np.ndarray, "T 3"]:
    """A foot that now and then is lifted and put down elsewhere, at most `size` (left, back; metres) from the origin:
    it never slides."""
    points = rng.uniform(-np.asarray(size, float), size, (KEYS, 2))
    i, share = _stages(rng, t, hold, (0.35, 0.6))
    place = points[i] + (points[i + 1] - points[i]) * ease((share - 0.1) / 0.8)[:, None]
    return np.concatenate([place, lift * np.sin(np.pi * np.clip(share, 0, 1))[:, None] ** 2], 1)


def _stages(rng, t, hold, move) -> tuple[Int[np.ndarray, "T"], Float[np.ndarray, "T"]]:
    """At which key a curve is, and which share of the move to the next is done (over 1: it holds)."""
    moves, holds = rng.uniform(*move, KEYS), rng.uniform(*hold, KEYS)
    starts = np.cumsum(moves + holds) - (moves + holds) - rng.uniform(0, move[1] + hold[1])
    i = np.clip(np.searchsorted(starts, t, side="right") - 1, 0, KEYS - 2)
    return i, (t - starts[i]) / moves[i]


def sway(rng: np.random.Generator, t: Num[np.ndarray, "T"], size: float, dims: int = 3) -> Float[np.ndarray, "T D"]:
    """Small slow movement of a living body, of standard deviation `size`."""
    frequency, phase = rng.uniform(0.15, 0.9, (3, dims)), rng.uniform(0, 2 * np.pi, (3, dims))
    return size * np.sin(2 * np.pi * frequency * t[:, None, None] + phase).sum(1) * np.sqrt(2 / 3)
