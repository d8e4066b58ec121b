"""One moment of one person in one place, seen from the headset: everything the renderer needs to know."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from egorear.synth.body import BONES, EGO4VIEW_BONES, Person, pose_person
from egorear.synth.environment import Place

REST_FROM_DEVICE = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]], np.float32)
"""Device axes (x to the wearer's right, y backward, z down) in the body's rest axes (left, back, up)."""

FORWARD_M = (0.045, 0.075)  # the front cameras sit this far before the forehead (paper, Table 2: 5-7 cm)
TILT_STD = np.radians(4.0)  # of the headset on the head, about each axis
NOD = np.radians((-14.0, 4.0))  # range of the mounting's pitch; negative looks forward of straight down
SLIDE_STD_M = 0.006


@dataclass(frozen=True)
class Mount:
    """How a headset sits on a head: the device frame in the rest frame of the head bone.

    rotation: device axes to rest axes; position: the device's origin in the rest pose, metres.
    """

    rotation: Float32[np.ndarray, "3 3"]
    position: Float32[np.ndarray, "3"]


@dataclass(frozen=True)
class Scene:
    """A posed person in a place. World axes: z up, floor at z = 0, metres."""

    person: Person
    place: Place
    vertices: Float32[np.ndarray, "N 3"]
    joints: Float32[np.ndarray, "16 3"]
    T_device_world: Float32[np.ndarray, "4 4"]


def sample_mount(rng: np.random.Generator, person: Person) -> Mount:
    """A headset put on by hand: before the forehead, slightly turned and shifted."""
    pitch, roll, yaw = rng.uniform(*NOD), rng.normal(0, TILT_STD), rng.normal(0, TILT_STD / 2)
    slide = rng.normal(0, SLIDE_STD_M, 3)
    before_forehead = np.array([0, -rng.uniform(*FORWARD_M), 0])
    turn = _rotation(0, pitch) @ _rotation(1, roll) @ _rotation(2, yaw)
    return Mount(
        (turn @ REST_FROM_DEVICE).astype(np.float32),
        (person.forehead + before_forehead + slide).astype(np.float32),
    )


def pose_scene(
    person: Person,
    place: Place,
    mount: Mount,
    rotations: Float32[np.ndarray, "B 3 3"],
    root: Float32[np.ndarray, "3"],
) -> Scene:
    """Poses the person (bone rotations against the rest pose, hips at `root` metres) and the headset with it."""
    vertices, joints = pose_person(person, rotations, root)
    head = BONES.index("Head")
    R_world_device = rotations[head] @ mount.rotation
    origin = joints[head] + rotations[head] @ (mount.position - person.rest_joints[head])
    T = np.eye(4, dtype=np.float32)
    T[:3, :3] = R_world_device.T
    T[:3, 3] = -R_world_device.T @ origin
    return Scene(person, place, vertices, joints[EGO4VIEW_BONES], T)


def _rotation(axis: int, angle: float) -> np.ndarray:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = np.eye(3)
    R[i, i] = R[j, j] = np.cos(angle)
    R[i, j], R[j, i] = -np.sin(angle), np.sin(angle)
    return R
