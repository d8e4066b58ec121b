"""A tiny network, a small dataset and another rig, for the tests of tracking and of the commands that use it."""

import math
from pathlib import Path

import numpy as np
import torch

from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SynWriter
from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.transforms import axis_angle_to_matrix
from egorear.models.egorear import EgoRear, EgoRearConfig
from egorear.models.egotap import EgoTAP, EgoTAPConfig
from egorear.models.egotap_lifter import TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoderConfig
from egorear.models.heatmap_estimator import EncoderConfig
from egorear.models.lifter import LifterConfig
from egorear.models.pretrained import save_pretrained
from egorear.models.propagation import PropagationConfig
from egorear.models.refiner import RefinerConfig
from egorear.models.resnet import ResNetConfig
from egorear.models.unet import UNetConfig

TINY = EgoRearConfig(
    image_size=64,
    sharing="all",
    heads="linear",
    encoder=EncoderConfig(
        backbone=ResNetConfig(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), stem="light"), dim=8, smoothing="separable"
    ),
    refiner=RefinerConfig(embed=16, heads=2, points=2, ffn_dim=16, own_widths=(8, 8)),
    lifter=LifterConfig(proposal="compact", embed=16, heads=2, points=2, ffn_dim=16, unit_cm=20.0),
)

UNET = UNetConfig(TINY.encoder.backbone, skips=(8, 8, 8, 8), widths=(8, 8, 8))
TINY_EGOCAP = EgoTAPConfig(
    image_size=64,
    skeleton="egocap",
    joint_maps=UNET,
    limb_maps=None,
    lifter=TAPLifterConfig(
        encoder=MapEncoderConfig(patches=2, width=16, heads=2, layers=1, mlp=16, hidden=(16, 16), features=8),
        propagation=PropagationConfig(cell="none"),
        root="origin",
    ),
)

STANDING = torch.tensor(
    [
        [0.00, 0.15, 0.05], [0.00, 0.18, 0.18], [-0.18, 0.18, 0.25], [0.18, 0.18, 0.25],
        [-0.30, 0.10, 0.50], [0.30, 0.10, 0.50], [-0.28, -0.15, 0.55], [0.28, -0.15, 0.55],
        [-0.10, 0.18, 0.75], [0.10, 0.18, 0.75], [-0.10, 0.15, 1.20], [0.10, 0.15, 1.20],
        [-0.10, 0.20, 1.60], [0.10, 0.20, 1.60], [-0.10, 0.05, 1.65], [0.10, 0.05, 1.65],
    ]
)  # fmt: skip
"""A plausible pose: metres, device frame (x right, y back, z down)."""


def save_tiny(folder: Path) -> Path:
    """Random weights in a folder of their own; the network is too small to be right, and quick."""
    torch.manual_seed(0)
    save_pretrained(EgoRear(TINY), folder)
    return folder


def save_tiny_egocap(folder: Path) -> Path:
    """The same of an EgoTAP that answers EgoCap's 18 joints."""
    torch.manual_seed(0)
    save_pretrained(EgoTAP(TINY_EGOCAP), folder)
    return folder


def pictures(rig: Rig, seed: int = 0, size: tuple[int, int] | None = None) -> dict[str, np.ndarray]:
    """Noise for every view, (width, height) or the cameras' own."""
    rng = np.random.default_rng(seed)
    sizes = {view: size or (camera.width, camera.height) for view, camera in rig.cameras.items()}
    return {view: rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for view, (w, h) in sizes.items()}


def two_camera_rig() -> Rig:
    """A front pair of another maker: OpenCV fisheyes, 160x120, turned by 20° and 8 cm apart from the trained ones."""
    camera = KannalaBrandt(
        width=160, height=120, fx=48.0, fy=48.0, cx=80.2, cy=58.9, k1=0.02, k2=-0.004, k3=0.0, k4=0.0,
        max_angle=math.radians(95),
    )  # fmt: skip
    T = torch.eye(4).repeat(2, 1, 1)
    T[:, :3, :3] = axis_angle_to_matrix(torch.tensor([[math.radians(20), 0, 0], [0, math.radians(-20), 0]]))
    T[:, 0, 3] = torch.tensor([0.04, -0.04])
    return Rig("visor", {"front_left": camera, "front_right": camera}, T)


def write_dataset(root: Path, frames: int = 3) -> Path:
    """A test split of noise pictures of 64 px, with `STANDING` as truth."""
    rig = ego4view_syn()
    writer = SynWriter(root, rig)
    world = np.eye(4, dtype=np.float32)
    for index in range(frames):
        joints = (STANDING + 0.01 * index).numpy()
        truth = FrameTruth(joints, world, np.zeros((4, 16), np.uint8), "standing")
        writer.write("anna", "s1", f"f{index}", pictures(rig, index, (64, 64)), truth)
    writer.write_splits({"test": ["anna"]})
    return root
