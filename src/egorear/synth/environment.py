"""Where a scene takes place: its light and everything seen behind the person.

World axes: z up, metres, the floor is the plane z = 0 and the person stands near the origin.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from egorear.errors import UserError
from egorear.synth import floors, rooms, skies
from egorear.synth.backdrop import cast

ROOM_SHARE = 0.5
CAPTURED_GROUND_SHARE = 0.35  # of the open places: no pattern, only the captured map's own ground
MID_GREY = 0.22  # linear value that a surface of albedo 0.35 comes out at, at the median exposure
FACES = np.repeat(np.eye(3, dtype=np.float32), 2, 0) * np.tile(np.array([-1, 1], np.float32), 3)[:, None]
NO_SHADOWS = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Place:
    """Light and background of one scene, in linear RGB before exposure: show  sRGB(clip(color * exposure)).

    Floor, room and furniture live in a frame turned by `yaw` about z against the world; the sky map is
    aligned with the world.
    """

    name: str
    sky: Float32[np.ndarray, "H W 3"]
    light: skies.Light
    exposure: float
    yaw: float
    floor: floors.Surface
    wall: floors.Surface
    veneer: floors.Surface  # on furniture, multiplied by its colours
    fade: tuple[float, float]  # distances from the origin between which the captured ground takes over
    capture_height: float
    room: rooms.Room | None
    furniture: rooms.Furniture

    @property
    def sun_direction(self) -> Float32[np.ndarray, "3"]:
        """Unit vector towards the directional light."""
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
        rays: Float32[np.ndarray, "N 3"],
        origin: Float32[np.ndarray, "3"],
        shadows: Float32[np.ndarray, "S 4"] = NO_SHADOWS,
        pixel_angle: float = 0.012,
    ) -> Float32[np.ndarray, "N 3"]:
        """Colour of the place along unit world rays from one point.

        Args:
            rays: unit directions, contiguous.
            origin: common start of the rays, inside the room if there is one.
            shadows: soft dark discs on the floor, (x, y, radius, strength 0…1).
            pixel_angle: radians between neighbouring pixels; patterns finer than that are shown by their mean.
        """
        room = self.room or rooms.Room(np.zeros((2, 3), np.float32), np.zeros((0, 9), np.float32))
        out = np.empty_like(rays)
        turn = np.array([[np.cos(self.yaw), -np.sin(self.yaw)], [np.sin(self.yaw), np.cos(self.yaw)]], np.float32)
        shadows = np.concatenate([shadows[:, :2] @ turn, shadows[:, 2:]], 1)
        cast(
            rays, np.append(origin[:2] @ turn, origin[2]), turn[0, 0], turn[1, 0], self.sky, *self._surfaces,
            self._face_light, np.array(self.fade, np.float32), np.float32(self.capture_height),
            self.room is not None, room.bounds, room.panels, self.furniture.boxes, self.furniture.colors,
            shadows, np.float32(pixel_angle), out,
        )  # fmt: skip
        return out

    @cached_property
    def _surfaces(self) -> tuple[np.ndarray, np.ndarray]:
        stack = (self.floor, self.wall, self.veneer)
        return np.stack([s.pyramid for s in stack]), np.array([s.metres for s in stack], np.float32)

    @cached_property
    def _face_light(self) -> np.ndarray:
        cosine, sine = np.cos(self.yaw), np.sin(self.yaw)
        turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]], np.float32)
        return self.light.shade(FACES @ turn)


def sample_place(rng: np.random.Generator, split: str) -> Place:
    """A random place. The captured maps and photographs of the splits are disjoint.

    Raises:
        UserError: `split` is not "train", "validation" or "test".
    """
    if split not in skies.SKIES:
        raise UserError(f"split is {split!r}, expected one of {', '.join(skies.SKIES)}")
    # the split goes into the seed: equal seeds must not furnish equal rooms in two splits
    rng = np.random.default_rng([int(rng.integers(2**62)), list(skies.SKIES).index(split)])
    name = str(rng.choice(skies.SKIES[split]))
    sky, radiance = _placed(rng, *skies.load_sky(name))
    light = skies.split_light(radiance)
    indoors = rng.random() < ROOM_SHARE
    room = rooms.sample_room(rng) if indoors else None
    if indoors:
        light = light.softened(0.6)  # walls send light back from everywhere
        fade = (1e6, 2e6)
    elif rng.random() < CAPTURED_GROUND_SHARE:
        fade = (-2.0, -1.0)
    else:
        near = rng.uniform(1.5, 6)
        fade = (near, near * rng.uniform(1.3, 3))
    faces = light.shade(FACES)
    typical = 0.35 * float(faces.mean() + faces[5].mean()) / 2  # the floor fills half of the pictures
    return Place(
        name=name,
        sky=sky,
        light=light,
        exposure=float(MID_GREY * np.exp(0.35 * rng.normal()) / typical),
        yaw=rng.uniform(-np.pi, np.pi),
        floor=floors.floor(rng, split, outdoors=not indoors),
        wall=floors.wall(rng, split),
        veneer=floors.veneer(rng, split),
        fade=fade,
        capture_height=rng.uniform(1.4, 1.8),
        room=room,
        furniture=rooms.sample_furniture(rng, room, int(rng.integers(0, 7 if indoors else 4))),
    )


def _placed(rng: np.random.Generator, sky: np.ndarray, radiance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both maps turned about z, mirrored and tinted alike."""
    steps = int(rng.integers(radiance.shape[1]))
    mirror = int(rng.choice([-1, 1]))
    tint = np.exp(0.06 * rng.normal(size=3)).astype(np.float32)
    factor = sky.shape[1] // radiance.shape[1]
    turned = np.roll(sky, steps * factor, 1)[:, ::mirror], np.roll(radiance, steps, 1)[:, ::mirror]
    return np.ascontiguousarray(turned[0] * tint), np.ascontiguousarray(turned[1] * tint)
