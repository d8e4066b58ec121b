"""Your own headset: describe its cameras once, save the rig file, track with it.

    python examples/own_rig.py

A rig file may name any lens and any subset of the four views; images are re-rendered through the lenses the network
was trained on. Here two OpenCV fisheyes, 10 cm apart, tilted 15° forward; the pictures are noise, put in your own.
"""

import math

import numpy as np
import torch

from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import Rig
from egorear.geometry.transforms import axis_angle_to_matrix, rigid
from egorear.tracking import PoseTracker

LENS = KannalaBrandt(
    width=640, height=640, fx=200.0, fy=200.0, cx=319.5, cy=319.5, k1=0.02, k2=-0.003, k3=0.0, k4=0.0,
    max_angle=math.radians(95),
)  # fmt: skip

# Device frame: x to the wearer's right, y backward, z down. T_camera_device takes its points to the camera's.
tilt = axis_angle_to_matrix(torch.tensor([math.radians(-15), 0.0, 0.0]))
centers = torch.tensor([[-0.05, 0.0, 0.0], [0.05, 0.0, 0.0]])  # metres
T_camera_device = torch.stack([rigid(tilt, -tilt @ center) for center in centers])

rig = Rig("my headset", {"front_left": LENS, "front_right": LENS}, T_camera_device)
rig.save("my_headset.json")  # egorear predict ... --rig my_headset.json

tracker = PoseTracker.from_pretrained("egorear-nano")
pictures = {view: np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8) for view in rig.views}
print(tracker(pictures, rig).joints)  # warns about what it lacks: here, the rear views
