"""A scene to fisheye images with exact truth: light, project, rasterise, put on the background, expose.

Triangles are projected by the rig's own camera models; floor, walls and sky are looked up along the exact ray of
each pixel. So the truth, projected by the same models, lies where the picture shows it. Everything up to the pixel
grid is computed in float64 and rounded once, pixels in plain float32 arithmetic: the bytes are the same everywhere.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, UInt8
from numba import njit

from egorear.datasets.maps import NOTHING as NO_LABEL
from egorear.datasets.maps import ViewMaps
from egorear.datasets.truth import Visibility
from egorear.geometry.camera import Camera
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth.garments import Part
from egorear.synth.rasterizer import NOTHING, rasterize, resolve, snap, vertex_normals
from egorear.synth.scene import Scene
from egorear.synth.sensor import Sensor, expose
from egorear.synth.shadows import FloorLight, Sun, floor_light, openness

VIGNETTE = 0.35  # share of light lost at the edge of the field of view
SLANT = 1.4  # a slanted ray crosses more flesh than lies between a joint and its nearest skin
GRAZE = 3.0  # the same for a ray along the joint's own limb, which is seen foreshortened
RIM, RIM_STEP = 0.5, 1e-3  # radians beyond the lens up to which vertices are drawn, and over which its end is measured
SUNK_M = 0.02  # feet sink this far into the floor before it hides them
LOWEST_ROOF_M = 2.2  # no room's ceiling is lower
FLOOR_LIGHT_M = 1.6  # half width of the square of floor that gets shadows
TRUNK = ("Head", "Neck", "LeftArm", "RightArm", "LeftUpLeg", "RightUpLeg")  # joints in thick flesh, not in limbs
OWN_LIMBS = np.array(  # that meet in each joint of the limbs
    [(-1, -1) if name in TRUNK else (j, EGO4VIEW.parents[j]) for j, name in enumerate(EGO4VIEW.names)]
)
NOT_BODY = (Part.HEADSET, Part.GLASSES, Part.STRANGER)


@dataclass(frozen=True)
class Frame:
    """images: RGB by view name. visibility: `Visibility` per view and joint. maps: by view name, if asked for."""

    images: dict[str, UInt8[np.ndarray, "H W 3"]]
    visibility: UInt8[np.ndarray, "V 16"]
    maps: Mapping[str, ViewMaps] | None


@dataclass(frozen=True)
class _Projected:
    """Points in one camera at one resolution: pixels, distance to the camera (m), whether they can be drawn, and
    whether the lens sees them."""

    xy: Float32[np.ndarray, "N 2"]
    distance: Float32[np.ndarray, "N"]
    valid: Bool[np.ndarray, "N"]
    seen: Bool[np.ndarray, "N"]


class Renderer:
    """Renders scenes through one rig at the size of its images.

    `samples`² samples a pixel are taken of the triangles; the background is filtered by itself. maps: any of "depth",
    "segmentation" and "normals", which come with the images, one exact sample at each pixel's centre.
    """

    def __init__(self, rig: Rig, samples: int = 2, maps: Collection[str] = ()) -> None:
        self.rig = rig
        self.samples = samples
        self.maps = frozenset(maps)
        first = next(iter(rig.cameras.values()))
        fine = rig.resized(samples * first.width, samples * first.height)
        self._lenses = {view: Lens(rig.cameras[view], fine.cameras[view]) for view in rig.views}

    def render(self, scene: Scene, sensor: Sensor, rng: np.random.Generator) -> Frame:
        """Draws all views; `rng` only feeds the sensor's noise."""
        normals = vertex_normals(scene.vertices, scene.mesh.triangles)
        sun = Sun(scene.vertices, scene.mesh.triangles, scene.place.sun_direction)
        colors = _vertex_colors(scene, normals, sun)
        floor = _floor(scene, sun)
        T_camera_world = scene.T_camera_device @ scene.T_device_world
        in_world = np.concatenate((scene.vertices, scene.joints)).astype(np.float64)
        images, maps = {}, {}
        visibility = np.empty((len(self._lenses), len(scene.joints)), np.uint8)
        for v, (view, lens) in enumerate(self._lenses.items()):
            T = T_camera_world[v]
            points = in_world @ T[:3, :3].T + T[:3, 3]
            drawn = _project(lens.fine, points)
            nearest, winner = _rasterize(drawn, scene.mesh.triangles, lens.fine)
            # Maps take their sample elsewhere in a pixel than pictures: they need the background everywhere.
            hiding = np.full_like(nearest, np.inf) if self.maps else nearest
            background, behind = lens.background(scene, T, floor, hiding)
            _hide(nearest, winner, behind, self.samples)
            light = resolve(drawn.xy[: len(colors)], colors, scene.mesh.triangles, winner, background, self.samples)
            smear = (sensor.shutter_s * lens.flow(scene.T_camera_device[v], scene.turn_rate)).astype(np.float32)
            images[view] = expose(light, lens.transmission, scene.place.exposure, sensor, v, rng, smear)
            visibility[v] = _joint_visibility(scene, lens.fine, drawn, nearest, winner, behind, self.samples)
            if self.maps:
                maps[view] = _view_maps(self.maps, scene, lens, points, normals, T, behind)
        return Frame(images, visibility, maps if self.maps else None)


