"""Tiny networks that look along time, their camera, and pictures of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from egorear.geometry.rig import Rig, shipped
from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig
from egorear.models.joint_embedding import JointEmbeddingConfig
from egorear.models.motion_encoder import MotionEncoderConfig
from egorear.models.pose_decoder import PoseDecoderConfig
from egorear.models.pretrained import save_pretrained
from egorear.models.resnet import ResNetConfig

WINDOW = 8
_BACKBONE = ResNetConfig(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), stem="light")
_MOTION = MotionEncoderConfig(width=16, heads=2, mlp=32, local=2, whole=1, window=4)

WINDOWED = AGEgoPoseConfig(
    image_size=32,
    window=WINDOW,
    heatmap_net=_BACKBONE,
    static=_BACKBONE,
    embedding=JointEmbeddingConfig(widths=(4, 4, 8), pool=2, dim=16),
    motion=_MOTION,
    decoder=PoseDecoderConfig(dim=16, heads=2, layers=1, mlp=32, head=(16, 16)),
)
PYRAMID = replace(WINDOWED, motion=replace(_MOTION, form="pyramid"))
CAUSAL = replace(WINDOWED, motion=replace(_MOTION, causal=True, reach=6))
SPATIAL = replace(WINDOWED, static=None, motion=None)
MOTION_ONLY = replace(WINDOWED, heatmap_net=None, embedding=None)
CLIP_NETWORKS = {
    "windowed": WINDOWED,
    "pyramid": PYRAMID,
    "causal": CAUSAL,
    "spatial": SPATIAL,
    "motion only": MOTION_ONLY,
    "ego4view": replace(WINDOWED, skeleton="ego4view"),
}


def clip_network(config: AGEgoPoseConfig) -> AGEgoPose:
    """Random weights, spread so far that time matters: a new motion block changes its input by next to nothing."""
    torch.manual_seed(0)
    model = AGEgoPose(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def save_clip_network(folder: Path, config: AGEgoPoseConfig = WINDOWED) -> Path:
    """As `clip_network`, in a folder, with its rig."""
    save_pretrained(clip_network(config), folder)
    square_rig().save(folder / "rig.json")
    return folder


def square_rig() -> Rig:
    """EgoPW's camera cropped to a square."""
    rig = shipped("egopw")
    camera = rig.cameras["front"].cropped(128, 0, 1024, 1024)
    return replace(rig, name="square", cameras={"front": camera})


def video(frames: int, size: int = 32, seed: int = 0) -> list[np.ndarray]:
    """Noise pictures."""
    return list(np.random.default_rng(seed).integers(0, 256, (frames, size, size, 3), dtype=np.uint8))
