"""The ray caster of `backdrop` for many views of many places at once, in torch operations on any device.

The same steps in the same order; where `backdrop` branches, these select the rays concerned. Loops run over the boxes,
patches and panels of a place, never over rays, views or scenes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from egorear.synth import backdrop
from egorear.synth.backdrop import BANDS, SECTORS, reachable
from egorear.synth.clutter import CELL_M, HALF_CELLS
from egorear.synth.environment import NOSE_M, OPEN, Place
from egorear.synth.floors import FLOOR, GLASS, GLOW, GRAIN_M, PLAIN, WALL, grain
from egorear.synth.ground import GROUND_HALF_M
from egorear.synth.rooms import WALLS
from egorear.synth.torch_lookups import Pyramids, shares, sky_color

TINY = 1e-9
FAR, HORIZON_M, GRAIN_SEEN_M = float(backdrop.FAR), float(backdrop.HORIZON_M), float(backdrop.GRAIN_SEEN_M)
CPU_BLOCK, GPU_BLOCK = 1 << 16, 1 << 23  # rays at a time


class Backdrop:
    """Places on a device, ready to be looked at.

    S places: sky[S H W 3] and the like as `backdrop.cast` takes them; lists of boxes, patches and panels are padded by
    rows of -1, which nothing meets.
    """

    def __init__(self, places: Sequence[Place], device: torch.device) -> None:
        self.places = tuple(places)
        self.device = device
        turns = np.stack([place.turn for place in places])
        light = [place.face_light for place in places]
        self.cosine, self.sine = self._send(turns[:, 0, 0]), self._send(turns[:, 1, 0])
        self.sky = self._send([place.sky for place in places])
        self.patterns = Pyramids(self._send([[surface.pyramid for surface in place.surfaces] for place in places]))
        self.tiles = self._send([[1 / surface.metres for surface in place.surfaces] for place in places])
        self.grain = Pyramids(self._send(grain())[None, None, :, None])
        self.contrast = self._send([place.surfaces[FLOOR].grain for place in places])
        self.light, self.sun_share = self._send([faces for faces, _ in light]), self._send([sun for _, sun in light])
        self.pool = self._send([place.pool for place in places])
        self.fade = self._send([place.fade for place in places])
        self.capture_height = self._send([place.capture_height for place in places])
        self.ground = self._send([place.ground for place in places])
        self.indoors = torch.tensor([place.room is not None for place in places], device=device)
        panels = [(place.room or OPEN).panels for place in places]
        on_walls = _padded([rows[rows[:, 0] == wall] for rows in panels for wall in range(WALLS)])
        self.panels = self._send(on_walls).unflatten(0, (-1, WALLS))
        self.boxes = self._send(_padded([place.furniture.boxes for place in places]))
        self.looks = self._send(_padded([place.furniture.looks for place in places]))
        self.patches = self._send(_padded([place.patches.rows for place in places]))
        self.cells = torch.from_numpy(np.stack([p.patches.cells.view(np.int64) for p in places])).to(device)

    def _send(self, values) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)

    def cast(
        self,
        rays: Float32[Tensor, "B P 3"],
        rotation: Float32[np.ndarray, "B 3 3"],
        origin: Float32[np.ndarray, "B 3"],
        place: Int64[np.ndarray, "B"],
        texture: Float32[Tensor, "B G G 2"],
        square: Float32[Tensor, "B 3"],
        pixel_angle: Float32[Tensor, "B"],
    ) -> tuple[Float32[Tensor, "B P 3"], Float32[Tensor, "B P"]]:
        """Linear RGB and distance (metres) along camera rays of B views; see `Place.background`.

        rotation: camera to world; origin: of the rays, in the world. texture: of the view's `FloorLight`, square its
        centre and half width.
        """
        color, distance = torch.empty_like(rays), torch.empty(rays.shape[:2], device=rays.device)
        step = max(1, (CPU_BLOCK if rays.device.type == "cpu" else GPU_BLOCK) // rays.shape[1])
        for start in range(0, len(rays), step):
            block = slice(start, start + step)
            views = _Views(
                self, rotation[block], origin[block], place[block], texture[block], square[block], pixel_angle[block]
            )
            color[block], distance[block] = views.cast(rays[block])
        return color, distance


@dataclass(frozen=True)
class _Hits:
    """N of the rays and what they meet.

    world[N, 3]: the ray's direction. point[N, 3], and uv[N, 2] on the surface, are in the place's frame, metres.
    light[N, 3]: what a white surface there shows.
    """

    view: Tensor
    ray: Tensor
    place: Tensor
    world: Tensor
    point: Tensor
    face: Tensor
    box: Tensor
    uv: Tensor
    footprint: Tensor
    light: Tensor

    def where(self, chosen: Tensor) -> "_Hits":
        index = chosen.nonzero().squeeze(1)
        return _Hits(*(getattr(self, field.name)[index] for field in fields(self)))


class _Views:
    """A block of views, each within one place."""

    def __init__(self, every: Backdrop, rotation, origin, place, texture, square, pixel_angle) -> None:
        self.all = every
        device = every.device
        turns = np.stack([every.places[p].turn for p in place])
        start = origin.copy()
        start[:, :2] = np.einsum("bi,bij->bj", origin[:, :2].astype(np.float64), turns)
        rooms = np.stack([(every.places[p].room or OPEN).bounds for p in place])
        low, high = np.minimum(rooms[:, 0], start - NOSE_M), np.maximum(rooms[:, 1], start + NOSE_M)
        masks = [reachable(every.places[p].furniture.boxes, *o) for p, o in zip(place, start, strict=True)]
        self.sectors, self.bands = (
            torch.from_numpy(np.stack(tables).view(np.int64)).to(device) for tables in zip(*masks, strict=True)
        )
        self.rotation, self.start = torch.from_numpy(rotation).to(device), torch.from_numpy(start).to(device)
        self.bounds = torch.from_numpy(np.stack((low, high), 1)).to(device)
        self.place = torch.from_numpy(place).to(device)
        self.texture, self.square, self.pixel_angle = texture, square, pixel_angle

    def cast(self, rays: Tensor) -> tuple[Tensor, Tensor]:
        nearest, hits, missed = self._meet(rays)
        color = torch.empty_like(rays)
        view, ray, *world = missed
        color[view, ray] = sky_color(self.all.sky, self.place[view], *world)
        on_box, on_floor = hits.box >= 0, (hits.box < 0) & (hits.face == 5)
        for chosen, paint in ((on_box, self._box), (on_floor, self._floor), (~on_box & ~on_floor, self._wall)):
            some = hits.where(chosen)
            if len(some.view):
                color[some.view, some.ray] = paint(some)
        return color, nearest

    def _meet(self, rays: Tensor):
        """Distances, the hits, and view, ray and direction of those that go to the sky."""
        a, b, c = rays.unbind(2)
        wx, wy, wz = (row[:, :1] * a + row[:, 1:2] * b + row[:, 2:] * c for row in self.rotation.unbind(1))
        cosine, sine = self.all.cosine[self.place, None], self.all.sine[self.place, None]
        directions = cosine * wx + sine * wy, cosine * wy - sine * wx, wz
        inverse = [1 / torch.where(d.abs() > TINY, d, TINY) for d in directions]
        start = self.start[:, :, None].unbind(1)
        nearest = torch.where((wz < -TINY) & (start[2] > 0), -start[2] / wz, FAR)
        face = torch.where(nearest < FAR, 5, -1)
        indoors = self.all.indoors[self.place, None]
        for axis, (i, o) in enumerate(zip(inverse, start, strict=True)):
            low, high = self.bounds[:, :, axis, None].unbind(1)
            t = (torch.where(i > 0, high, low if axis < 2 else high) - o) * i
            hit = indoors & (t > 0) & (t < nearest)
            nearest = torch.where(hit, t, nearest)
            face = torch.where(hit, 2 * axis + (i <= 0).long(), face)
        box = torch.full_like(face, -1)
        for k, (view, ray) in _bits(self._reaching(*directions), self.all.boxes.shape[1]):
            corners = self.all.boxes[self.place[view], k]
            ways = [i[view, ray] for i in inverse]
            ends = [
                ((corners[:, n] - self.start[view, n]) * i, (corners[:, n + 3] - self.start[view, n]) * i)
                for n, i in enumerate(ways)
            ]
            tx, ty, tz = (torch.minimum(*end) for end in ends)
            enter = torch.maximum(torch.maximum(tx, ty), tz)
            leave = torch.minimum(torch.minimum(*(torch.maximum(*end) for end in ends[:2])), torch.maximum(*ends[2]))
            hit = (enter > 0) & (enter < nearest[view, ray]) & (enter < leave)
            axis = torch.where(enter == tx, 0, torch.where(enter == ty, 1, 2))
            side = (torch.stack(ways).gather(0, axis[None])[0] <= 0).long()
            view, ray = view[hit], ray[hit]
            nearest[view, ray], face[view, ray], box[view, ray] = enter[hit], (2 * axis + side)[hit], k
        met = (face >= 0) & (nearest <= HORIZON_M)
        view, ray = (~met).nonzero(as_tuple=True)
        missed = view, ray, wx[view, ray], wy[view, ray], wz[view, ray]
        hits = self._hits(met, nearest, face, box, (wx, wy, wz), directions)
        return torch.where(met, nearest, math.inf), hits, missed

    def _reaching(self, dx: Tensor, dy: Tensor, dz: Tensor) -> Tensor:
        """Bit k: the ray may meet box k (see `backdrop.reachable`)."""
        level = dx.abs() + dy.abs()
        q = dy / (level + 1e-20)
        sector = (torch.where(dx >= 0, q + 1, 3 - q) * (SECTORS / 4)).long() & (SECTORS - 1)
        band = ((dz / (level + dz.abs()) + 1) * (BANDS / 2)).long().clamp(max=BANDS - 1)
        return self.sectors.gather(1, sector) & self.bands.gather(1, band)

    def _hits(self, met, nearest, face, box, world, directions) -> _Hits:
        view, ray = met.nonzero(as_tuple=True)
        distance, face, place = nearest[view, ray], face[view, ray], self.place[view]
        world, direction = (torch.stack([d[view, ray] for d in axes], 1) for axes in (world, directions))
        point = self.start[view] + distance[:, None] * direction
        x, y, z = point.unbind(1)
        axis = face >> 1
        incidence = direction.gather(1, axis[:, None])[:, 0].abs()
        footprint = distance * self.pixel_angle[view] / incidence.clamp(min=1e-4).sqrt()
        uv = torch.stack((torch.where(axis == 0, y, x), torch.where(axis == 2, y, z)), 1)
        light = self.all.light[place, face] * self._lamp(place, point)[:, None]
        return _Hits(view, ray, place, world, point, face, box[view, ray], uv, footprint, light)

    def _lamp(self, place: Tensor, point: Tensor) -> Tensor:
        """Factor on all light around a room's lamp."""
        lamp = self.all.pool[place]
        share, fall = lamp[:, 3], lamp[:, 4]
        person = torch.tensor([0.0, 0.0, 0.8], device=point.device)
        at_person, here = (1 + fall * (p - lamp[:, :3]).square().sum(1) for p in (person, point))
        near = (1 + share * (at_person / here - 1)).clamp(max=3)
        return torch.where(self.all.indoors[place], near, 1.0)

    def _material(self, place: Tensor, look: Tensor, uv: Tensor, footprint: Tensor) -> Tensor:
        plain = look >= PLAIN
        row = torch.where(plain, 0, look)
        scale = self.all.tiles[place, row]
        u, v = (uv * scale[:, None]).unbind(1)
        return torch.where(plain[:, None], 1.0, self.all.patterns(place, row, u, v, footprint * scale))

    def _box(self, hit: _Hits) -> Tensor:
        look = self.all.looks[hit.place, hit.box]
        kind = look[:, 3].long()
        color = self._material(hit.place, kind, hit.uv, hit.footprint) * look[:, :3]
        left = torch.where(hit.face == 5, 1.0, 0.6 + 0.4 * (hit.point[:, 2] * (1 / 0.35)).clamp(max=1))
        lit = hit.light * left[:, None]
        return torch.where((kind < GLOW)[:, None], color * lit, color)

    def _floor(self, hit: _Hits) -> Tensor:
        every, place, footprint = self.all, hit.place, hit.footprint
        x, y, _ = hit.point.unbind(1)
        color = self._material(place, torch.full_like(place, FLOOR), hit.uv, footprint)
        scale, none = 1 / GRAIN_M, torch.zeros_like(place)
        fine = 1 + every.contrast[place, None] * every.grain(none, none, x * scale, y * scale, footprint * scale)
        color = torch.where((footprint < GRAIN_SEEN_M)[:, None], color * fine, color) * hit.light
        px = every.cosine[place] * x - every.sine[place] * y
        py = every.sine[place] * x + every.cosine[place] * y
        near, far = every.fade[place].unbind(1)
        captured = (((x * x + y * y).sqrt() - near) / (far - near)).clamp(0, 1)[:, None]
        captured = captured * captured * (3 - 2 * captured)
        i = (captured[:, 0] > 0).nonzero().squeeze(1)
        photo = sky_color(every.sky, place[i], px[i], py[i], -every.capture_height[place[i]])
        color[i] = color[i] + captured[i] * (photo - color[i])

        column, row = (torch.floor(at * (1 / CELL_M)).long() + HALF_CELLS for at in (x, y))
        near = (torch.minimum(column, row) >= 0) & (torch.maximum(column, row) < 2 * HALF_CELLS)
        limit = 2 * HALF_CELLS - 1
        cells = torch.where(near, every.cells[place, row.clamp(0, limit), column.clamp(0, limit)], 0)
        for k, (i,) in _bits(cells, every.patches.shape[1]):
            patch, pixel = every.patches[place[i], k], footprint[i]
            qx, qy = x[i] - patch[:, 0], y[i] - patch[:, 1]
            along, across = patch[:, 2] * qx + patch[:, 3] * qy, patch[:, 2] * qy - patch[:, 3] * qx
            share = (_covered(along, patch[:, 4], pixel) * _covered(across, patch[:, 5], pixel))[:, None]
            paint = (
                self._material(place[i], patch[:, 9].long(), torch.stack((along, across), 1), pixel)
                * patch[:, 6:9]
                * hit.light[i]
            )
            color[i] = color[i] + share * (paint - color[i])

        lit, left = shares(every.ground, place, x * (1 / GROUND_HALF_M), y * (1 / GROUND_HALF_M)).unbind(1)
        centre_x, centre_y, half_width = self.square[hit.view].unbind(1)
        sun, open_ = shares(self.texture, hit.view, (px - centre_x) / half_width, (py - centre_y) / half_width).unbind(
            1
        )
        lit, open_ = lit * sun, left * open_
        open_ = torch.where(every.indoors[place], open_ * self._crease(hit, 0) * self._crease(hit, 1), open_)
        return color * (open_[:, None] + (lit - open_)[:, None] * every.sun_share[place])

    def _wall(self, hit: _Hits) -> Tensor:
        u, v = hit.uv.unbind(1)
        axis = hit.face >> 1
        wall = torch.where(axis == 2, 4, 2 * axis + (1 - (hit.face & 1)))
        ceiling = (axis == 2).float()[:, None]
        color = 0.75 * ceiling + (1 - ceiling).expand(-1, 3)  # white ceilings
        look = torch.where(axis == 2, PLAIN, WALL)
        for panels in self.all.panels.unbind(2):
            panel = panels[hit.place, wall]
            on = (panel[:, 1] < u) & (u < panel[:, 2]) & (panel[:, 3] < v) & (v < panel[:, 4])
            color, look = torch.where(on[:, None], panel[:, 5:8], color), torch.where(on, panel[:, 8].long(), look)
        glass = (look == GLASS)[:, None]
        seen = torch.where(
            glass,
            sky_color(self.all.sky, hit.place, *hit.world.unbind(1)),
            self._material(hit.place, look, hit.uv, hit.footprint),
        )
        left = torch.ones_like(u)
        for n in range(3):
            left = torch.where(axis == n, left, left * self._crease(hit, n))
        lit = hit.light * left[:, None]
        return torch.where((look < GLOW)[:, None], seen * lit, seen) * color

    def _crease(self, hit: _Hits, axis: int) -> Tensor:
        low, high = self.bounds[hit.view, :, axis].unbind(1)
        return 0.7 + 0.3 * (torch.minimum(hit.point[:, axis] - low, high - hit.point[:, axis]) * (1 / 0.6)).clamp(0, 1)


def _covered(at: Tensor, half: Tensor, footprint: Tensor) -> Tensor:
    inside = torch.minimum(at + 0.5 * footprint, half) - torch.maximum(at - 0.5 * footprint, -half)
    return inside.clamp(min=0) / footprint


def _bits(masks: Tensor, count: int) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    """Each of `count` bits that is set somewhere, lowest first, and the indices (one tensor a dimension) where."""
    for k in range(count):
        found = ((masks >> k) & 1).nonzero(as_tuple=True)
        if len(found[0]):
            yield k, found


def _padded(lists: Sequence[np.ndarray]) -> np.ndarray:
    longest = max(map(len, lists))
    return np.stack([np.pad(rows, ((0, longest - len(rows)), (0, 0)), constant_values=-1) for rows in lists])
