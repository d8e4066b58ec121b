"""Where a scene takes place: its light and everything seen behind the person.

World axes: z up, metres, the floor is the plane z = 0 and the person stands near the origin.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from egorear.errors import UserError
from egorear.synth import clutter, exposure, floors, furniture, rooms, skies
from egorear.synth.backdrop import Backdrop, cast
from egorear.synth.ground import add_sunbeams, floor_shares
from egorear.synth.shadows import FloorLight

ROOM_SHARE = 0.5
NIGHT_SHARE = 0.15  # of the rooms: only lamps give light
BEAM_SHARE = 0.35  # of the rooms by day: the sun shines in
CAPTURED_GROUND_SHARE = 0.25  # of the open places: no pattern, only the captured map's own ground
FACES = np.repeat(np.eye(3), 2, 0) * np.tile(np.array([-1.0, 1.0]), 3)[:, None]  # normals -x, +x, -y, +y, -z, +z
NOSE_M = np.array([0.3, 0.3, 0.1], np.float32)  # of air between the camera and the walls of a widened room
OPEN = rooms.Room(np.zeros((2, 3), np.float32), rooms.NO_PANELS)


@dataclass(frozen=True)
class Place:
    """Light and background of one scene, in linear RGB before exposure: show  sRGB(clip(color * exposure)).

    Floor, room, furniture and patches live in a frame turned by `yaw` about z against the world; the sky map is
    aligned with the world.
    """

    name: str
    sky: Float32[np.ndarray, "H W 3"]
    light: skies.Light
    exposure: float
    yaw: float
    reach: float  # metres around the origin that are the person's
    surfaces: tuple[floors.Surface, ...]  # in the order FLOOR, WALL, WOOD, SOFT, PRINT
    fade: tuple[float, float]  # distances from the origin between which the captured ground takes over
    capture_height: float
    room: rooms.Room | None
    pool: Float32[np.ndarray, "5"]  # a room's lamp: position, share of the light, 1 / (half distance)²
    beam: Float32[np.ndarray, "3"]  # of the sun through a room's windows, as `ground.add_sunbeams` takes it
    furniture: furniture.Furniture
    patches: clutter.Patches

    @property
    def sun_direction(self) -> Float32[np.ndarray, "3"]:
        """Unit vector towards the directional light: the sun, or a room's lamp."""
        return self.light.sun_direction

    @property
    def sun_color(self) -> Float32[np.ndarray, "3"]:
        """What a white surface that faces the sun shows of it: irradiance / π."""
        return self.light.sun_color

    def ambient(self, normals: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        """What white surfaces with these unit normals show of all light but the sun's: irradiance / π."""
        return self.light.ambient(normals)

    def background(
        self,
        rays_camera: Float32[np.ndarray, "N 3"],
        R_world_camera: Float32[np.ndarray, "3 3"],
        origin: Float32[np.ndarray, "3"],
        floor_light: FloorLight,
        pixel_angle: float = 0.012,
    ) -> tuple[Float32[np.ndarray, "N 3"], Float32[np.ndarray, "N"]]:
        """Colour of the place along unit rays of a camera, and metres along them to what is hit (inf: the sky).

        Args:
            rays_camera: unit directions in camera axes, contiguous.
            R_world_camera: rotation from camera to world axes.
            origin: common start of the rays in the world; a room that it has left is widened to hold it.
            floor_light: shares of sun and ambient light that the person leaves on the floor.
            pixel_angle: radians between neighbouring pixels; patterns finer than that are shown by their mean.
        """
        color, distance = np.empty_like(rays_camera), np.empty(len(rays_camera), np.float32)
        x, y = origin[:2].astype(np.float64) @ self.turn
        start = np.array([x, y, origin[2]], np.float32)
        low, high = (self.room or OPEN).bounds
        bounds = np.stack([np.minimum(low, start - NOSE_M), np.maximum(high, start + NOSE_M)])
        square = np.array([*floor_light.centre, floor_light.half_width], np.float32)
        R = np.ascontiguousarray(R_world_camera)
        width = np.float32(pixel_angle)
        cast(rays_camera, R, start, bounds, self._backdrop, floor_light.texture, square, width, color, distance)
        return color, distance

    @cached_property
    def turn(self) -> np.ndarray:
        """Columns are the place's x and y axes in the world."""
        return np.array([[np.cos(self.yaw), -np.sin(self.yaw)], [np.sin(self.yaw), np.cos(self.yaw)]])

    @cached_property
    def _backdrop(self) -> Backdrop:
        light, sun_share = self.face_light
        room = self.room or OPEN
        return Backdrop(
            cosine=np.float32(self.turn[0, 0]),
            sine=np.float32(self.turn[1, 0]),
            sky=self.sky,
            pyramids=np.concatenate([surface.pyramid for surface in self.surfaces]),
            tiles=np.array([1 / surface.metres for surface in self.surfaces], np.float32),
            grain=floors.grain(),
            contrast=np.float32(self.surfaces[floors.FLOOR].grain),
            light=light,
            sun_share=sun_share,
            pool=self.pool,
            fade=np.array(self.fade, np.float32),
            capture_height=np.float32(self.capture_height),
            indoors=self.room is not None,
            panels=room.panels,
            starts=np.searchsorted(room.panels[:, 0], np.arange(rooms.WALLS + 1)),
            boxes=self.furniture.boxes,
            looks=self.furniture.looks,
            patches=self.patches.rows,
            cells=self.patches.cells,
            ground=self.ground,
        )

    @cached_property
    def face_light(self) -> tuple[np.ndarray, np.ndarray]:
        """What white faces show, and the sun's share of it on the floor."""
        normals = FACES.copy()
        normals[:, :2] = FACES[:, :2] @ self.turn.T
        faces = self.light.shade(normals.astype(np.float32))
        overhead = np.maximum(self.light.sun_direction[2], np.float32(0)) * self.light.sun_color
        return faces, (overhead / faces[5]).astype(np.float32)

    @cached_property
    def ground(self) -> np.ndarray:
        sun = self.light.sun_direction.astype(np.float64)
        sun[:2] = sun[:2] @ self.turn
        shares = floor_shares(self.furniture.boxes, sun.astype(np.float32), self.reach)
        if self.room is not None and self.beam[2] > 0:
            add_sunbeams(shares, self.room.windows, self.room.bounds, self.beam, self.reach)
        return shares


def sample_place(rng: np.random.Generator, split: str, reach: float = 1.2) -> Place:
    """A random place. The captured maps and photographs of the splits are disjoint.

    reach: metres around the origin that the person will use. Walls stay a metre and furniture just outside it.

    Raises:
        UserError: `split` is not "train", "validation" or "test".
    """
    if split not in skies.SKIES:
        raise UserError(f"split is {split!r}, expected one of {', '.join(skies.SKIES)}")
    # the split goes into the seed: equal seeds must not furnish equal rooms in two splits
    rng = np.random.default_rng([int(rng.integers(2**62)), list(skies.SKIES).index(split)])
    name = str(rng.choice(skies.SKIES[split]))
    sky, radiance = _placed(rng, *skies.load_sky(name))
    light, yaw = skies.split_light(radiance), float(rng.uniform(-np.pi, np.pi))
    # cameras balance white: of the hue that the floor shows, only a part is left
    white = light.shade(FACES[5:].astype(np.float32))[0].astype(np.float64)
    balance = (white.mean() / white) ** rng.uniform(0.4, 0.9)
    sky, light = sky * balance.astype(np.float32), light.tinted(balance)
    indoors = rng.random() < ROOM_SHARE
    night = indoors and rng.random() < NIGHT_SHARE
    room = rooms.sample_room(rng, reach, night) if indoors else None
    ground = "house" if indoors or name in skies.HALLS else ("town" if name in skies.TOWNS else "country")
    pool = np.zeros(5)
    if room is not None:
        lamp, hue = room.lamp()
        pool = np.array([*lamp, rng.uniform(0.2, 0.8), 1 / rng.uniform(1.0, 3.0) ** 2])
        light = light.under_roof(0.4, _key(lamp, yaw), float(rng.uniform(0.2, 1.2)), hue if night else np.ones(3))
    beam = np.zeros(3, np.float32)
    if room is not None and not night and rng.random() < BEAM_SHARE:
        beam = rooms.sample_beam(rng, room)
    amount = rng.random()
    fade = _fade(rng, indoors, name)
    place = Place(
        name=name,
        sky=sky,
        light=light,
        exposure=1.0,
        yaw=yaw,
        reach=reach,
        surfaces=_surfaces(rng, split, ground),
        fade=fade,
        capture_height=float(rng.uniform(1.4, 1.8)),
        room=room,
        pool=pool.astype(np.float32),
        beam=beam,
        furniture=furniture.furnish(
            rng, None if room is None else room.bounds, reach,
            large=int(rng.integers(0, 14)), small=int(rng.poisson(4 * amount)), ground=ground,
        ),
        patches=clutter.scatter(rng, ground, amount),
    )  # fmt: skip
    if not indoors:
        place = _blended(rng, place)
    chosen = replace(place, exposure=exposure.sample_exposure(rng, place.background, night))
    # these cost a third of the place and do not depend on the exposure
    vars(chosen).update(_backdrop=place._backdrop, ground=place.ground)
    return chosen


def _surfaces(rng: np.random.Generator, split: str, ground: str) -> tuple[floors.Surface, ...]:
    wood = str(rng.choice(["planks", "paint", "noise"]))
    return (
        floors.floor(rng, split, ground),
        floors.wall(rng, split, ground),
        floors.finish(wood, rng, split),
        floors.finish("fabric" if ground == "house" else "leaves", rng, split),
        floors.finish("print", rng, split),
    )


def _key(lamp: np.ndarray, yaw: float) -> np.ndarray:
    """World direction from a person's chest at the origin to a lamp in the place's frame; never from below."""
    x, y, z = lamp - [0, 0, 0.8]
    return np.array([np.cos(yaw) * x - np.sin(yaw) * y, np.sin(yaw) * x + np.cos(yaw) * y, max(z, 0.5)])


def _blended(rng: np.random.Generator, place: Place) -> Place:
    """The place with its floor brought near the colour of the captured ground into which it fades."""
    weight = rng.uniform(0.3, 1.0)
    floor = place.surfaces[floors.FLOOR]
    if floor.kind == "snow" and place.fade[0] > 0:
        return replace(place, fade=(15.0, 60.0))  # an island of snow would be odd
    if place.fade[0] < 0:
        return place
    height = len(place.sky)
    below = np.arctan2(place.capture_height, place.fade[0]) / np.pi + 0.5  # share of the map's rows
    ring = place.sky[int(below * height)].astype(np.float64).mean(0)
    albedo = ring / place.light.shade(FACES[5:].astype(np.float32))[0]
    own = floor.pyramid[-1].astype(np.float64)
    new = np.exp((1 - weight) * np.log(own) + weight * np.log(np.maximum(albedo, 0.02)))
    return replace(place, surfaces=(floors.matched(floor, new), *place.surfaces[1:]))


def _fade(rng: np.random.Generator, indoors: bool, name: str) -> tuple[float, float]:
    if indoors:
        return 1e6, 2e6
    if rng.random() < CAPTURED_GROUND_SHARE and name not in skies.NO_GROUND:
        return -2.0, -1.0
    near = float(rng.uniform(2.5, 8))
    return near, near * float(rng.uniform(1.3, 3))


def _placed(rng: np.random.Generator, sky: np.ndarray, radiance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both maps turned about z, mirrored and tinted alike."""
    steps = int(rng.integers(radiance.shape[1]))
    mirror = int(rng.choice([-1, 1]))
    tint = np.exp(0.06 * rng.normal(size=3)).astype(np.float32)
    factor = sky.shape[1] // radiance.shape[1]
    turned = np.roll(sky, steps * factor, 1)[:, ::mirror], np.roll(radiance, steps, 1)[:, ::mirror]
    return np.ascontiguousarray(turned[0] * tint), np.ascontiguousarray(turned[1] * tint)
