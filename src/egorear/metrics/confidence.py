"""Whether a confidence means what it says: calibration error, reliability curve, and how well it finds errors."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from egorear.errors import UserError

BINS = 15

Numbers = Float[Tensor, "*N"] | Float[np.ndarray, "*N"]
Flags = Bool[Tensor, "*N"] | Bool[np.ndarray, "*N"]


@dataclass(frozen=True)
class ReliabilityCurve:
    """Confidences in bins of equal width between 0 and 1; empty bins are left out.

    confidence: mean confidence of a bin. correct: share of its joints that are correct. count: how many it holds.
    A confidence that means what it says has both alike.
    """

    confidence: Float[np.ndarray, "K"]
    correct: Float[np.ndarray, "K"]
    count: Int[np.ndarray, "K"]


def reliability_curve(confidence: Numbers, correct: Flags, bins: int = BINS) -> ReliabilityCurve:
    """Share of correct answers by confidence (DeGroot and Fienberg, 1983): bin k holds k/bins ≤ c < (k+1)/bins, the
    last one 1 too.

    Raises:
        UserError: a confidence is not within 0 and 1.
    """
    said, true = torch.as_tensor(confidence).double().flatten().cpu(), torch.as_tensor(correct).flatten().cpu()
    if not bool(((said >= 0) & (said <= 1)).all()):
        raise UserError("a confidence is not within 0 and 1")
    inner_edges = torch.arange(1, bins, dtype=torch.float64) / bins
    index = torch.bucketize(said, inner_edges, right=True)
    count = torch.bincount(index, minlength=bins)
    sums = [torch.bincount(index, weights=values, minlength=bins) for values in (said, true.double())]
    held = count > 0
    means = [(total[held] / count[held]).numpy() for total in sums]
    return ReliabilityCurve(means[0], means[1], count[held].numpy())


def expected_calibration_error(confidence: Numbers, correct: Flags, bins: int = BINS) -> float:
    """Mean gap between confidence and share correct, over bins weighted by what they hold (Naeini et al., 2015):
    0 is best; NaN of nothing.

    Raises:
        UserError: a confidence is not within 0 and 1.
    """
    curve = reliability_curve(confidence, correct, bins)
    total = curve.count.sum()
    return float((np.abs(curve.confidence - curve.correct) * curve.count).sum() / total) if total else float("nan")


def auroc(score: Numbers, positive: Flags) -> float:
    """Area under the receiver operating characteristic: how often a positive has a higher score than a negative, ties
    counting half. 0.5 is chance; NaN if there is one class only.

    Raises:
        UserError: a score is NaN.
    """
    scores, positives = torch.as_tensor(score).double().flatten().cpu(), torch.as_tensor(positive).flatten().cpu()
    if bool(scores.isnan().any()):
        raise UserError("a score is NaN, so that it ranks nowhere")
    hits = int(positives.sum())
    misses = len(positives) - hits
    if not hits or not misses:
        return float("nan")
    _, group, count = scores.unique(return_inverse=True, return_counts=True)
    rank = count.cumsum(0) - (count - 1) / 2  # of tied scores: the mean of the ranks they take, from 1
    return float((rank[group][positives].sum() - hits * (hits + 1) / 2) / (hits * misses))
