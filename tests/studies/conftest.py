"""A dataset of four cameras, and a study so small that it is trained in seconds."""

from pathlib import Path

import numpy as np
import pytest
import torch

from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SynWriter
from egorear.geometry.rig import ego4view_syn

SIZE = 32
TAKES = {"train": (1, 8), "test": (2, 3)}  # recordings of a split and frames of each

TINY = """
rows:
  - {name: 2 front, views: [front_left, front_right], methods: [egoposeformer, egorear, egotap, egotap_egorear]}
  - {name: 4 views, views: [front_left, front_right, back_left, back_right], methods: [egoposeformer]}
ablations: {row: 2 front, methods: [egoposeformer_long, egorear]}
sizes:
  smoke:
    train_frames: 8
    test_frames: 6
    network: egorear-nano
    overrides:
      image_size: 32
      sharing: paper
      encoder: {backbone: {widths: [4, 4, 8, 8], blocks: [1, 1, 1, 1]}, dim: 8}
      refiner: {embed: 16, heads: 2, points: 2, ffn_dim: 16, own_widths: [8, 8]}
      lifter: {embed: 16, heads: 2, points: 2, ffn_dim: 16, layers: 1}
    egotap_overrides:
      joint_maps: &unet
        backbone: {widths: [4, 4, 8, 8], blocks: [1, 1, 1, 1]}
        skips: [4, 4, 8, 8]
        widths: [4, 4, 8]
      limb_maps: *unet
      lifter:
        encoder: {width: 16, heads: 2, layers: 1, mlp: 16, hidden: [16, 16], features: 8}
        limb_hidden: [16, 16]
        propagation: {hidden: 16}
    stages:
      heatmap: {steps: 2, batch_size: 4}
      refiner: {steps: 1, batch_size: 4}
      pose: {steps: 2, batch_size: 4}
    loss: {sigma: 1.0, cosine: 1.0e-3}
    schedule: {warmup_steps: 1, decay: cosine}
controlled:
  smoke: {train_frames: 8, test_frames: 4, study: {refiner_steps: 1, pose_steps: 2, batch_size: 4, warmup_steps: 1}}
"""


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("frames")
    rig = ego4view_syn()
    writer, small = SynWriter(root, rig), rig.resized(SIZE, SIZE)
    rng = np.random.default_rng(3)
    for split, (takes, count) in TAKES.items():
        for take in range(takes):
            for frame in range(count):
                joints = rng.normal(0, 0.3, (16, 3)) + np.array((0, 0.3, 0.8))
                seen = small.project(torch.from_numpy(joints))[1].numpy()
                images = {view: rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8) for view in small.views}
                truth = FrameTruth(joints, np.eye(4), np.where(seen, 0, 1).astype(np.uint8))
                writer.write(split, f"take_{take}", f"frame_{frame}", images, truth)
    writer.write_splits({"train": ["train"], "validation": [], "test": ["test"]})
    return root


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path
