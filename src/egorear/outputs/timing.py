"""Poses at an even rate, as motion files have them."""

import numpy as np
from jaxtyping import Float64

from egorear.errors import UserError

UNEVEN = 0.01  # of a step: timestamps may be so far from an even grid and still count as even
ALONE_S = 1 / 30  # step of a single pose
MOST_FILLED = 100_000  # frames: most of an hour at 30 a second; a longer gap is a mistake in the timestamps


def evenly(timestamps: Float64[np.ndarray, "N"]) -> tuple[float, Float64[np.ndarray, "M"]]:
    """Seconds from pose to pose at an even rate, and the index of each pose at that rate among the N, 0 .. N - 1. If
    the timestamps are uneven the rate is the usual one (the median step) and some indices lie between two poses.

    Raises:
        UserError: there is no pose, timestamps do not increase, or a gap would have to be filled with too many.
    """
    indices = np.arange(len(timestamps), dtype=np.float64)
    if len(timestamps) < 2:
        if not len(timestamps):
            raise UserError("there is no pose")
        return ALONE_S, indices
    check_increasing(timestamps)
    mean = float(timestamps[-1] - timestamps[0]) / (len(timestamps) - 1)
    if np.abs(timestamps - timestamps[0] - mean * indices).max() <= UNEVEN * mean:
        return mean, indices
    steps = np.diff(timestamps)
    step = float(np.median(steps))
    count = int((timestamps[-1] - timestamps[0]) / step + UNEVEN) + 1
    if count > len(timestamps) + MOST_FILLED:
        widest = int(steps.argmax())
        raise UserError(
            f"'timestamps' leap from {timestamps[widest]:g} s to {timestamps[widest + 1]:g} s but usually differ by "
            f"{step:g} s: give --fps if the frames do follow each other"
        )
    return step, np.interp(timestamps[0] + step * np.arange(count), timestamps, indices)


def check_increasing(timestamps: Float64[np.ndarray, "N"]) -> None:
    """UserError unless each is later than the one before."""
    if (back := np.diff(timestamps) <= 0).any():
        before, after = timestamps[int(back.argmax()) :][:2]
        raise UserError(f"'timestamps' must increase, but {after:g} s follows {before:g} s")