class Lens:
    """What of a camera does not change between frames: the ray of each pixel and the light it lets through."""

    def __init__(self, camera: Camera, fine: Camera) -> None:
        self.camera, self.fine = camera, fine
        self.shape = camera.height, camera.width
        y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
        rays, valid = camera.unproject(torch.stack((x, y), -1).reshape(-1, 2).double())
        self.seen = np.flatnonzero(valid.numpy())
        exact = rays.numpy()[self.seen]
        self.rays = np.ascontiguousarray(exact, dtype=np.float32)
        angle = np.arccos(np.clip(exact[:, 2], -1, 1)) / camera.max_angle
        transmission = np.zeros(camera.height * camera.width)
        transmission[self.seen] = 1 - VIGNETTE * angle**4
        self.transmission = transmission.reshape(*self.shape, 1).astype(np.float32)
        self.pixel_angle = float(2 * camera.max_angle / max(self.shape))
        ahead = torch.tensor([[0.0, 0, 1], [0.001, 0, 1], [0, 0.001, 1]], dtype=torch.float64)
        centre, right, down = camera.project(ahead)[0].numpy()
        self._pixels_per_radian = np.stack((right - centre, down - centre), -1) * 1000

    def background(self, scene: Scene, T, floor: FloorLight, nearest: Float32[np.ndarray, "sH sW"]):
        """Linear RGB of floor, walls, furniture and sky, and how far along each pixel's ray they are (m).

        Black and infinitely far where the triangles, at `nearest`, hide it for certain."""
        rows, columns = self.shape
        image = np.zeros((rows * columns, 3), np.float32)
        distance = np.full(rows * columns, np.inf, np.float32)
        R, origin = np.ascontiguousarray(T[:3, :3].T, np.float32), (-T[:3, :3].T @ T[:3, 3]).astype(np.float32)
        samples = nearest.shape[0] // rows
        open_ = _unhidden(self.rays, self.seen, R, origin, np.float32(scene.place.reach), nearest, samples, columns)
        rays = self.rays.take(open_, 0)
        _put(*scene.place.background(rays, R, origin, floor, self.pixel_angle), self.seen, open_, image, distance)
        return image.reshape(rows, columns, 3), distance.reshape(rows, columns)

    def flow(self, T_camera_device, turn_rate) -> Float64[np.ndarray, "2"]:
        """Pixels per second by which the picture's centre moves when the device turns (radians per second)."""
        x, y, _ = T_camera_device[:3, :3] @ turn_rate
        return self._pixels_per_radian @ np.array([-y, x])


