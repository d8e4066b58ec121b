"""Windows of consecutive frames: what a network that looks at time learns from and is judged by.

A window never bridges a gap: frames that a dataset lacks, or has left out, end a run. (The release of AG-EgoPose cuts
windows from what is left after filtering, gaps and all, and never uses the last frames of a sequence.)
"""

import copy
import logging
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch.utils.data import Dataset

from egorear.datasets.frames import FrameDataset
from egorear.datasets.sample import Sample
from egorear.errors import UserError

LAST_NUMBER = re.compile(r"(\d+)\D*$")


@runtime_checkable
class Batches(Protocol):
    """Frames that are served as whole batches (`training.memory.MemoryDataset`)."""

    names: list[str]

    def __getitems__(self, indices: list[int]) -> Sample: ...


class WindowDataset(Dataset[Sample]):
    """Windows of `length` frames; items are samples "T V …", batches "B T V …" whose names are those of all B·T frames.

    stride: frames from one window to the next; None: every frame counts once (`covering`, told by `Sample.counted`).
    Runs shorter than `length` give no window: one warning tells how many.

    Raises:
        UserError: length or stride is not positive, a frame's name has no number, or no run is long enough.
    """

    def __init__(self, frames: FrameDataset | Batches, length: int, stride: int | None) -> None:
        self.frames, self.length = frames, length
        found = runs(frames.names)
        long = [run for run in found if len(run) >= length]
        if not long:
            longest = max((len(run) for run in found), default=0)
            raise UserError(f"a window is {length} frames long but the longest run without a gap has only {longest}")
        if len(long) < len(found):
            lost = sum(len(run) for run in found) - sum(len(run) for run in long)
            logging.getLogger("egorear").warning(
                "%d of %d runs are shorter than a window of %d frames and are left out (%d frames)",
                len(found) - len(long), len(found), length, lost,
            )  # fmt: skip
        if stride is None:
            covers = covering(long, length)
            self.windows, self._counted = [window for window, _ in covers], [counted for _, counted in covers]
        else:
            self.windows, self._counted = windows(long, length, stride), None

    def of(self, frames: FrameDataset | Batches) -> "WindowDataset":
        """The same windows of another store of the same frames."""
        other = copy.copy(self)
        other.frames = frames
        return other

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index]).batch_item(0)

    def __getitems__(self, indices: list[int]) -> Sample:
        """The batch of these windows; a DataLoader asks for it by this name."""
        frames = [frame for index in indices for frame in self.windows[index]]
        if isinstance(self.frames, FrameDataset):
            batch = Sample.stack([self.frames[frame] for frame in frames])
        else:
            batch = self.frames.__getitems__(frames)
        counted = None
        if self._counted is not None:
            counted = torch.zeros((len(indices), self.length), dtype=torch.bool)
            for row, index in enumerate(indices):
                counted[row, self._counted[index]] = True
        return batch.as_windows(self.length, counted)


def runs(names: Sequence[str]) -> list[range]:
    """Where `names` ("character/sequence/stem") hold consecutive frames of one sequence, as ranges of indices.

    The number of a frame is the last one in its stem; within a run it goes up by the sequence's usual step (the
    commonest; of equally common ones the smallest): a video of which every third frame is kept has no gaps.

    Raises:
        UserError: a name has no number.
    """
    sequences = [name.rpartition("/")[0] for name in names]
    numbers = [_number(name) for name in names]
    rises: dict[str, Counter[int]] = {}
    for i, (before, after) in enumerate(pairwise(sequences)):
        if before == after and numbers[i + 1] > numbers[i]:
            rises.setdefault(after, Counter())[numbers[i + 1] - numbers[i]] += 1
    usual = {name: min(counts, key=lambda rise: (-counts[rise], rise)) for name, counts in rises.items()}
    found, start = [], 0
    for i in range(1, len(names) + 1):
        if (
            i < len(names)
            and sequences[i] == sequences[i - 1]
            and numbers[i] - numbers[i - 1] == usual.get(sequences[i])
        ):
            continue
        found.append(range(start, i))
        start = i
    return found if names else []


def windows(runs: Sequence[range], length: int, stride: int) -> list[range]:
    """Windows of `length` frames that begin at 0, stride, 2·stride … of each run, and one more that ends with the run
    where those do not reach its end: no frame is lost. A run shorter than `length` has none.

    Raises:
        UserError: length or stride is not positive.
    """
    if length < 1 or stride < 1:
        raise UserError(f"windows of {length} frames every {stride} were asked for but both must be 1 or more")
    found = []
    for run in runs:
        last = len(run) - length
        starts = list(range(0, last + 1, stride))
        if starts and starts[-1] < last:
            starts.append(last)
        found += [run[start : start + length] for start in starts]
    return found


def covering(runs: Sequence[range], length: int) -> list[tuple[range, slice]]:
    """Windows side by side, the last one of a run moved back to end with it, and of each the part that counts: so every
    frame is answered once, the overlap by the window before. A run shorter than `length` is one short window.

    Raises:
        UserError: length is not positive.
    """
    found = []
    for run in runs:
        answered = 0
        for window in windows([run], length, length) or [run]:
            end = window.stop - run.start
            found.append((window, slice(len(window) - (end - answered), len(window))))
            answered = end
    return found


def _number(name: str) -> int:
    found = LAST_NUMBER.search(name.rpartition("/")[2])
    if found is None:
        raise UserError(f"the frame '{name}' has no number in its name: what comes after what cannot be told")
    return int(found[1])
