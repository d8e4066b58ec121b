"""What a dataset holds, in numbers: actions, poses, where joints fall in each view, who sees them, how bright it is."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int

from egorear.datasets.frames import FrameDataset
from egorear.geometry.skeleton import Skeleton
from egorear.metrics.procrustes import procrustes_align

MAP_SIZE = 64  # cells of a joint map along each axis of the image
PAIRS = 2000  # random pairs of poses that are compared
IMAGES = 400  # frames, or up to twice as many, whose pictures are read for brightness
DARK, BURNT = 0.01, 0.98  # of full scale: a pixel below or above carries nothing
HEIGHT, GREY = 64, 255.0


@dataclass
class Statistics:
    """skeleton: whose joints. frames, sequences, characters: counts. actions: frames by label.
    joints: device frame, metres. visible: share of frames in which a view sees a joint.
    maps: how often joints fall into each cell of a view's image, counted over all joints (rows are y).
    brightness: mean of the images read, 0 to 1; dark, burnt: shares of their pixels inside the image circle.
    """

    views: tuple[str, ...]
    skeleton: Skeleton
    frames: int = 0
    sequences: set[str] = field(default_factory=set)
    characters: set[str] = field(default_factory=set)
    actions: Counter[str] = field(default_factory=Counter)
    joints: Float[np.ndarray, "N J 3"] = field(default_factory=lambda: np.zeros((0, 0, 3)))
    visible: Float[np.ndarray, "V J"] = field(default_factory=lambda: np.zeros((0, 0)))
    maps: Int[np.ndarray, "V M M"] = field(default_factory=lambda: np.zeros((0, MAP_SIZE, MAP_SIZE), int))
    brightness: list[float] = field(default_factory=list)
    dark: list[float] = field(default_factory=list)
    burnt: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """All figures, lengths in millimetres, for a file or a table."""
        mean = self.joints.mean(0)
        spread = 1000 * np.linalg.norm(self.joints - mean, axis=-1).mean(0)
        low, middle, high = np.percentile(self.brightness, (5, 50, 95)) if self.brightness else (0.0, 0.0, 0.0)
        return {
            "frames": self.frames,
            "sequences": len(self.sequences),
            "characters": len(self.characters),
            "actions": dict(self.actions.most_common()),
            "pose_diversity_mm": {
                "from_mean_pose": _rounded(spread.mean()),
                "between_pairs": _rounded(self._between_pairs(aligned=False)),
                "between_pairs_aligned": _rounded(self._between_pairs(aligned=True)),
                "by_joint": dict(zip(self.skeleton.names, _rounded(spread), strict=True)),
            },
            "visible": {
                view: dict(zip(self.skeleton.names, np.round(shares, 3).tolist(), strict=True))
                for view, shares in zip(self.views, self.visible, strict=True)
            },
            "images_read": len(self.brightness),
            "brightness": {"percentile_5": _rounded(low, 3), "median": _rounded(middle, 3),
                           "percentile_95": _rounded(high, 3)},
            "dark_pixels": _rounded(np.mean(self.dark or [0.0]), 4),
            "burnt_pixels": _rounded(np.mean(self.burnt or [0.0]), 4),
        }  # fmt: skip

    def _between_pairs(self, aligned: bool) -> float:
        """Mean distance of the joints of two random poses (mm), after similarity alignment or as they are."""
        first, second = np.random.default_rng(0).integers(0, len(self.joints), (2, PAIRS))
        a, b = torch.from_numpy(self.joints[first]), torch.from_numpy(self.joints[second])
        a = procrustes_align(a, b) if aligned else a
        return float(1000 * (a - b).norm(dim=-1).mean())


def gather(dataset: FrameDataset, indices: Iterable[int]) -> Statistics:
    """Reads the truth of these frames, at least one, and some of their images.

    Raises:
        UserError: a frame is damaged; the sentence names the file.
    """
    statistics = Statistics(dataset.rig.views, dataset.skeleton)
    joints = []
    seen = np.zeros((len(dataset.rig.views), len(dataset.skeleton)))
    statistics.maps = np.zeros((len(dataset.rig.views), MAP_SIZE, MAP_SIZE), int)
    every = max(1, len(dataset) // IMAGES)
    for index in indices:
        truth = dataset.truth(index)
        joints.append(truth.joints)
        sequence = dataset.names[index].rpartition("/")[0]
        statistics.sequences.add(sequence)
        statistics.characters.add(sequence.split("/")[0])
        statistics.actions[truth.action or "unlabelled"] += 1
        for v, (view, camera) in enumerate(dataset.rig.cameras.items()):
            pixels = truth.joints_2d[v]
            inside = camera.contains(torch.from_numpy(pixels)).numpy()
            cells = (pixels[inside] + 0.5) / (camera.width, camera.height) * MAP_SIZE
            column, row = np.minimum(cells.astype(int), MAP_SIZE - 1).T
            np.add.at(statistics.maps[v], (row, column), 1)
            seen[v] += inside if truth.visible is None else truth.visible[v]
            if index % every == 0:
                _count_light(statistics, dataset, index, view)
    statistics.frames = len(joints)
    statistics.joints = np.stack(joints)
    statistics.visible = seen / len(joints)
    return statistics


def _count_light(statistics: Statistics, dataset: FrameDataset, index: int, view: str) -> None:
    camera = dataset.rig.cameras[view]
    width = round(HEIGHT * camera.width / camera.height)
    small = camera.resized(width, HEIGHT)
    image = cv2.resize(dataset.image(index, view), (width, HEIGHT), interpolation=cv2.INTER_AREA)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(width), indexing="ij")
    inside = small.unproject(torch.stack((x, y), -1).float())[1].numpy()
    grey = image.astype(float).mean(-1)[inside] / GREY
    statistics.brightness.append(float(grey.mean()))
    statistics.dark.append(float((grey < DARK).mean()))
    statistics.burnt.append(float((grey > BURNT).mean()))


def _rounded(value, digits: int = 1):
    return np.round(value, digits).tolist()