def _project(camera: Camera, points: Float64[np.ndarray, "N 3"]) -> _Projected:
    """Vertices a little beyond the lens are put where they would be if it went on as at its rim: a triangle that
    crosses the rim is drawn up to it, and the lens hides what lies outside."""
    pixels, seen = (tensor.numpy() for tensor in camera.project(torch.from_numpy(points)))
    valid = seen.copy()
    near = np.flatnonzero(~seen)
    across = np.sqrt(points[near, 0] ** 2 + points[near, 1] ** 2)
    beyond = np.arctan2(across, points[near, 2]) - camera.max_angle
    drawable = (beyond < min(RIM, np.pi - camera.max_angle - RIM_STEP)) & (across > 0)
    near, across, beyond = near[drawable], across[drawable], beyond[drawable]
    if len(near):
        toward = points[near, :2] / across[:, None]
        rim, inside = (
            np.concatenate((toward * np.sin(angle), np.full((len(near), 1), np.cos(angle))), 1)
            for angle in (camera.max_angle - RIM_STEP, camera.max_angle - 2 * RIM_STEP)
        )
        at_rim, at_inside = (camera.project(torch.from_numpy(rays))[0].numpy() for rays in (rim, inside))
        pixels[near] = at_rim + (at_rim - at_inside) * (beyond[:, None] / RIM_STEP + 1)
        valid[near] = True
    x, y, z = points.T
    distance = np.sqrt(x * x + y * y + z * z).astype(np.float32)
    return _Projected(snap(pixels), distance, valid, seen)


def _rasterize(drawn: _Projected, triangles: Int32[np.ndarray, "F 3"], camera: Camera):
    return rasterize(drawn.xy, drawn.distance, drawn.valid, triangles, camera.height, camera.width)


def _vertex_colors(scene: Scene, normals: Float32[np.ndarray, "N 3"], sun: Sun) -> Float32[np.ndarray, "N 3"]:
    """Linear RGB of lit vertices: the sun where it reaches them, and the part of the other light that does."""
    place = scene.place
    facing = np.maximum((normals.astype(np.float64) * place.sun_direction).sum(-1), 0).astype(np.float32)
    lit = facing * sun.visibility(normals)
    ambient = place.ambient(normals) * openness(scene.vertices, normals, scene.spheres)[:, None]
    return scene.mesh.albedo * (ambient + lit[:, None] * place.sun_color)


def _floor(scene: Scene, sun: Sun) -> FloorLight:
    """Light and shadow on the floor around the wearer."""
    x, y = scene.joints[:, :2].astype(np.float64).mean(0)
    centre = float(np.float32(x)), float(np.float32(y))
    return FloorLight(floor_light(sun, scene.spheres, centre, FLOOR_LIGHT_M), centre, FLOOR_LIGHT_M)


@njit(cache=True, error_model="numpy")
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def _unhidden(rays, pixels, R, origin, reach, nearest, samples, columns):  # pragma: no cover (compiled)
    """Which rays may show the place: not those that triangles cover whole before they reach floor, furniture or roof.

    Nothing but the floor stands within `reach` of the world's origin, and no roof is lower than `LOWEST_ROOF_M`."""
    out = np.empty(len(rays), np.int64)
    count = 0
    outside = origin[0] * origin[0] + origin[1] * origin[1] - reach * reach
    for k in range(len(rays)):
        y, x = pixels[k] // columns * samples, pixels[k] % columns * samples
        farthest = np.float32(0)
        for sy in range(y, y + samples):
            for sx in range(x, x + samples):
                farthest = max(farthest, nearest[sy, sx])
        out[count] = k
        if outside >= 0 or farthest == np.inf:
            count += 1
            continue
        a, b, c = rays[k, 0], rays[k, 1], rays[k, 2]
        dx = R[0, 0] * a + R[0, 1] * b + R[0, 2] * c
        dy = R[1, 0] * a + R[1, 1] * b + R[1, 2] * c
        end = origin[2] + farthest * (R[2, 0] * a + R[2, 1] * b + R[2, 2] * c)
        ex, ey = origin[0] + farthest * dx, origin[1] + farthest * dy
        if ex * ex + ey * ey > reach * reach or end < 0 or end > np.float32(LOWEST_ROOF_M):
            count += 1
    return out[:count]


