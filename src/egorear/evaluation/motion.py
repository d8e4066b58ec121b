"""Scores the motion of stored predictions: only where frames follow each other, at the rate they were taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.datasets.frames import FrameDataset
from egorear.datasets.windows import runs
from egorear.errors import UserError
from egorear.evaluation.matching import Matched
from egorear.metrics.derivatives import ACCELERATION, JERK, VELOCITY, jerk_mm, motion_errors_mm, unit

FARTHEST_S = 0.2  # frames farther apart than this are no video
UNEVEN = 0.1  # a step that differs from its run's usual one by more than this share is a gap
MEASURES = {"mpjve": VELOCITY, "acceleration_error": ACCELERATION, "jitter": JERK, "jitter_truth": JERK}
"""The fields of `MotionScores`, and which derivative each is of."""


@dataclass(frozen=True)
class MotionScores:
    """Means over some joints, in the report's units: velocity error, acceleration error, and the jitter of the
    prediction and of the truth (`metrics.derivatives`). None where no run has frames enough."""

    mpjve: float | None
    acceleration_error: float | None
    jitter: float | None
    jitter_truth: float | None


@dataclass(frozen=True)
class MotionReport:
    """overall, and by joint group and joint. frames: those that have a neighbour, in so many runs. fps: the rates at
    which they were taken, or as told; none: unknown, and units are per frame. units: of each of the measures."""

    frames: int
    runs: int
    fps: list[float]
    units: dict[str, str]
    overall: MotionScores
    groups: dict[str, MotionScores]
    joints: dict[str, MotionScores]

    def rows(self) -> list[tuple[str, str, MotionScores]]:
        """Every row as (kind, name, scores), in the order of `ScoreReport.rows`."""
        tables = {"group": self.groups, "joint": self.joints}
        return [("overall", "all", self.overall)] + [
            (kind, name, scores) for kind, table in tables.items() for name, scores in table.items()
        ]


def frame_times(dataset: FrameDataset, places: Sequence[int]) -> Float[np.ndarray, "N"] | None:
    """When these frames of a dataset were taken, seconds since their sequence began; none if it does not tell. Reads
    truth, no images.

    Raises:
        UserError: a truth file is damaged, or lacks the time that others have.
    """
    times = []
    for place in places:
        time = dataset.truth(place).timestamp_s
        if time is None:
            if times:
                raise UserError(f"{dataset.truth_file(place)}: 'timestamp' is missing, which other frames have")
            return None
        times.append(time)
    return np.array(times)


def motion(
    matched: Matched,
    dataset_names: Sequence[str],
    times_s: Float[np.ndarray, "N"] | None = None,
    fps: float | None = None,
) -> MotionReport | None:
    """Scores the motion within runs of frames that follow each other in the dataset (`datasets.windows.runs`) and have
    a prediction each; none if there is no such run. Nothing is counted across a gap.

    dataset_names: of all its frames. times_s: of the matched frames (`frame_times`); a gap in time ends a run too, and
    frames more than 0.2 s apart are not scored. fps: frames a second where times are not known.

    Raises:
        UserError: fps is no rate, or the times are known already.
    """
    if fps is not None and not 0 < fps < float("inf"):
        raise UserError(f"--fps is {fps:g} but must be a positive number")
    if fps is not None and times_s is not None:
        raise UserError("the dataset tells when its frames were taken: leave out --fps")
    timed = times_s is not None or fps is not None
    pieces = []
    for run in _runs(matched.places, dataset_names):
        if times_s is None:
            pieces.append((run, 1.0 if fps is None else 1 / fps))
        else:
            pieces += [(piece, step) for piece, step in _evenly_timed(run, times_s) if step <= FARTHEST_S]
    found = [(run, step) for run, step in pieces if len(run) > 1]
    if not found:
        return None
    values = {name: _values(name, matched, found) for name in MEASURES}
    units = {name: unit(order, timed) for name, order in MEASURES.items()}
    means = {name: units[name][1] * values[name].mean(0) for name in MEASURES}

    def scores(joints: Sequence[int]) -> MotionScores:
        return MotionScores(
            **{name: float(mean[list(joints)].mean()) if len(values[name]) else None for name, mean in means.items()}
        )

    return MotionReport(
        frames=sum(len(run) for run, _ in found),
        runs=len(found),
        fps=sorted({round(1 / step, 2) for _, step in found}) if timed else [],
        units={name: each for name, (each, _) in units.items()},
        overall=scores(range(len(matched.joints))),
        groups={name: scores(members) for name, members in matched.groups.items()},
        joints={name: scores([k]) for k, name in enumerate(matched.joints)},
    )


def _runs(places: Sequence[int], names: Sequence[str]) -> list[range]:
    """Ranges of the matched frames that follow each other."""
    try:
        following = runs(names)
    except UserError:  # a name has no number: what follows what is not known
        return []
    run_of = np.zeros(len(names), int)
    for number, run in enumerate(following):
        run_of[run.start : run.stop] = number
    # Within a run of the dataset, place minus position changes where a frame has no prediction.
    keys = [(run_of[place], place - row) for row, place in enumerate(places)]
    return _ranges(keys, 0)


def _evenly_timed(run: range, times_s: Float[np.ndarray, "N"]) -> list[tuple[range, float]]:
    """The parts of a run without a gap in time, each with its mean step (s); parts of one frame have none."""
    steps = np.diff(times_s[run.start : run.stop])
    usual = np.median(steps) if len(steps) else 0.0
    gaps = (np.abs(steps - usual) > UNEVEN * usual) | (steps <= 0)
    pieces = _ranges(np.concatenate(([0], np.cumsum(gaps))).tolist(), run.start)
    longer = [piece for piece in pieces if len(piece) > 1]
    return [(piece, float(times_s[piece[-1]] - times_s[piece[0]]) / (len(piece) - 1)) for piece in longer]


def _ranges(keys: Sequence, start: int) -> list[range]:
    """Where neighbours have the same key, counted from `start`."""
    found = []
    for _, members in groupby(keys):
        found.append(range(start, start + sum(1 for _ in members)))
        start = found[-1].stop
    return found


def _values(measure: str, matched: Matched, found: Sequence[tuple[range, float]]) -> Float[Tensor, "D K"]:
    """Of every run: mm and seconds (or frames)."""
    values = []
    for run, step in found:
        pred, target = matched.pred[run.start : run.stop], matched.target[run.start : run.stop]
        if MEASURES[measure] == JERK:
            values.append(jerk_mm(target if measure == "jitter_truth" else pred, step))
        else:
            values.append(motion_errors_mm(pred, target, MEASURES[measure], step))
    return torch.cat(values)
