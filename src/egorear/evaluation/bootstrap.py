"""How far a figure would move if other sequences had been recorded: the bootstrap over whole sequences."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

DRAWS = 2000
LEVEL = (2.5, 97.5)  # percentiles: the interval holds 95 % of the draws


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; none where all frames are of one sequence, which tells nothing of others."""

    value: float
    low: float | None
    high: float | None

    @staticmethod
    def of(value: float, draws: Float[np.ndarray, "D"] | None) -> "Estimate":
        """The value with the interval of its draws."""
        if draws is None:
            return Estimate(float(value), None, None)
        low, high = np.percentile(draws, LEVEL)
        return Estimate(float(value), float(low), float(high))


class ClusterBootstrap:
    """Draws clusters with replacement, each with all its members (Efron and Tibshirani, 1993, ch. 8).

    Neighbouring frames are alike, so that drawing frames one by one would make intervals far too narrow.

    clusters: of each of N values, for instance the frame's sequence. The same draws serve every estimate, so the
    interval of a difference is that of the paired differences.
    """

    def __init__(self, clusters: Sequence[Hashable], seed: int = 0) -> None:
        index = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}
        self._of = np.array([index[cluster] for cluster in clusters])
        shares = np.full(len(index), 1 / len(index))
        self._weights = np.random.default_rng(seed).multinomial(len(index), shares, DRAWS)

    def mean(self, values: Float[np.ndarray, "N"]) -> Estimate:
        """The mean of the values, every value counting alike."""
        draws = self.sums(np.stack((values, np.ones_like(values)), axis=1))
        return Estimate.of(values.mean(), None if draws is None else draws[:, 0] / draws[:, 1])

    def sums(self, values: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "D K"] | None:
        """Of each draw the sums over its members: whatever follows from sums can be estimated. None if there is one
        cluster only."""
        clusters = self._weights.shape[1]
        if clusters == 1:
            return None
        sums = np.zeros((clusters, values.shape[1]))
        np.add.at(sums, self._of, values)
        return self._weights @ sums
