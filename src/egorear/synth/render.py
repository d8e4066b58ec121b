"""A scene to fisheye images with exact truth: project, light, rasterise, put on the background, degrade.

Body vertices are projected by the rig's own camera models; floor, walls and sky are looked up along the exact ray
of each pixel. So the truth, projected by the same models, lies where the picture shows it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8

from egorear.geometry.rig import Rig
from egorear.synth.rasterizer import rasterize, resolve, vertex_normals
from egorear.synth.scene import Scene

VIGNETTE = 0.35  # share of light lost at the edge of the field of view
SHADOW_HEIGHT_M = 0.9  # a joint above the floor by this much casts no blob
SLANT = 1.4  # a slanted ray crosses more flesh than lies between a joint and its nearest skin


@dataclass(frozen=True)
class Sensor:
    """What the cameras do to the light, per view: gain (exposure and white balance), noise and blur in pixels."""

    gains: Float32[np.ndarray, "V 3"]
    noise: float
    blur: float


@dataclass(frozen=True)
class Frame:
    """Images by view name, and per view which of the 16 joints are visible."""

    images: dict[str, UInt8[np.ndarray, "H W 3"]]
    visible: Bool[np.ndarray, "V 16"]


def sample_sensor(rng: np.random.Generator, views: int) -> Sensor:
    """Cameras of one make: exposure within a third of a stop, white balance within some percent."""
    exposure = np.exp(rng.normal(0, 0.12, (views, 1)))
    balance = np.exp(rng.normal(0, 0.025, (views, 3)))
    gains = (exposure * balance).astype(np.float32)
    return Sensor(gains, float(rng.uniform(0.001, 0.02)), float(rng.uniform(0, 0.6)))


class Renderer:
    """Renders scenes through one rig at the size of its images.

    `samples`² samples a pixel are taken of the body; the background is filtered by itself.
    """

    def __init__(self, rig: Rig, samples: int = 2) -> None:
        self.rig = rig
        self.samples = samples
        first = next(iter(rig.cameras.values()))
        self._fine = rig.resized(samples * first.width, samples * first.height)
        self._lenses = [_Lens(camera) for camera in rig.cameras.values()]
        T = rig.T_camera_device.to(torch.float32)
        self._T_camera_device = T.numpy()

    def render(self, scene: Scene, sensor: Sensor, rng: np.random.Generator) -> Frame:
        """Draws all views; `rng` only feeds the sensor's noise."""
        T_camera_world = self._T_camera_device @ scene.T_device_world
        colors = _vertex_colors(scene)
        shadows = _floor_shadows(scene)
        images, visible = {}, np.zeros((len(self._lenses), len(scene.joints)), bool)
        for v, (view, lens) in enumerate(zip(self.rig.views, self._lenses, strict=True)):
            fine = self._fine.cameras[view]
            R, t = T_camera_world[v, :3, :3], T_camera_world[v, :3, 3]
            points = scene.vertices @ R.T + t
            pixels, valid = fine.project(torch.from_numpy(points))
            xy, distance = pixels.numpy(), np.sqrt(np.einsum("ij,ij->i", points, points))
            nearest, winner = rasterize(xy, distance, valid.numpy(), scene.person.triangles, fine.height, fine.width)
            background = lens.background(scene, R, t, shadows)
            light = resolve(xy, colors, scene.person.triangles, winner, background, self.samples)
            images[view] = _expose(light, lens.transmission, scene.place.exposure, sensor, v, rng)
            visible[v] = _visible_joints(scene, fine, scene.joints @ R.T + t, nearest)
        return Frame(images, visible)


class _Lens:
    """What of a camera does not change between frames: the ray of each pixel and the light it lets through."""

    def __init__(self, camera) -> None:
        self.height, self.width = camera.height, camera.width
        y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
        rays, valid = camera.unproject(torch.stack((x, y), -1).reshape(-1, 2).to(torch.float64))
        self.seen = np.flatnonzero(valid.numpy())
        self.rays = np.ascontiguousarray(rays.numpy()[self.seen], dtype=np.float32)
        angle = np.arccos(np.clip(self.rays[:, 2], -1, 1)) / camera.max_angle
        self.transmission = np.zeros((self.height * self.width, 1), np.float32)
        self.transmission[self.seen, 0] = 1 - VIGNETTE * angle**4
        self.transmission = self.transmission.reshape(self.height, self.width, 1)
        self.pixel_angle = float(2 * camera.max_angle / max(self.height, self.width))

    def background(self, scene: Scene, R, t, shadows) -> Float32[np.ndarray, "H W 3"]:
        """Linear RGB of floor, walls and sky."""
        image = np.zeros((self.height * self.width, 3), np.float32)
        image[self.seen] = scene.place.background(self.rays @ R, -t @ R, shadows, self.pixel_angle)
        return image.reshape(self.height, self.width, 3)


def _vertex_colors(scene: Scene) -> Float32[np.ndarray, "N 3"]:
    """Linear RGB of lit vertices: sky light dimmed near the floor and under overhangs, and the sun."""
    normals = vertex_normals(scene.vertices, scene.person.triangles)
    facing = np.maximum(normals @ scene.place.sun_direction, 0)
    # Next to the floor half of the sky is hidden; a surface that faces down sees only the dark floor.
    openness = 0.55 + 0.45 * np.clip(scene.vertices[:, 2] / 0.8, 0, 1)
    light = scene.place.ambient(normals) * openness[:, None] + facing[:, None] * scene.place.sun_color
    return (scene.person.albedo * light).astype(np.float32)


def _floor_shadows(scene: Scene) -> Float32[np.ndarray, "S 4"]:
    """Blobs (x, y, radius, strength) under the joints, wider and fainter with height: a strong cue of depth."""
    x, y, z = scene.joints.T
    nearness = np.clip(1 - z / SHADOW_HEIGHT_M, 0, 1)
    blobs = np.stack((x, y, 0.12 + 0.35 * np.maximum(z, 0), 0.55 * nearness**2), -1).astype(np.float32)
    return blobs[blobs[:, 3] > 0.01]


def _visible_joints(scene: Scene, camera, points, nearest) -> Bool[np.ndarray, "16"]:
    """A joint is visible where nothing lies before it but the flesh around it (z-buffer against its distance)."""
    pixels, valid = camera.project(torch.from_numpy(np.ascontiguousarray(points)))
    inside = (valid & camera.contains(pixels)).numpy()
    column, row = (
        np.rint(np.nan_to_num(pixels.numpy())).astype(np.int64).clip(0, (camera.width - 1, camera.height - 1)).T
    )
    free = nearest[row, column] >= np.linalg.norm(points, axis=-1) - SLANT * scene.person.limb_radius
    return inside & free


def _expose(light, transmission, exposure, sensor, view, rng) -> UInt8[np.ndarray, "H W 3"]:
    """Light to an 8-bit sRGB picture with the sensor's blur and noise."""
    if sensor.blur > 0.05:
        light = cv2.GaussianBlur(light, (0, 0), sensor.blur)
    signal = light * (transmission * (exposure * sensor.gains[view]))
    np.clip(signal, 0, 1, out=signal)
    encoded = np.sqrt(signal) * 1.02 - 0.02 * signal  # sRGB's curve to within a percent, without a power
    encoded += (sensor.noise * rng.standard_normal(encoded.shape[:2], np.float32))[..., None]
    return np.clip(encoded * 255 + 0.5, 0, 255).astype(np.uint8)
