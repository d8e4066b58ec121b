"""Recorded poses without the tremble of networks that see one frame at a time."""

import numpy as np
from jaxtyping import Float32, Float64

from egorear.outputs.timing import check_increasing

REACH = 4.0  # standard deviations: what is further away has no weight


def smooth(
    timestamps: Float64[np.ndarray, "N"], joints: Float32[np.ndarray, "N J 3"], sigma_s: float
) -> Float32[np.ndarray, "N J 3"]:
    """Each joint as the mean of its places around that time, weighted by a Gaussian of `sigma_s` seconds standard
    deviation: nothing is delayed, what follows counts as much as what went before. timestamps: of one recording;
    frames may be missing.

    Raises:
        UserError: timestamps do not increase.
    """
    check_increasing(timestamps)
    first = np.searchsorted(timestamps, timestamps - REACH * sigma_s)
    last = np.searchsorted(timestamps, timestamps + REACH * sigma_s, "right")
    smoothed = np.empty_like(joints)
    for frame, (start, end) in enumerate(zip(first, last, strict=True)):
        weights = np.exp(-0.5 * ((timestamps[start:end] - timestamps[frame]) / sigma_s) ** 2)
        smoothed[frame] = np.tensordot(weights / weights.sum(), joints[start:end], 1)
    return smoothed
