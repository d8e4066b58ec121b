"""All of one take: who moves how, in what clothes, wearing which headset, where, and who else is there.

A take follows from (seed, split, number) alone; the random numbers of the person, the take and each frame come from
streams of their own, so that frames can be made in any order and a person keeps looks over several takes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from egorear.datasets.truth import BodyTruth
from egorear.datasets.writer import SPLITS
from egorear.geometry.rotations import to_quaternion
from egorear.synth.body import EGO4VIEW_BONES, Person, pose_person, sample_person
from egorear.synth.clips import FPS
from egorear.synth.cloth import cloth_vertices, drape
from egorear.synth.environment import Place, sample_place
from egorear.synth.footing import footed, pressed
from egorear.synth.garments import Part
from egorear.synth.headset import HeadsetMesh, build_headset, head_points
from egorear.synth.job import Recipe, Take
from egorear.synth.motion import Motion, MotionLibrary
from egorear.synth.mount import HEAD, sample_mount, shaken
from egorear.synth.scene import NOBODY, Mesh, Scene
from egorear.synth.sensor import sample_sensor
from egorear.synth.shadows import body_spheres

ARM_REACH_M = 1.0  # around the hips
HARD_HANGING_SHARE = 0.5  # of the people of the hard mix: in skirts, dresses, coats and robes
STRANGERS_SHARE = 0.25  # of the takes with other people in view
STRANGER_GAP_M = (0.4, 3.0)  # between the wearer's reach and a stranger


class Performance:
    """One take; `scene(i)` is its i-th picture.

    person, mount, place, sensor: as their modules say. motion: at `rate`, about 30 frames a second, of which every
    `stride`-th is pictured: cloth has to be followed in between. T_camera_device: where the cameras really are.
    """

    def __init__(self, recipe: Recipe, take: Take, library: MotionLibrary) -> None:
        split = SPLITS.index(take.split)
        person_rng = np.random.default_rng((recipe.seed, split, 0, take.person))
        rng = np.random.default_rng((recipe.seed, split, 1, take.number))
        dense = (recipe.take_frames - 1) * recipe.stride + 1
        self.stride, self.rate = recipe.stride, recipe.motion_fps
        hanging = take.mix == "hard" and person_rng.random() < HARD_HANGING_SHARE
        self.person = sample_person(person_rng, recipe.children, hanging)
        self.mount = sample_mount(person_rng, rng, self.person)
        self.motion = library.sample(rng, take.split, dense, FPS / self.rate, take.mix)
        root = (self.motion.root.astype(np.float64) * self.person.leg_length).astype(np.float32)
        cameras = np.linalg.inv(recipe.rig.T_camera_device.double().numpy())[:, :3, 3]
        self.root = footed(self.person, self.motion.rotations, root, self.mount.at_rest(cameras))
        reach = float(np.linalg.norm(self.root[:, :2].astype(np.float64), axis=1).max()) + ARM_REACH_M
        self.place = sample_place(rng, take.split, reach)
        self.sensor = sample_sensor(rng, len(recipe.rig.views))
        self.T_camera_device = recipe.rig.T_camera_device.double().numpy()
        if recipe.shaken:
            self.T_camera_device = shaken(rng, self.T_camera_device)
        self.headset = build_headset(rng, recipe.rig, head_points(self.person, self.mount))
        self.strangers = _sample_strangers(rng, take.split, self.place, reach, library, recipe)
        self._loose = cloth_vertices(self.person)
        pictured = np.arange(recipe.take_frames) * self.stride
        self._draped = drape(self.person, self.motion.rotations, self.root, self.rate, pictured)
        self.mesh = Mesh.joined([_wearer_mesh(self.person), _headset_mesh(self.headset), *map(_mesh, self.strangers)])

    def seconds(self, i: int) -> float:
        """Time of the i-th picture since the first."""
        return i * self.stride / self.rate

    def action(self, i: int) -> str:
        """What the wearer does in the i-th picture."""
        return self.motion.actions[i * self.stride]

    def scene(self, i: int) -> Scene:
        """The i-th picture's scene."""
        now = i * self.stride
        vertices, skeleton = pose_person(self.person, self.motion.rotations[now], self.root[now])
        vertices[self._loose] = self._draped[i]
        T_device_world = self._T_device_world(now, skeleton)
        headset = (self.headset.vertices - T_device_world[:3, 3]) @ T_device_world[:3, :3]
        others = [stranger.pose(i) for stranger in self.strangers]
        spheres = body_spheres(skeleton, self.person.limb_radius)
        return Scene(
            mesh=self.mesh,
            place=self.place,
            vertices=np.concatenate([pressed(vertices), headset.astype(np.float32), *(v for v, _ in others)]),
            joints=skeleton[EGO4VIEW_BONES],
            limb_radius=self.person.limb_radius,
            spheres=np.concatenate([spheres, *(s for _, s in others)]),
            T_device_world=T_device_world,
            T_camera_device=self.T_camera_device,
            turn_rate=self._turn_rate(now, T_device_world),
        )

    def body(self, i: int) -> BodyTruth:
        """The wearer's bones in the i-th picture, and the shape."""
        now = i * self.stride
        bones = to_quaternion(self.motion.rotations[now].astype(np.float64))
        return BodyTruth(bones, self.root[now].astype(np.float64), self.person.shape.astype(np.float64))

    def _T_device_world(self, now: int, skeleton: Float32[np.ndarray, "B 3"]) -> Float64[np.ndarray, "4 4"]:
        head = self.motion.rotations[now, HEAD]
        return self.mount.T_device_world(self.person, head, skeleton[HEAD], now / self.rate)

    def _turn_rate(self, now: int, T_device_world: Float64[np.ndarray, "4 4"]) -> Float64[np.ndarray, "3"]:
        """Angular velocity in device axes, from the head's turn to the neighbouring moment."""
        if len(self.motion.rotations) == 1:
            return np.zeros(3)
        after = min(now + 1, len(self.motion.rotations) - 1)
        turn = self.motion.rotations[after, HEAD].astype(np.float64) @ self.motion.rotations[after - 1, HEAD].T
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        return T_device_world[:3, :3] @ (axis * (self.rate / 2))  # sin(angle) is the angle over a 30th of a second


