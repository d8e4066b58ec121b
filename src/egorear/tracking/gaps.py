"""Where a stream lacks frames, told by their numbers or timestamps: a window must not bridge what was not seen."""

import math
import statistics
from collections import deque

REMEMBERED = 15  # steps by which the usual one is told: few enough to follow a camera that changes its rate
SHARE = 1.5  # of the usual step: one lost frame makes it 2, and cameras keep their rate better than this


class GapWatch:
    """Learns the usual step between consecutive values; what is SHARE times as long, or no step forward, is a gap.

    Which of the first two steps was the longer one can only be told once both are there: a gap in the first step is
    told one frame late.
    """

    def __init__(self) -> None:
        self._last = math.nan
        self._steps: deque[float] = deque(maxlen=REMEMBERED)

    def is_after_gap(self, value: float | int) -> bool:
        """Whether frames are missing between the last value given and this one."""
        step, self._last = float(value) - self._last, float(value)
        if math.isnan(step):
            return False
        if step <= 0:
            return True
        usual = statistics.median_low(self._steps) if self._steps else step
        known = len(self._steps)
        self._steps.append(step)
        return step > SHARE * usual or (known == 1 and step * SHARE < usual)
