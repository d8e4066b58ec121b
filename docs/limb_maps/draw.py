"""Draws docs/limb_maps/frame.jpg: a rendered frame, and its limb maps over it, once straight and once along the limbs.

Run from the repository, with the root of a dataset that has the frame: python docs/limb_maps/draw.py /data/open-v1
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from egorear.datasets.ego4view import open_ego4view
from egorear.geometry.skeleton import EGO4VIEW
from egorear.heatmaps import limb_curve_maps, limb_line_maps, limb_points
from egorear.viewer.overlay import grid

FRAME, VIEW, TILE, POINTS = "test_hard_00003/hard_000012/000005", "front_left", 384, 9
COLOUR = np.array([90, 255, 150], np.float32)  # RGB, of a map's peak
PEAK = 0.8  # of a long limb


def over(picture: np.ndarray, maps: Tensor, title: str) -> np.ndarray:
    """The picture with the strongest limb of every heatmap pixel laid over it."""
    strength = cv2.resize(maps.amax(0).numpy(), (TILE, TILE), interpolation=cv2.INTER_LINEAR)[..., None] / PEAK
    blended = picture * (1 - strength.clip(0, 1)) + COLOUR * strength.clip(0, 1)
    tile = np.ascontiguousarray(blended.astype(np.uint8))
    cv2.putText(tile, title, (8, 20), cv2.FONT_HERSHEY_DUPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def main(root: str) -> None:
    frames = open_ego4view(Path(root), "test", 256, None)
    sample = frames[frames.names.index(FRAME)].select((VIEW,))
    size = sample.images.shape[-1]
    parents, children = list(EGO4VIEW.parents[1:]), list(range(1, len(EGO4VIEW)))
    points = limb_points(sample.joints[parents], sample.joints[children], POINTS)
    pixels, seen = sample.rig.project(points.flatten(0, 1))
    curve = limb_curve_maps(pixels[0].unflatten(0, (-1, POINTS)), seen[0].unflatten(0, (-1, POINTS)), size)
    line = limb_line_maps(sample.joints_2d[0, parents], sample.joints_2d[0, children], size)
    picture = cv2.resize(sample.images[0].permute(1, 2, 0).numpy(), (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    tiles = [
        over(picture, torch.zeros(1, 64, 64), VIEW.replace("_", " ")),
        over(picture, line, "straight between the joints"),
        over(picture, curve, f"through {POINTS} points of each limb"),
    ]
    target = Path(__file__).with_name("frame.jpg")
    cv2.imwrite(str(target), grid(tiles, columns=3)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
