"""Draws docs/augmentation/frame.jpg: a shipped frame, its augmented versions, and where the truth says the joints are.

Run from the repository: python docs/augmentation/draw.py
"""

from pathlib import Path

import cv2
import numpy as np
import torch

import egorear
from egorear.datasets.ego4view import open_ego4view
from egorear.datasets.sample import Sample
from egorear.models.images import IMAGENET_MEAN, IMAGENET_STD
from egorear.training.augmentation import Augmentation
from egorear.viewer.overlay import draw_views, grid

FRAME, SEED, TILE = 7, 3, 208
DARK = {"contrast": 0.0, "colour": 0.0, "brightness": 0.0}
VERSIONS = {
    "as it came": Augmentation(**DARK),
    "light (the default)": Augmentation(),
    "noise 0.5, blur 2, erase 1": Augmentation(**DARK, noise=0.5, blur=2.0, erase=1.0),
    "turned by up to 15 degrees": Augmentation(**DARK, turned=1.0, turn_deg=15.0, roll_deg=15.0),
    "mirrored": Augmentation(**DARK, mirror=1.0),
    "everything, a view lost": Augmentation(
        noise=0.2, blur=1.0, erase=0.3, turned=1.0, mirror=1.0, view_dropout=1.0, turn_deg=5.0, roll_deg=5.0
    ),
}


def picture(batch: Sample, augmentation: Augmentation, title: str) -> np.ndarray:
    torch.manual_seed(SEED)
    images, after = augmentation(batch)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    images = ((images[0] * std + mean) * 255).clamp(0, 255).byte()
    if after.present is not None:
        images[~after.present[0]] = 0
    rig = after.rig if after.rig.T_camera_device.ndim == 4 else after.rig.expand(1)
    frame = type(rig)(rig.name, rig.cameras, rig.T_camera_device[0])
    pictures = {view: image.permute(1, 2, 0).numpy() for view, image in zip(rig.views, images, strict=True)}
    return draw_views(pictures, frame, after.joints[0], tile=TILE, title=title)


def main() -> None:
    frames = open_ego4view(Path(egorear.__file__).parent / "demo_data", "test", 256, None)
    batch = Sample.stack([frames[FRAME]])
    sheet = grid([picture(batch, augmentation, title) for title, augmentation in VERSIONS.items()], columns=3, gap=12)
    target = Path(__file__).with_name("frame.jpg")
    cv2.imwrite(str(target), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 78])
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
