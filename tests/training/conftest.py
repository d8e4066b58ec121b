"""A dataset on which a tiny network can learn in seconds: joints are coloured dots, poses differ by a shift."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SynWriter
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW

SIZE = 64
FRAMES = {"train": 48, "validation": 10, "test": 4}

TINY = """
model:
  network:
    views: [front_left, front_right]
    image_size: 64
    sharing: all
    heads: linear
    encoder: {backbone: {widths: [8, 8, 16, 16], blocks: [1, 1, 1, 1], stem: light}, dim: 16, smoothing: separable}
    refiner: {embed: 16, heads: 2, points: 2, ffn_dim: 16, own_widths: [8, 8]}
    lifter: {proposal: compact, embed: 16, heads: 2, points: 2, ffn_dim: 16, layers: 1, unit_cm: 20.0}
  loss: {sigma: 1.0, foreground: 30.0, joints_2d: 1.0}
  optimizer: {lr: 1.0e-2}
  schedule: {warmup_steps: 5, decay: cosine}
data: {batch_size: 8, in_memory: true}
trainer: {max_steps: 160, log_every_n_steps: 10, check_val_every_n_epoch: null, val_check_interval: 20}
"""


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("blobs")
    rig = ego4view_syn().select(("front_left", "front_right"))
    writer, small = SynWriter(root, rig), rig.resized(SIZE, SIZE)
    rng = np.random.default_rng(7)
    spread = np.stack((rng.uniform(-0.3, 0.3, 16), rng.uniform(0.1, 0.5, 16), rng.uniform(0.3, 1.2, 16)), -1)
    for split, frames in FRAMES.items():
        for frame in range(frames):
            joints = spread + rng.normal(0, 0.15, 3)
            pixels, seen = (part.numpy() for part in small.project(torch.from_numpy(joints)))
            images = {}
            for v, view in enumerate(small.views):
                images[view] = np.full((SIZE, SIZE, 3), 90, np.uint8)
                for j in range(len(EGO4VIEW)):
                    if seen[v, j]:
                        colour = (16 * j, 255 - 16 * j, 40 * j % 256)
                        cv2.circle(images[view], tuple(int(x) for x in pixels[v, j].round()), 1, colour, -1)
            truth = FrameTruth(joints, np.eye(4), np.where(seen, 0, 1).astype(np.uint8))
            writer.write(split, "walk", f"frame_{frame}", images, truth)
    writer.write_splits({split: [split] for split in FRAMES})
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def arguments(dataset: Path, cache: Path, tmp_path: Path) -> list[str]:
    """Of a tiny pose stage that writes to `tmp_path`/run."""
    return tiny_arguments(dataset, cache, tmp_path)


def tiny_arguments(dataset: Path, cache: Path, folder: Path) -> list[str]:
    """Of a tiny pose stage that writes to `folder`/run."""
    config = folder / "tiny.yaml"
    config.write_text(TINY)
    return [
        f"--config={config}",
        f"--data.root={dataset}",
        f"--data.cache={cache}",
        f"--trainer.default_root_dir={folder / 'run'}",
    ]
