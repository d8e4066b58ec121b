"""Sequences in memory whose pictures tell which frame and view they are."""

import numpy as np

from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW, Skeleton


class Moments:
    """Sequences "anna/0", "anna/1" … of the given lengths. A picture is grey, 10 x frame + view; `read` tells which
    were asked for."""

    def __init__(self, lengths: list[int], skeleton: Skeleton = EGO4VIEW) -> None:
        self.rig = ego4view_syn()
        self.skeleton = skeleton
        self._names = [f"anna/{sequence}/{i}" for sequence, length in enumerate(lengths) for i in range(length)]
        self.read: list[tuple[int, str]] = []
        self.truth_m = np.random.default_rng(0).uniform(-1, 1, (len(self._names), len(skeleton), 3))

    @property
    def names(self) -> list[str]:
        return self._names

    def joints(self, index: int) -> tuple[np.ndarray, str | None]:
        return self.truth_m[index], None

    def image(self, index: int, view: str) -> np.ndarray:
        self.read.append((index, view))
        return np.full((8, 8, 3), 10 * index + self.rig.views.index(view), np.uint8)

    def calibration(self, index: int) -> Rig:
        return self.rig
