"""Captured surroundings: high-dynamic-range maps as background and as light.

Maps are equirectangular in world axes (z up): row 0 is straight up, the middle column looks along +x and
azimuth falls from left to right, as it does for somebody who stands inside.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

ASSET = Path(__file__).parent / "assets" / "places.npz"
PEAK, GAMMA = 12.0, 3.0  # of the stored pictures: radiance = PEAK (value / 255)^GAMMA
SUN_RADIUS = np.radians(15)
SUN_CONTRAST = 2.5  # radiance beyond this many times the mean of the map is the sun's

SKIES = {
    "train": (
        *("bridge", "city", "esplanade", "forest", "hall", "night", "park"),
        *("sky", "studio", "sunrise", "sunset", "warehouse", "workshop"),
    ),
    "validation": ("dawn", "lobby"),
    "test": ("apartment", "lab", "venice"),
}
HALLS = ("apartment", "bridge", "esplanade", "hall", "lab", "lobby", "studio", "warehouse", "workshop")
NO_GROUND = ("bridge", "sky")  # maps whose lower half shows no ground
TOWNS = ("city", "sunset", "venice")  # of the maps under the open sky


@dataclass(frozen=True)
class Light:
    """Light from far away, split into nine spherical harmonics and one direction.

    A white surface with unit normal n shows  ambient(n) + sun_color max(0, n · sun_direction),  which is
    irradiance / π. The harmonics follow Ramamoorthi and Hanrahan, "An Efficient Representation for
    Irradiance Environment Maps" (2001).
    """

    harmonics: Float32[np.ndarray, "9 3"]
    sun_direction: Float32[np.ndarray, "3"]  # unit, towards the light
    sun_color: Float32[np.ndarray, "3"]

    def ambient(self, normals: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        """Linear RGB that white surfaces show without the sun; the series' undershoot is cut above zero."""
        return self._ambient(normals.astype(np.float64)).astype(np.float32)

    def _ambient(self, normals: np.ndarray) -> np.ndarray:
        harmonics = self.harmonics.astype(np.float64)
        return np.maximum(_basis(normals) @ harmonics, 0.05 * 0.282095 * harmonics[0])

    def shade(self, normals: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        """Linear RGB of white surfaces in ambient light and sun."""
        facing = np.maximum(normals.astype(np.float64) @ self.sun_direction, 0)
        return (self._ambient(normals.astype(np.float64)) + facing[:, None] * self.sun_color).astype(np.float32)

    def tinted(self, factors: np.ndarray) -> "Light":
        """Each channel times its factor."""
        harmonics, sun = self.harmonics * factors, self.sun_color * factors
        return Light(harmonics.astype(np.float32), self.sun_direction, sun.astype(np.float32))

    def under_roof(self, contrast: float, key: np.ndarray, share: float, hue: np.ndarray) -> "Light":
        """What walls make of it: the same mean light with directions and hues evened out by `contrast`, and instead
        of the sun a lamp in direction `key` that gives `share` of the mean; all of it tinted by `hue`."""
        bands = np.array([1.0] + [contrast] * 8)[:, None]
        white = np.full((3, 3), (1 - contrast) / 3) + np.eye(3) * contrast
        harmonics = (self.harmonics.astype(np.float64) * bands @ white) * hue
        mean = 0.282095 * harmonics[0]
        harmonics[0] *= 1 - share / 4  # a face sees a quarter of a directional light on average
        return Light(
            harmonics=harmonics.astype(np.float32),
            sun_direction=(key / np.sqrt(key @ key)).astype(np.float32),
            sun_color=(share * mean).astype(np.float32),
        )


@cache
def load_sky(name: str) -> tuple[Float32[np.ndarray, "256 512 3"], Float32[np.ndarray, "32 64 3"]]:
    """(what is seen, what gives light): linear RGB radiance, the mean of a map being about 1."""
    with np.load(ASSET) as asset:
        picture = np.asarray(cv2.imdecode(asset[f"view_{name}"], cv2.IMREAD_COLOR))
        light = asset[f"light_{name}"].astype(np.float32)
    decoded = (PEAK * (np.arange(256) / 255) ** GAMMA).astype(np.float32)
    return decoded[picture[..., ::-1].astype(np.uint8)], light


@cache
def load_texture(name: str) -> UInt8[np.ndarray, "512 512"]:
    """A grey photograph of the ground: "brick", "grass" or "gravel"."""
    with np.load(ASSET) as asset:
        return np.asarray(cv2.imdecode(asset[f"texture_{name}"], cv2.IMREAD_GRAYSCALE))


def split_light(radiance: Float32[np.ndarray, "h w 3"]) -> Light:
    """Takes the brightest spot above the horizon out of a map as the sun and the rest as harmonics."""
    height, width, _ = radiance.shape
    directions, area = map_directions(height, width), solid_angles(height, width)
    radiance = radiance.astype(np.float64)
    luminance = radiance.mean(-1)
    brightest = np.argmax(np.where(directions[..., 2] > 0, luminance, 0))
    peak = directions.reshape(-1, 3)[brightest]
    limit = SUN_CONTRAST * (luminance[..., None] * area).sum() / (4 * np.pi)
    share = np.clip(1 - limit / np.maximum(luminance, 1e-6), 0, None)
    share = np.where(directions @ peak > np.cos(SUN_RADIUS), share, 0)[..., None]
    sun = radiance * share * area
    toward = (sun.mean(-1, keepdims=True) * directions).sum((0, 1))
    length = np.sqrt((toward * toward).sum())
    rest = (radiance * (1 - share) * area).reshape(-1, 3)
    projected = _basis(directions.reshape(-1, 3)).T @ rest
    return Light(
        harmonics=(_BAND[:, None] * projected).astype(np.float32),
        sun_direction=(toward / length if length > 1e-6 else peak).astype(np.float32),
        sun_color=(sun.sum((0, 1)) / np.pi).astype(np.float32),
    )


@cache
def map_directions(height: int, width: int) -> Float64[np.ndarray, "height width 3"]:
    """Unit vectors to the texel centres of a map."""
    theta = np.pi * (np.arange(height)[:, None] + 0.5) / height
    azimuth = np.pi - 2 * np.pi * (np.arange(width) + 0.5) / width
    xyz = (np.sin(theta) * np.cos(azimuth), np.sin(theta) * np.sin(azimuth), np.cos(theta) + 0 * azimuth)
    return np.stack(xyz, -1)


@cache
def solid_angles(height: int, width: int) -> Float64[np.ndarray, "height 1 1"]:
    """Steradians of one texel in each row."""
    edges = np.cos(np.pi * np.arange(height + 1) / height)
    return ((edges[:-1] - edges[1:]) * 2 * np.pi / width)[:, None, None]


_BAND = np.array([1, *[2 / 3] * 3, *[1 / 4] * 5])  # cosine lobe / π in bands 0, 1, 2


def _basis(normals: np.ndarray) -> np.ndarray:
    x, y, z = normals.T
    ones = np.ones_like(x)
    scale = np.array([0.282095, *[0.488603] * 3, *[1.092548] * 3, 0.315392, 0.546274])
    return np.stack([ones, x, y, z, x * y, y * z, x * z, 3 * z * z - 1, x * x - y * y], -1) * scale
