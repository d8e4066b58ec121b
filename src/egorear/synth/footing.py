"""Puts a person's own surface on the floor: motions know the reference figure's bones, not flesh, soles and heels."""

import numpy as np
from jaxtyping import Float32, Float64

from egorear.synth.body import Person, pose_person
from egorear.synth.garments import Part
from egorear.synth.mount import HEAD

EVERY = 3  # frames between those looked at
CAMERA_M = 0.02  # a camera stays so high over the floor, whoever lies on it
PRESSED_M = 0.012  # flesh and soles give way as much under a body's weight
YIELDING = (Part.HAIR, Part.HOOD, Part.GLASSES)  # pressed flat without lifting the head


def footed(
    person: Person,
    rotations: Float32[np.ndarray, "T B 3 3"],
    root: Float32[np.ndarray, "T 3"],
    cameras: Float64[np.ndarray, "C 3"] | None = None,
) -> Float32[np.ndarray, "T 3"]:
    """Hips (metres) raised where the body would sink into the floor z = 0, smoothly, and lowered by one height if it
    never touches it. Loose cloth and hair do not count; what little stays below is for `pressed`.

    cameras: on the head, in the body's rest frame (metres); they stay above the floor too.
    """
    carried = np.zeros((0, 3)) if cameras is None else cameras - person.rest_joints[HEAD]
    firm = np.zeros(len(person.vertices), bool)
    firm[person.triangles[~np.isin(person.part, YIELDING)]] = True
    firm &= person.looseness == 0
    looked = np.unique(np.append(np.arange(0, len(root), EVERY), len(root) - 1))
    low = np.empty(len(looked))
    for k, t in enumerate(looked):
        vertices, joints = pose_person(person, rotations[t], root[t])
        heights = joints[HEAD, 2] + (carried * rotations[t, HEAD, 2]).sum(1)
        low[k] = min(vertices[firm, 2].min(), (heights - CAMERA_M - PRESSED_M).min(initial=np.inf))
    sunk = np.maximum(-PRESSED_M - low, 0)
    most = np.lib.stride_tricks.sliding_window_view(np.pad(sunk, 2, mode="edge"), 3).max(-1)
    lift = (most[:-2] + most[1:-1] + most[2:]) / 3  # nowhere less than what it lifts
    lift -= max((low + lift).min(), 0.0)
    height = root[:, 2] + np.interp(np.arange(len(root)), looked, lift)
    return np.concatenate([root[:, :2], height[:, None].astype(np.float32)], 1)


def pressed(vertices: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
    """Vertices (metres) with those under the floor flat on it."""
    return np.maximum(vertices, np.array([-np.inf, -np.inf, 0], np.float32))
