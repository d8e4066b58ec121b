"""Skirts, dresses, coats and robes in motion: cloth that hangs from a person's seams and falls over their limbs.

Clothes are skinned like the skin, which suits trousers but not skirts. Here the vertices with some `looseness` move as
cloth instead (constraints: `cloth_weave`, body: `cloth_colliders`, dynamics: `cloth_solver`), over a whole dense
motion, since cloth has a past.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Int, Int64

from egorear.errors import UserError
from egorear.synth.body import Person, pose_person
from egorear.synth.cloth_colliders import measure_colliders
from egorear.synth.cloth_solver import simulate
from egorear.synth.cloth_weave import weave_cloth

SUBSTEP_S = 0.003  # at most
SETTLING_S = 0.8
FPS = (1.0, 1000.0)


def cloth_vertices(person: Person) -> Int64[np.ndarray, "C"]:
    """The vertices that move as cloth."""
    return np.flatnonzero(person.looseness > 0)


def drape(
    person: Person,
    rotations: Float32[np.ndarray, "T B 3 3"],
    root: Float32[np.ndarray, "T 3"],
    fps: float,
    keep: Int[np.ndarray, "K"],
) -> Float32[np.ndarray, "K C 3"]:
    """World positions (metres) of the `cloth_vertices` at the frames `keep` of a motion (see `pose_person`).

    Where time begins, the cloth is at rest on the first pose and already goes along with it: no frame is lost on
    settling. The same arguments give the same bytes.

    Raises:
        UserError: no frames, a frame to keep that is none of them, or an fps that is no rate of a motion.
    """
    if len(rotations) != len(root) or not len(root):
        raise UserError(f"a motion has as many rotations as roots and at least one, not {len(rotations), len(root)}")
    if len(keep) and not 0 <= keep.min() <= keep.max() < len(root):
        raise UserError(f"frames to keep lie within the motion's {len(root)}, not {keep.min()} to {keep.max()}")
    if not FPS[0] <= fps <= FPS[1]:
        raise UserError(f"fps of a motion lies within {FPS[0]:g} to {FPS[1]:g}, not {fps}")
    frames, rows = np.unique(keep, return_inverse=True)
    out = np.empty((len(frames), len(cloth_vertices(person)), 3), np.float32)
    if out.size:
        colliders = measure_colliders(person)
        vertices, weave = weave_cloth(person, colliders)
        end = frames[-1] + 1
        skinned, joints = _skinned(person, vertices, rotations[:end], root[:end])
        body = colliders.posed(person.rest_joints, rotations[:end], joints)
        wanted = np.full(end, -1)
        wanted[frames] = np.arange(len(frames))
        substeps = 2 * int(np.ceil(1 / (fps * 2 * SUBSTEP_S) - 1e-9))
        simulate(weave, body, skinned, substeps, 1 / (fps * substeps), int(np.ceil(SETTLING_S * fps)), wanted, out)
    return out[rows]


def _skinned(
    person: Person,
    vertices: Int64[np.ndarray, "M"],
    rotations: Float32[np.ndarray, "T B 3 3"],
    root: Float32[np.ndarray, "T 3"],
) -> tuple[Float32[np.ndarray, "T M 3"], Float32[np.ndarray, "T B 3"]]:
    """Skinned places of some vertices, and the joints, in all frames."""
    part = replace(
        person,
        vertices=person.vertices[vertices],
        skin_bones=person.skin_bones[vertices],
        skin_weights=person.skin_weights[vertices],
        albedo=person.albedo[vertices],
        looseness=person.looseness[vertices],
    )
    posed = [pose_person(part, *frame) for frame in zip(rotations, root, strict=True)]
    return np.stack([places for places, _ in posed]), np.stack([joints for _, joints in posed])
