"""The lens models: each is a pair of functions between directions and its image plane (see `camera.py`)."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.camera import Camera

__all__ = ["CAMERA_MODELS", "Camera", "DoubleSphere", "KannalaBrandt", "Pinhole", "Scaramuzza"]

AXIS_SQUARED = 1e-14  # squared radius (normalised direction or image plane) below which a point is on the axis
NEWTON_STEPS = 6
DISAGREEMENT_PX = 0.5  # largest distance allowed between forward and inverse polynomials (Ego4View: 0.007)


@dataclass(frozen=True, kw_only=True)
class FocalLengths(Camera):
    """A camera whose image plane becomes pixels by the focal lengths (fx, fy) and the principal point (cx, cy)."""

    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def _plane_to_calibrated(self):
        return self.fx, 0.0, self.cx, 0.0, self.fy, self.cy


@dataclass(frozen=True, kw_only=True)
class PolynomialFisheye(Camera):
    """Fisheye whose image radius is a polynomial of the angle to the axis."""

    @property
    @abstractmethod
    def _radius_polynomial(self) -> tuple[tuple[float, ...], float]:
        """Coefficients c (lowest first) and origin o: radius = Σ c_i (angle - o)^i."""

    @abstractmethod
    def _first_angle(self, radius: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """An angle near the one seen at a radius."""

    @cached_property
    def _edge_radius(self) -> float:
        return self._radius_and_slope(self.max_angle)[0]

    @cached_property
    def _axis_slope(self) -> float:
        return self._radius_and_slope(0.0)[1]

    def _radius_and_slope(self, angle):
        """Radius and its derivative at an angle: float, array or tensor alike (Horner's rule)."""
        coefficients, origin = self._radius_polynomial
        return polynomial_and_slope(coefficients, angle - origin)

    def _distort(self, x, y, z):
        squared = x * x + y * y
        on_axis = squared < AXIS_SQUARED
        r = torch.where(on_axis, 1.0, squared).sqrt()
        coefficients, origin = self._radius_polynomial
        radius = polynomial(coefficients, torch.atan2(r, z) - origin)
        stretch = torch.where(on_axis, self._axis_slope, radius / r)
        return x * stretch, y * stretch

    def _undistort(self, x, y):
        squared = x * x + y * y
        on_axis = squared < AXIS_SQUARED
        radius = torch.where(on_axis, 1.0, squared).sqrt()
        target = radius.clamp(max=self._edge_radius)
        # Only the last Newton step is differentiated: it alone carries the exact gradient 1 / radius'(angle).
        with torch.no_grad():
            angle = self._first_angle(target).clamp(0.0, self.max_angle)
            for _ in range(NEWTON_STEPS - 1):
                angle = self._newton_step(angle, target)
        angle = self._newton_step(angle, target)
        stretch = torch.where(on_axis, 1.0 / self._axis_slope, angle.sin() / radius)
        forward = torch.where(on_axis, 1.0, angle.cos())
        return torch.stack((x * stretch, y * stretch, forward), -1), on_axis | (radius <= self._edge_radius)

    def _newton_step(self, angle, target):
        radius, slope = self._radius_and_slope(angle)
        return (angle - (radius - target) / slope).clamp(0.0, self.max_angle)


@dataclass(frozen=True, kw_only=True)
class Scaramuzza(PolynomialFisheye):
    """The OCamCalib model (Scaramuzza et al., IROS 2006) as Ego4View publishes it.

    With r = √(x² + y²) and θ = atan(-z / r), which is the angle to the axis less 90°: ρ = Σ world_to_cam_i θ^i,
    (u, v) = centre + ρ/r·(x, y). The polynomial is evaluated at every angle, also behind the lens.
    `cam_to_world` is the other direction, z = -Σ cam_to_world_i ρ^i beside (u, v) - centre; it starts the inverse,
    and must agree with `world_to_cam` to `DISAGREEMENT_PX`. Both lowest order first.

    `affine` = (c, d, e) replaces (x, y) by (c·x + d·y, e·x + y) before the centre is added, x to the right. The
    published Ego4View networks ignore it (it is the identity to 2e-4), and so do our Ego4View rigs.
    """

    MODEL = "scaramuzza"

    center: tuple[float, float]
    cam_to_world: tuple[float, ...]
    world_to_cam: tuple[float, ...]
    affine: tuple[float, float, float] = (1.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        disagreement = self.disagreement_px()
        if not disagreement <= DISAGREEMENT_PX:
            raise UserError(
                f"'cam_to_world' (C2W) and 'world_to_cam' (W2C) disagree by {disagreement:.3g} px but must be "
                f"inverse to within {DISAGREEMENT_PX} px (both lowest order first; are they swapped or reversed?)"
            )

    def disagreement_px(self) -> float:
        """Largest distance in calibrated pixels between a radius and its image under inverse, then forward."""
        radius = np.linspace(0.0, self._edge_radius, 512)
        height, _ = polynomial_and_slope(self.cam_to_world, radius)
        back, _ = self._radius_and_slope(np.arctan2(radius, -height))
        return float(np.abs(back - radius).max())

    @property
    def _plane_to_calibrated(self):
        c, d, e = self.affine
        return c, d, self.center[0], e, 1.0, self.center[1]

    @property
    def _radius_polynomial(self):
        return self.world_to_cam, math.pi / 2

    def _first_angle(self, radius):
        return torch.atan2(radius, -polynomial_and_slope(self.cam_to_world, radius)[0])


@dataclass(frozen=True, kw_only=True)
class KannalaBrandt(FocalLengths, PolynomialFisheye):
    """The OpenCV fisheye model (Kannala & Brandt, PAMI 2006): radius θ + k1 θ³ + k2 θ⁵ + k3 θ⁷ + k4 θ⁹ of the angle
    θ to the axis, times (fx, fy), plus (cx, cy); unlike OpenCV's own, it holds beyond 90°."""

    MODEL = "kannala_brandt"

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    @property
    def _radius_polynomial(self):
        return (0.0, 1.0, 0.0, self.k1, 0.0, self.k2, 0.0, self.k3, 0.0, self.k4), 0.0

    @cached_property
    def _angle_polynomial(self) -> tuple[float, ...]:
        """Least squares fit of the angle on radius / edge radius: near enough for Newton's method to converge."""
        angles = np.linspace(0.0, self.max_angle, 256)
        radii, _ = self._radius_and_slope(angles)
        fit = np.polynomial.Polynomial.fit(radii / self._edge_radius, angles, 9, [0, 1], window=[0, 1])
        return tuple(fit.coef.tolist())

    def _first_angle(self, radius):
        return polynomial_and_slope(self._angle_polynomial, radius / self._edge_radius)[0]


@dataclass(frozen=True, kw_only=True)
class DoubleSphere(FocalLengths):
    """The double sphere model (Usenko et al., 3DV 2018, eq. 40-55), closed form in both directions."""

    MODEL = "double_sphere"

    xi: float
    alpha: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha <= 1.0:
            raise UserError(f"'alpha' is {self.alpha} but must lie in [0, 1]")
        if not -1.0 < self.xi <= 1.0:
            raise UserError(f"'xi' is {self.xi} but must lie in (-1, 1]")
        super().__post_init__()

    @property
    def _angle_limit(self) -> float:
        w1 = min(self.alpha, 1.0 - self.alpha) / max(self.alpha, 1.0 - self.alpha)
        w2 = (w1 + self.xi) / math.sqrt(2.0 * w1 * self.xi + self.xi**2 + 1.0)
        return math.acos(max(-1.0, -w2))  # eq. 43-45

    def _distort(self, x, y, z):
        squared = x * x + y * y
        shifted = self.xi * (squared + z * z).sqrt() + z  # seen from the second sphere; length ≥ 1, never zero
        # The lower bound, a ray the model cannot image, is reached beyond its limit angle only.
        second = (squared + shifted * shifted).clamp(min=AXIS_SQUARED).sqrt()
        depth = (self.alpha * second + (1.0 - self.alpha) * shifted).clamp(min=1e-3)
        return x / depth, y / depth

    def _undistort(self, x, y):
        squared = x * x + y * y
        inside = (2.0 * self.alpha - 1.0) * squared < 1.0
        solved = inside & (squared < 1e6)
        x, y, squared = (torch.where(solved, value, 0.0) for value in (x, y, squared))
        root = (1.0 - (2.0 * self.alpha - 1.0) * squared).sqrt()
        height = (1.0 - self.alpha**2 * squared) / (self.alpha * root + (1.0 - self.alpha)).clamp(min=1e-6)
        length = height * height + squared
        under_root = height * height + (1.0 - self.xi**2) * squared
        solved = solved & (under_root > 0)
        stretch = (self.xi * height + torch.where(under_root > 0, under_root, 1.0).sqrt()) / length
        rays = torch.stack((x * stretch, y * stretch, height * stretch - self.xi), -1)
        radius = (x.square() + y.square()).sqrt().detach() * stretch.detach()
        angle = torch.atan2(radius, rays[..., 2].detach())
        return rays, solved & (angle <= self.max_angle)


@dataclass(frozen=True, kw_only=True)
class Pinhole(FocalLengths):
    """The perspective camera, with OpenCV's radial (k1, k2, k3) and tangential (p1, p2) distortion."""

    MODEL = "pinhole"

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    @property
    def _angle_limit(self) -> float:
        return math.radians(89.0)

    def _distort(self, x, y, z):
        depth = z.clamp(min=1e-2)  # beyond 89°, where the model does not hold
        u, v, _ = self._bend(x / depth, y / depth)
        return u, v

    def _bend(self, x, y):
        """Distorted coordinates and the entries (xx, xy, yy) of their symmetric Jacobian."""
        squared = x * x + y * y
        radial = 1.0 + squared * (self.k1 + squared * (self.k2 + squared * self.k3))
        slope = 2.0 * (self.k1 + squared * (2.0 * self.k2 + squared * 3.0 * self.k3))
        u = x * radial + 2.0 * self.p1 * x * y + self.p2 * (squared + 2.0 * x * x)
        v = y * radial + 2.0 * self.p2 * x * y + self.p1 * (squared + 2.0 * y * y)
        xx = radial + x * x * slope + 2.0 * self.p1 * y + 6.0 * self.p2 * x
        xy = x * y * slope + 2.0 * (self.p1 * x + self.p2 * y)
        yy = radial + y * y * slope + 6.0 * self.p1 * y + 2.0 * self.p2 * x
        return u, v, (xx, xy, yy)

    def _undistort(self, x, y):
        edge = math.tan(self.max_angle)
        with torch.no_grad():  # as in PolynomialFisheye: the last step carries the gradient
            shrink = edge / (x * x + y * y).sqrt().clamp(min=edge)
            column, row = x * shrink, y * shrink
            for _ in range(2 * NEWTON_STEPS):
                column, row, _ = self._newton_step(column, row, x, y, edge)
        column, row, residual = self._newton_step(column, row, x, y, edge)
        length = (column * column + row * row + 1.0).sqrt()
        rays = torch.stack((column / length, row / length, 1.0 / length), -1)
        inside = (column * column + row * row).detach() <= edge * edge * (1 + 1e-6)
        return rays, inside & (residual < 1e-5)

    def _newton_step(self, column, row, x, y, edge):
        """One step towards the undistorted coordinates, kept inside the field of view; the residual before it."""
        u, v, (xx, xy, yy) = self._bend(column, row)
        determinant = (xx * yy - xy * xy).clamp(min=1e-3)
        du, dv = x - u, y - v
        residual = torch.maximum(du.detach().abs(), dv.detach().abs())
        column, row = column + (yy * du - xy * dv) / determinant, row + (xx * dv - xy * du) / determinant
        shrink = edge / (column * column + row * row).detach().sqrt().clamp(min=edge)
        return column * shrink, row * shrink, residual


CAMERA_MODELS: dict[str, type[Camera]] = {
    model.MODEL: model for model in (Scaramuzza, KannalaBrandt, DoubleSphere, Pinhole)
}


def polynomial(coefficients: tuple[float, ...], x):
    """Σ c_i x^i (lowest first), for a float, an array or a tensor."""
    value = coefficients[-1] + 0.0 * x
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def polynomial_and_slope(coefficients: tuple[float, ...], x):
    """Σ c_i x^i (lowest first) and its derivative, for a float, an array or a tensor."""
    value, slope = coefficients[-1] + 0.0 * x, 0.0 * x
    for coefficient in coefficients[-2::-1]:
        slope = slope * x + value
        value = value * x + coefficient
    return value, slope
