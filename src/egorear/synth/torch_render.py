"""The pictures of `render` for many scenes at once, in torch operations on any device: training without a disk.

Without noise they are those of `render.Renderer` to a fraction of a grey level. What comes before, posing and
draping people, is done by the scenes; truth by view (maps, visibility) is left to `render`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, UInt8
from torch import Tensor

from egorear.geometry.camera import Camera
from egorear.geometry.rig import Rig
from egorear.synth.rasterizer import NOTHING
from egorear.synth.render import FLOOR_LIGHT_M, RIM, RIM_STEP, SUNK_M, Lens
from egorear.synth.scene import Scene
from egorear.synth.sensor import Sensor
from egorear.synth.torch_backdrop import Backdrop
from egorear.synth.torch_rasterizer import rasterize, resolve, snap
from egorear.synth.torch_sensor import expose
from egorear.synth.torch_shadows import Sun, floor_light, openness, vertex_normals

NO_SPHERE = np.array([0, 0, -1000, 1e-3], np.float32)  # too far and too small to hide anything
HARMONICS = (0.282095, *[0.488603] * 3, *[1.092548] * 3, 0.315392, 0.546274)


class TorchRenderer:
    """Renders scenes through one rig at the size of its images; see `render.Renderer`."""

    def __init__(self, rig: Rig, samples: int = 2, device: torch.device | str = "cpu") -> None:
        self.rig = rig
        self.samples = samples
        self.device = torch.device(device)
        first = next(iter(rig.cameras.values()))
        self.height, self.width = first.height, first.width
        fine = rig.resized(samples * first.width, samples * first.height)
        self._lenses = [Lens(rig.cameras[view], fine.cameras[view]) for view in rig.views]
        # Where a lens has fewer rays than another, its last one is cast again.
        self._seen = self._send(_filled([lens.seen for lens in self._lenses]))
        self._rays = self._send(_filled([lens.rays for lens in self._lenses]))
        self._transmission = self._send([lens.transmission for lens in self._lenses])
        self._pixel_angle = self._send(np.array([lens.pixel_angle for lens in self._lenses], np.float32))

    def render(
        self, scenes: Sequence[Scene], sensors: Sequence[Sensor], generator: torch.Generator | None = None
    ) -> UInt8[Tensor, "S V 3 H W"]:
        """Draws all views of S scenes on the device; `generator`, on that device, only feeds the sensors' noise."""
        vertices = self._send(_filled([scene.vertices for scene in scenes]))
        triangles = self._send(_filled([scene.mesh.triangles for scene in scenes], np.zeros(3, np.int32)))
        spheres = self._send(_filled([scene.spheres for scene in scenes], NO_SPHERE))
        sun = Sun(vertices, triangles, self._send([scene.place.sun_direction for scene in scenes]))
        colors = self._colors(scenes, vertices, triangles, spheres, sun)
        T = np.stack([scene.T_camera_device @ scene.T_device_world for scene in scenes])
        background, behind = self._background(scenes, T, sun, spheres)

        views = len(self._lenses)
        xy, distance, valid = self._project(vertices.double(), self._send(T))
        triangles = triangles.repeat_interleave(views, 0)
        height, width = self.samples * self.height, self.samples * self.width
        nearest, winner = rasterize(xy, distance, valid, triangles, height, width)
        behind = behind.repeat_interleave(self.samples, 1).repeat_interleave(self.samples, 2)
        winner = torch.where(nearest > behind + SUNK_M, NOTHING, winner)
        light = resolve(xy, colors.repeat_interleave(views, 0), triangles, winner, background, self.samples)

        exposure = self._send(np.array([scene.place.exposure for scene in scenes], np.float32))
        motion = np.array(
            [
                [sensor.shutter_s * lens.flow(T, scene.turn_rate) for lens, T in zip(self._lenses, Ts, strict=True)]
                for scene, sensor, Ts in zip(scenes, sensors, (s.T_camera_device for s in scenes), strict=True)
            ],
            np.float32,
        )
        light = light.unflatten(0, (len(scenes), views))
        return expose(light, self._transmission, exposure, sensors, motion, generator).permute(0, 1, 4, 2, 3)

    def _colors(
        self,
        scenes: Sequence[Scene],
        vertices: Float32[Tensor, "S N 3"],
        triangles: Int32[Tensor, "S F 3"],
        spheres: Float32[Tensor, "S K 4"],
        sun: Sun,
    ) -> Float32[Tensor, "S N 3"]:
        """As `render._vertex_colors`."""
        normals = vertex_normals(vertices, triangles)
        lit = (normals * sun.direction[:, None]).sum(-1).clamp(min=0) * sun.visibility(normals)
        harmonics = self._send([scene.place.light.harmonics for scene in scenes])
        ambient = _ambient(normals, harmonics) * openness(vertices, normals, spheres)[..., None]
        color = self._send([scene.place.sun_color for scene in scenes])
        albedo = self._send(_filled([scene.mesh.albedo for scene in scenes]))
        return albedo * (ambient + lit[..., None] * color[:, None])

    def _background(
        self, scenes: Sequence[Scene], T: Float64[np.ndarray, "S V 4 4"], sun: Sun, spheres: Float32[Tensor, "S K 4"]
    ) -> tuple[Float32[Tensor, "B H W 3"], Float32[Tensor, "B H W"]]:
        """Linear RGB of all views, and how far along each pixel's ray it is (metres)."""
        count, views = len(scenes), len(self._lenses)
        centre = self._send([scene.joints[:, :2].astype(np.float64).mean(0).astype(np.float32) for scene in scenes])
        half_width = torch.full((count,), FLOOR_LIGHT_M, device=self.device)
        texture = floor_light(sun, spheres, centre, half_width)
        square = torch.cat((centre, half_width[:, None]), 1)
        places = list({id(scene.place): scene.place for scene in scenes}.values())
        order = [id(place) for place in places]
        place = np.repeat([order.index(id(scene.place)) for scene in scenes], views)
        R = T[..., :3, :3].swapaxes(-1, -2)
        origin = -(R @ T[..., :3, 3:])[..., 0]
        color, distance = Backdrop(places, self.device).cast(
            self._rays.repeat(count, 1, 1),
            np.ascontiguousarray(R, np.float32).reshape(-1, 3, 3),
            origin.astype(np.float32).reshape(-1, 3),
            place,
            texture.repeat_interleave(views, 0),
            square.repeat_interleave(views, 0),
            self._pixel_angle.repeat(count),
        )
        pixels = self.height * self.width
        index = self._seen.repeat(count, 1)
        image = torch.zeros((count * views, pixels, 3), device=self.device)
        image.scatter_(1, index[..., None].expand(-1, -1, 3), color)
        behind = torch.full((count * views, pixels), torch.inf, device=self.device).scatter_(1, index, distance)
        shape = (self.height, self.width)
        return image.unflatten(1, shape), behind.unflatten(1, shape)

    def _project(
        self, vertices: Float64[Tensor, "S N 3"], T: Float64[Tensor, "S V 4 4"]
    ) -> tuple[Float32[Tensor, "B N 2"], Float32[Tensor, "B N"], Bool[Tensor, "B N"]]:
        """Snapped pixels in each view, distance to its camera, and whether it can be drawn."""
        drawn = []
        for v, lens in enumerate(self._lenses):
            points = vertices @ T[:, v, :3, :3].mT + T[:, v, None, :3, 3]
            pixels, valid = _on_and_beyond(lens.fine, points)
            drawn.append((snap(pixels), points.norm(dim=-1).float(), valid))
        xy, distance, valid = (torch.stack(values, 1).flatten(0, 1) for values in zip(*drawn, strict=True))
        return xy, distance, valid

    def _send(self, values: np.ndarray | Sequence[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device, non_blocking=True)


def _filled(lists: Sequence[np.ndarray], row: np.ndarray | None = None) -> np.ndarray:
    """Lists of rows as one array, the shorter ones filled up with `row`, or else with their last."""
    most = max(map(len, lists))
    filling = [np.repeat((rows[-1] if row is None else row)[None], most - len(rows), 0) for rows in lists]
    return np.stack([np.concatenate(pair) for pair in zip(lists, filling, strict=True)])


def _ambient(normals: Float32[Tensor, "S N 3"], harmonics: Float32[Tensor, "S 9 3"]) -> Float32[Tensor, "S N 3"]:
    """As `skies.Light.ambient`."""
    x, y, z = normals.unbind(-1)
    basis = (torch.ones_like(x), x, y, z, x * y, y * z, x * z, 3 * z * z - 1, x * x - y * y)
    scaled = harmonics * torch.tensor(HARMONICS, device=normals.device)[:, None]
    light = (torch.stack(basis, -1)[..., None] * scaled[:, None]).sum(-2)
    return torch.maximum(light, 0.05 * scaled[:, :1])


def _on_and_beyond(
    camera: Camera, points: Float64[Tensor, "S N 3"]
) -> tuple[Float64[Tensor, "S N 2"], Bool[Tensor, "S N"]]:
    """As `render._project`: pixels, straight on beyond the rim of the lens, and whether a vertex can be drawn."""
    pixels, valid = camera.project(points)
    across = points[..., :2].norm(dim=-1)
    beyond = torch.atan2(across, points[..., 2]) - camera.max_angle
    near = ~valid & (beyond < min(RIM, torch.pi - camera.max_angle - RIM_STEP)) & (across > 0)
    toward = points[near][:, :2] / across[near][:, None]
    angles = torch.tensor([camera.max_angle - RIM_STEP, camera.max_angle - 2 * RIM_STEP]).to(toward)[:, None, None]
    rays = torch.cat((toward * angles.sin(), angles.cos().expand(-1, len(toward), 1)), -1)
    at_rim, at_inside = camera.project(rays)[0]
    pixels[near] = at_rim + (at_rim - at_inside) * (beyond[near][:, None] / RIM_STEP + 1)
    return pixels, valid | near
