"""The results of a study's cells as figures: means over seeds and frames, with intervals, and their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float

from egorear.geometry.skeleton import EGO4VIEW
from egorear.metrics.heatmap import PAPER_UNIT
from egorear.studies.cells import Cell, CellResult
from egorear.studies.published import published

METRICS = ("mpjpe_mm", "pa_mpjpe_mm", "front_mse", "back_mse", *EGO4VIEW.groups)
DRAWS = 2000
LEARNT = 0.9  # of the error of a constant pose
LEVEL = (2.5, 97.5)  # percentiles: the interval holds 95 % of the draws

Setup = tuple[tuple[str, ...], str]
"""The cameras and the method of a cell: what its seeds share."""


@dataclass(frozen=True)
class Figure:
    """A mean over seeds and frames. low, high: its 95 % interval, None where all frames are of one recording.
    spread: standard deviation over seeds, None of one seed. published: the paper's, if it has one."""

    value: float
    low: float | None
    high: float | None
    seeds: int
    spread: float | None = None
    published: float | None = None


class Results:
    """All cells that are done.

    Intervals come from the bootstrap over whole recordings, because neighbouring frames are alike, and over seeds
    beside them (Efron and Tibshirani, 1993, ch. 8). The same draws serve every figure, so the interval of a difference
    is that of paired differences, on the same frames and seeds. Of n recordings or seeds n - 1 are drawn, which makes
    the draws' variance that of the mean without bias, where n is small too (Rao and Wu, 1988). What a single seed
    leaves to chance no interval can tell.

    cells: judged on the same frames. dataset: whose figures of the paper belong to them, "syn" or "rw". guess_mm: MPJPE
    of a constant pose on these frames; a setup that is hardly better has learnt nothing that could be compared.
    """

    def __init__(
        self, cells: Mapping[Cell, CellResult], dataset: Literal["syn", "rw"], guess_mm: float = float("inf")
    ) -> None:
        self.dataset, self.guess_mm = dataset, guess_mm
        self._cells: dict[Setup, dict[int, CellResult]] = {}
        for cell, result in cells.items():
            self._cells.setdefault((cell.views, cell.method), {})[cell.seed] = result
        names = next(iter(cells.values())).names if cells else []
        recordings = {folder: i for i, folder in enumerate(dict.fromkeys(name.rpartition("/")[0] for name in names))}
        self.frames, self.recordings = len(names), len(recordings)
        self._recording_of = np.array([recordings[name.rpartition("/")[0]] for name in names], int)

    def __contains__(self, setup: Setup) -> bool:
        return setup in self._cells

    @property
    def setups(self) -> list[Setup]:
        """Cameras and methods of which a cell is done."""
        return list(self._cells)

    def has_learnt(self, setup: Setup) -> bool:
        """Whether all its seeds are clearly better than a constant pose."""
        worst = max(result.errors_mm.mean() for result in self._cells[setup].values())
        return bool(worst < LEARNT * self.guess_mm)

    def cells(self, setup: Setup) -> dict[int, CellResult]:
        """The results of a setup by seed."""
        return self._cells[setup]

    def figure(self, metric: str, setup: Setup) -> Figure | None:
        """The mean of one of `METRICS`; None if no cell of it is done, or it has no such camera."""
        if setup not in self or (values := self._values(metric, setup, sorted(self._cells[setup]))) is None:
            return None
        spread = float(values.mean(axis=1).std(ddof=1)) if len(values) > 1 else None
        return Figure(
            *self._interval(values.mean(), self._draws(values)),
            len(values),
            spread,
            published(self.dataset, metric, *setup),
        )

    def difference(self, metric: str, worse: Setup, better: Setup) -> tuple[Figure, Figure] | None:
        """worse - better on the same frames and seeds, in the metric's unit and in per cent of `worse`; None if they
        have no seed or camera in common."""
        compared = self._paired(metric, (worse, better))
        if compared is None:
            return None
        a, b = compared
        draws_a, draws_b = self._draws(a), self._draws(b)
        theirs = [published(self.dataset, metric, *setup) for setup in (worse, better)]
        gap = None if theirs[0] is None or theirs[1] is None else theirs[0] - theirs[1]
        share = None if gap is None or not theirs[0] else 100 * gap / theirs[0]
        percent = 100 * (a.mean() - b.mean()) / a.mean()
        return (
            Figure(*self._interval(a.mean() - b.mean(), draws_a - draws_b), len(a), None, gap),
            Figure(*self._interval(percent, 100 * (draws_a - draws_b) / draws_a), len(a), None, share),
        )

    def interaction(self, metric: str, few: tuple[Setup, Setup], many: tuple[Setup, Setup]) -> Figure | None:
        """How much larger the difference (worse, better) is within `many` than within `few`."""
        compared = self._paired(metric, (*many, *few))
        if compared is None:
            return None
        signs = (1, -1, -1, 1)
        theirs = [published(self.dataset, metric, *setup) for setup in (*many, *few)]
        known = [value for value in theirs if value is not None]
        gap = sum(s * v for s, v in zip(signs, known, strict=True)) if len(known) == len(signs) else None
        value = sum(s * values.mean() for s, values in zip(signs, compared, strict=True))
        draws = sum(s * self._draws(values) for s, values in zip(signs, compared, strict=True))
        return Figure(*self._interval(value, np.asarray(draws)), len(compared[0]), None, gap)

    def _paired(self, metric: str, setups: Sequence[Setup]) -> list[Float[np.ndarray, "S N"]] | None:
        """The metric of each setup for the seeds that all have."""
        if any(setup not in self for setup in setups):
            return None
        seeds = sorted(set.intersection(*(set(self._cells[setup]) for setup in setups)))
        values = [self._values(metric, setup, seeds) for setup in setups] if seeds else [None]
        found = [each for each in values if each is not None]
        return found if len(found) == len(setups) else None

    def _values(self, metric: str, setup: Setup, seeds: Sequence[int]) -> Float[np.ndarray, "S N"] | None:
        values = [_of_frames(metric, self._cells[setup][seed]) for seed in seeds]
        return None if any(each is None for each in values) else np.array(values)

    def _draws(self, values: Float[np.ndarray, "S N"]) -> Float[np.ndarray, "D"]:
        """The mean of each draw of seeds and recordings."""
        seeds, recordings = _weights(0, len(values)), _weights(1, self.recordings)
        sums = np.stack([np.bincount(self._recording_of, each, self.recordings) for each in values])
        counts = np.bincount(self._recording_of, minlength=self.recordings)
        totals = (seeds * (recordings @ sums.T)).sum(axis=1)
        return totals / (recordings @ counts) / seeds.sum(axis=1)

    def _interval(self, value: float, draws: Float[np.ndarray, "D"]) -> tuple[float, float | None, float | None]:
        if self.recordings == 1:
            return float(value), None, None
        low, high = np.percentile(draws, LEVEL)
        return float(value), float(low), float(high)


@cache
def _weights(stream: int, count: int) -> Float[np.ndarray, "D {count}"]:
    """How often each of `count` is drawn. stream: of random numbers."""
    drawn = np.random.default_rng(stream).multinomial(max(1, count - 1), np.full(count, 1 / count), DRAWS)
    return drawn.astype(float)


def _of_frames(metric: str, result: CellResult) -> Float[np.ndarray, "N"] | None:
    """A metric of every frame; None if it is about cameras that there are not."""
    if metric == "mpjpe_mm":
        return result.errors_mm.mean(axis=1)
    if metric == "pa_mpjpe_mm":
        return result.aligned_mm.mean(axis=1)
    if metric in EGO4VIEW.groups:
        return result.errors_mm[:, EGO4VIEW.groups[metric]].mean(axis=1)
    place = metric.removesuffix("_mse")
    views = [i for i, view in enumerate(result.views) if view.startswith(place)]
    return result.heatmap_mse[:, views].mean(axis=1) / PAPER_UNIT if views else None