@dataclass(frozen=True)
class Stranger:
    """Another person in view. root: their hips in the world in each picture (m)."""

    person: Person
    motion: Motion
    root: Float32[np.ndarray, "T 3"]

    def pose(self, i: int) -> tuple[Float32[np.ndarray, "N 3"], Float32[np.ndarray, "S 4"]]:
        """World vertices in the i-th picture, and spheres along the bones."""
        vertices, joints = pose_person(self.person, self.motion.rotations[i], self.root[i])
        return pressed(vertices), body_spheres(joints, self.person.limb_radius)


def _sample_strangers(
    rng: np.random.Generator, split: str, place: Place, reach: float, library: MotionLibrary, recipe: Recipe
) -> list[Stranger]:
    """Up to three others around the wearer, out of reach, where the room and its furniture leave space."""
    strangers, taken = [], []
    if rng.random() >= STRANGERS_SHARE:
        return strangers
    for _ in range(rng.integers(1, 4)):
        person = sample_person(rng)
        motion = library.sample(rng, split, recipe.take_frames, FPS / recipe.fps)
        room = float(np.linalg.norm(motion.root[:, :2], axis=1).max()) * person.leg_length + ARM_REACH_M
        distance, angle = reach + room + rng.uniform(*STRANGER_GAP_M), rng.uniform(-np.pi, np.pi)
        spot = distance * np.array([np.cos(angle), np.sin(angle)])
        if _is_free(place, spot, room) and all(np.linalg.norm(spot - other) > room + space for other, space in taken):
            root = footed(person, motion.rotations, motion.root * np.float32(person.leg_length))
            strangers.append(Stranger(person, motion, root + np.array([*spot, 0], np.float32)))
            taken.append((spot, room))
    return strangers


def _is_free(place: Place, spot: Float64[np.ndarray, "2"], radius: float) -> bool:
    """Whether a circle on the floor lies in the room and clear of its furniture."""
    cosine, sine = np.cos(place.yaw), np.sin(place.yaw)
    x, y = np.array([[cosine, sine], [-sine, cosine]]) @ spot
    centre = np.array([x, y])
    if place.room is not None:
        low, high = place.room.bounds[:, :2].astype(np.float64)
        if (centre - radius < low).any() or (centre + radius > high).any():
            return False
    boxes = place.furniture.boxes.astype(np.float64)
    nearest = np.clip(centre, boxes[:, :2], boxes[:, 3:5])
    return bool((np.linalg.norm(nearest - centre, axis=1) > radius).all())


def _wearer_mesh(person: Person) -> Mesh:
    return Mesh(person.triangles, person.albedo, person.part, person.limb, person.loose)


def _headset_mesh(headset: HeadsetMesh) -> Mesh:
    return _foreign(headset.triangles, headset.albedo, Part.HEADSET)


def _mesh(stranger: Stranger) -> Mesh:
    return _foreign(stranger.person.triangles, stranger.person.albedo, Part.STRANGER)


def _foreign(triangles, albedo, part: Part) -> Mesh:
    """Triangles that are not the wearer's."""
    count = len(triangles)
    return Mesh(
        triangles, albedo, np.full(count, part, np.uint8), np.full(count, NOBODY, np.uint8), np.zeros(count, bool)
    )