@njit(cache=True, error_model="numpy")
@no_type_check
def _put(colors, distances, pixels, index, image, distance):  # pragma: no cover (compiled)
    for i in range(len(index)):
        pixel = pixels[index[i]]
        distance[pixel] = distances[i]
        for c in range(3):
            image[pixel, c] = colors[i, c]


@njit(cache=True, error_model="numpy")
@no_type_check
def _hide(nearest, winner, behind, samples):  # pragma: no cover (compiled)
    """Takes out what lies behind furniture, walls or under the floor."""
    for y in range(nearest.shape[0]):
        for x in range(nearest.shape[1]):
            if winner[y, x] >= 0 and nearest[y, x] > behind[y // samples, x // samples] + np.float32(SUNK_M):
                nearest[y, x] = np.inf
                winner[y, x] = NOTHING


def _joint_visibility(
    scene: Scene, camera: Camera, drawn: _Projected, nearest, winner, behind, samples: int
) -> UInt8[np.ndarray, "16"]:
    """What, if anything, lies before each joint besides the flesh around it (z-buffer against its distance).

    drawn: the vertices, then the joints.
    """
    xy, distance, seen = (each[len(scene.vertices) :] for each in (drawn.xy, drawn.distance, drawn.seen))
    inside = seen & camera.contains(torch.from_numpy(xy)).numpy()
    column, row = np.rint(xy).astype(np.int64).clip(0, (camera.width - 1, camera.height - 1)).T
    before = winner[row, column]
    own = (scene.mesh.limb[before][:, None] == OWN_LIMBS).any(-1)
    reach = distance - np.where(own, GRAZE, SLANT).astype(np.float32) * scene.limb_radius
    part = scene.mesh.part[before]
    hidden = np.where(
        np.isin(part, NOT_BODY),
        Visibility.OTHER,
        np.where(scene.mesh.loose[before], Visibility.CLOTH, Visibility.BODY),
    )
    visibility = np.where(nearest[row, column] < reach, hidden, Visibility.VISIBLE)
    visibility[behind[row // samples, column // samples] + SUNK_M < reach] = Visibility.OTHER
    visibility[~inside] = Visibility.OUTSIDE
    return visibility.astype(np.uint8)


def _view_maps(asked: Collection[str], scene: Scene, lens: Lens, points, normals, T, behind) -> ViewMaps:
    """Depth, labels and normals at the pixels' centres, of what the lens sees."""
    drawn = _project(lens.camera, points)
    nearest, winner = _rasterize(drawn, scene.mesh.triangles, lens.camera)
    outside = lens.transmission[..., 0] == 0
    _hide(nearest, winner, np.where(outside, np.float32(-1), behind), 1)
    labels = [np.where(winner != NOTHING, label[winner], NO_LABEL) for label in (scene.mesh.part, scene.mesh.limb)]
    part, limb = (label.astype(np.uint8) if "segmentation" in asked else None for label in labels)
    facing = None
    if "normals" in asked:
        nowhere = np.zeros((*winner.shape, 3), np.float32)
        in_world = resolve(drawn.xy[: len(normals)], normals, scene.mesh.triangles, winner, nowhere, 1)
        turned = in_world.astype(np.float64) @ T[:3, :3].T
        length = np.linalg.norm(turned, axis=-1, keepdims=True)
        facing = (turned / np.maximum(length, 1e-9)).astype(np.float32)
    return ViewMaps(np.minimum(nearest, behind) if "depth" in asked else None, part, limb, facing)
