"""The headset on the head: how it was put on, and how it slips while the wearer moves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from egorear.geometry.rotations import about, from_vector
from egorear.synth.body import BONES, Person

REST_FROM_DEVICE = np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]])
"""Device axes (x to the wearer's right, y backward, z down) in the body's rest axes (left, back, up)."""

FORWARD_M = (0.045, 0.075)  # the front cameras sit this far before the forehead (paper, Table 2: 5-7 cm)
TILT_STD = np.radians(4.0)  # of the headset on the head, about each axis
NOD = np.radians((-14.0, 4.0))  # range of the mounting's pitch; negative looks forward of straight down
SLIDE_STD_M = 0.006
SLIP_STD, SLIP_STD_M = np.radians(0.8), 0.002  # of one wave of the slow slip, about and along each axis
SLIP_PERIOD_S = (6.0, 40.0)
CAMERA_TURN_STD, CAMERA_SHIFT_STD_M = np.radians(0.4), 0.0015  # of a camera in its holder, from one take to another
HEAD = BONES.index("Head")


@dataclass(frozen=True)
class Mount:
    """How a headset sits on a head, at rest and slipping.

    rotation: device axes to rest axes; position: the device's origin in the rest pose, metres.
    turn, slide: amplitudes (radians, metres) of two waves a dimension; period (s), phase: of those waves.
    """

    rotation: Float64[np.ndarray, "3 3"]
    position: Float64[np.ndarray, "3"]
    turn: Float64[np.ndarray, "2 3"]
    slide: Float64[np.ndarray, "2 3"]
    period: Float64[np.ndarray, "2"]
    phase: Float64[np.ndarray, "2"]

    def worn(self, seconds: float) -> tuple[Float64[np.ndarray, "3 3"], Float64[np.ndarray, "3"]]:
        """Rotation and position after that time; the slip starts from zero."""
        wave = np.sin(2 * np.pi * seconds / self.period + self.phase) - np.sin(self.phase)
        return from_vector(wave @ self.turn) @ self.rotation, self.position + wave @ self.slide

    def at_rest(self, points: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """Device points (metres) in the rest frame of the wearer's body, before anything slips."""
        return (self.rotation * points[:, None]).sum(-1) + self.position

    def T_device_world(
        self,
        person: Person,
        head_rotation: Float[np.ndarray, "3 3"],
        head_position: Float[np.ndarray, "3"],
        seconds: float,
    ) -> Float64[np.ndarray, "4 4"]:
        """The device's pose (world points to device points) on a head that is turned against rest and at a place."""
        rotation, position = self.worn(seconds)
        turned = head_rotation.astype(np.float64)
        R = (turned @ rotation).T
        T = np.eye(4)
        T[:3, :3] = R
        T[:3, 3] = -R @ (head_position + turned @ (position - person.rest_joints[HEAD]))
        return T


def sample_mount(person_rng: np.random.Generator, rng: np.random.Generator, person: Person) -> Mount:
    """A headset put on by hand: before the forehead, slightly turned and shifted.

    person_rng: draws how this person wears it; rng: draws how it slips in one take.
    """
    nod, roll, yaw = person_rng.uniform(*NOD), person_rng.normal(0, TILT_STD), person_rng.normal(0, TILT_STD / 2)
    slide = person_rng.normal(0, SLIDE_STD_M, 3)
    before_forehead = np.array([0, -person_rng.uniform(*FORWARD_M), 0])
    left, back, up = np.eye(3)
    return Mount(
        rotation=about(left, nod) @ about(back, roll) @ about(up, yaw) @ REST_FROM_DEVICE,
        position=person.forehead.astype(np.float64) + before_forehead + slide,
        turn=rng.normal(0, SLIP_STD, (2, 3)),
        slide=rng.normal(0, SLIP_STD_M, (2, 3)),
        period=rng.uniform(*SLIP_PERIOD_S, 2),
        phase=rng.uniform(0, 2 * np.pi, 2),
    )


def shaken(rng: np.random.Generator, T_camera_device: Float64[np.ndarray, "V 4 4"]) -> Float64[np.ndarray, "V 4 4"]:
    """Extrinsics as they are after cameras moved a little in their holders (Ego4View-RW calibrates each sequence)."""
    T = T_camera_device.copy()
    turns = from_vector(rng.normal(0, CAMERA_TURN_STD, (len(T), 3)))
    T[:, :3] = turns @ T[:, :3]
    T[:, :3, 3] += rng.normal(0, CAMERA_SHIFT_STD_M, (len(T), 3))
    return T
