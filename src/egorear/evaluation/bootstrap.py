"""How far a mean would move if other sequences had been recorded: the bootstrap over whole sequences."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

DRAWS = 2000
LEVEL = (2.5, 97.5)  # percentiles: the interval holds 95 % of the draws


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval; none where all frames are of one sequence, which tells nothing of others."""

    value: float
    low: float | None
    high: float | None


class ClusterBootstrap:
    """Draws clusters with replacement, each with all its members (Efron and Tibshirani, 1993, ch. 8).

    Neighbouring frames are alike, so that drawing frames one by one would make intervals far too narrow.

    clusters: of each of N values, for instance the frame's sequence. The same draws serve every estimate, so the
    interval of a difference is that of the paired differences.
    """

    def __init__(self, clusters: Sequence[Hashable], seed: int = 0) -> None:
        index = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
        self._of = np.array([index[cluster] for cluster in clusters])
        self._counts = np.bincount(self._of)
        shares = np.full(len(index), 1 / len(index))
        self._weights = np.random.default_rng(seed).multinomial(len(index), shares, DRAWS)

    def mean(self, values: Float[np.ndarray, "N"]) -> Estimate:
        """The mean of the values, every value counting alike."""
        if len(self._counts) == 1:
            return Estimate(float(values.mean()), None, None)
        sums = np.bincount(self._of, values)
        means = (self._weights @ sums) / (self._weights @ self._counts)
        low, high = np.percentile(means, LEVEL)
        return Estimate(float(values.mean()), float(low), float(high))
