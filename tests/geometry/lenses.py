"""Cameras of every model for the tests, and the shipped rig's."""

import math

from egorear.geometry.cameras import Camera, DoubleSphere, KannalaBrandt, Pinhole
from egorear.geometry.rig import ego4view_syn

SIZE = {"width": 640, "height": 480}
PRINCIPAL = {"cx": 321.5, "cy": 236.25}

CAMERAS: dict[str, Camera] = {
    **ego4view_syn().cameras,
    "fisheye": KannalaBrandt(
        **SIZE, **PRINCIPAL, fx=200.0, fy=205.0, k1=0.05, k2=-0.01, k3=0.002, k4=-0.0003, max_angle=math.radians(100)
    ),
    "double_sphere": DoubleSphere(**SIZE, **PRINCIPAL, fx=160.0, fy=161.0, xi=-0.2, alpha=0.6),
    "double_sphere_shallow": DoubleSphere(**SIZE, **PRINCIPAL, fx=300.0, fy=300.0, xi=0.3, alpha=0.4),
    "pinhole": Pinhole(**SIZE, **PRINCIPAL, fx=400.0, fy=410.0),
    "pinhole_distorted": Pinhole(
        **SIZE, **PRINCIPAL, fx=400.0, fy=410.0, k1=-0.2, k2=0.05, p1=0.001, p2=-0.002, k3=-0.005
    ),
}
