"""People: a random dressed person at rest, and that person in any pose.

Shapes come from a PCA of the CC0 body model Anny (see `scripts/bake_body.py`, ASSETS.md). A person is one mesh of skin,
clothes and hair, skinned to a 52-bone Mixamo rig that holds the sixteen joints of Ego4View by their names.
Axes at rest: z up, the person faces -y, their left is +x. Metres throughout.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from numba import njit

from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth import appearance, garments

ASSET = resources.files("egorear.synth") / "assets" / "body.npz"
INDIVIDUALITY = 0.35  # share of noise in a person's shape; the rest is one of the baked adults
SHAPE_LIMIT = 2.5  # standard deviations
FOREHEAD_ABOVE_HEAD_M = 0.135  # over the Head joint (top of the neck), on the mean body
HEADBAND_M = (0.02, 0.02)  # half width and half height of the patch in which forehead and back of the head are sought


@dataclass(frozen=True)
class BodyModel:
    """What all people share. The N vertices are those of four meshes, one after the other: body, tights, skirt, hair.

    meshes: their triangles; wear: see `garments.Cut`; shapes: mean, unit-variance components and the coefficients
    of the baked adults, over vertices then joints; limb_radius: see `Person`, on the mean body.
    """

    bones: tuple[str, ...]
    parents: Int32[np.ndarray, "B"]
    meshes: dict[str, Int32[np.ndarray, "_ 3"]]
    wear: Float32[np.ndarray, "N 4"]
    skin_bones: Int32[np.ndarray, "N 4"]
    skin_weights: Float32[np.ndarray, "N 4"]
    shape_mean: Float32[np.ndarray, "NB 3"]
    shape_components: Float32[np.ndarray, "C NB3"]
    shape_samples: Float32[np.ndarray, "S C"]
    limb_radius: Float32[np.ndarray, "16"]


@dataclass(frozen=True)
class Person:
    """A dressed person in the rest pose (arms 45° down), metres; hold it and pose it often.

    skin_bones, skin_weights: the four bones that move each vertex; weights sum to 1.
    albedo: linear RGB; part: `garments.Part` of each triangle; triangles wind outward.
    limb_radius: depth of each Ego4View joint under the surface, clothes included.
    forehead, back_of_head: the points of skin or hair a headset rests on; crown: the highest point of the head.
    leg_length: height of the hips joint over the soles, the unit in which motions give the root.
    """

    vertices: Float32[np.ndarray, "N 3"]
    triangles: Int32[np.ndarray, "F 3"]
    skin_bones: Int32[np.ndarray, "N 4"]
    skin_weights: Float32[np.ndarray, "N 4"]
    rest_joints: Float32[np.ndarray, "B 3"]
    albedo: Float32[np.ndarray, "N 3"]
    part: UInt8[np.ndarray, "F"]
    limb_radius: Float32[np.ndarray, "16"]
    forehead: Float32[np.ndarray, "3"]
    back_of_head: Float32[np.ndarray, "3"]
    crown: Float32[np.ndarray, "3"]
    leg_length: float


@cache
def body_model() -> BodyModel:
    """The baked asset, read once a process."""
    with resources.as_file(ASSET) as path, np.load(path) as asset:
        weights = asset["skin_weights"].astype(np.float32)
        return BodyModel(
            bones=tuple(asset["bones"].tolist()),
            parents=asset["parents"],
            meshes={name: asset[f"{name}_triangles"].astype(np.int32) for name in garments.MESHES},
            wear=asset["wear"].astype(np.float32),
            skin_bones=asset["skin_bones"].astype(np.int32),
            skin_weights=weights / weights.sum(1, keepdims=True),
            shape_mean=asset["shape_mean"],
            shape_components=asset["shape_components"].astype(np.float32).reshape(len(asset["shape_components"]), -1),
            shape_samples=asset["shape_samples"].astype(np.float32),
            limb_radius=asset["limb_radius"],
        )


BONES: tuple[str, ...] = body_model().bones
PARENTS: Int32[np.ndarray, "B"] = body_model().parents
EGO4VIEW_BONES: Int32[np.ndarray, "16"] = np.array([BONES.index(name) for name in EGO4VIEW.names], np.int32)


def sample_person(rng: np.random.Generator) -> Person:
    """A random adult in random clothes; the same generator state gives the same person."""
    model = body_model()
    shape, joints = _sample_shape(rng, model)
    outfit = garments.sample_outfit(rng)
    dressed = garments.dress(rng, outfit, shape, model.meshes, model.wear)
    vertices, source = dressed.vertices, dressed.source
    on_head = (model.skin_weights[source] * (model.skin_bones[source] == BONES.index("Head"))).sum(1) > 0.5
    forehead, back, crown = _head_points(vertices[on_head], joints)
    size = _height(joints) / _height(model.shape_mean[len(shape) :])
    return Person(
        vertices=vertices,
        triangles=dressed.triangles,
        skin_bones=model.skin_bones[source],
        skin_weights=model.skin_weights[source],
        rest_joints=joints,
        albedo=appearance.paint(rng, outfit, dressed, model.wear[source]),
        part=dressed.part,
        limb_radius=(model.limb_radius * size + garments.JOINT_COVER_M).astype(np.float32),
        forehead=forehead,
        back_of_head=back,
        crown=crown,
        leg_length=float(joints[0, 2] - vertices[:, 2].min()),
    )


def pose_person(
    person: Person, rotations: Float32[np.ndarray, "B 3 3"], root: Float32[np.ndarray, "3"]
) -> tuple[Float32[np.ndarray, "N 3"], Float32[np.ndarray, "B 3"]]:
    """World vertices and joints (metres) by forward kinematics and linear blend skinning.

    rotations: of each bone in the world, relative to the rest pose (identity: at rest). root: where the hips are.
    """
    joints = np.empty_like(person.rest_joints)
    vertices = np.empty_like(person.vertices)
    _skin(
        person.vertices, person.skin_bones, person.skin_weights, person.rest_joints, PARENTS, rotations, root,
        vertices, joints,
    )  # fmt: skip
    return vertices, joints


@njit(cache=True, fastmath=True)
@no_type_check  # numba compiles the plain function, not the tests\' checking wrapper
def _skin(rest, skin_bones, skin_weights, rest_joints, parents, rotations, root, vertices, joints):
    transforms = np.empty((len(parents), 3, 4), np.float32)
    for b in range(len(parents)):
        parent = parents[b]
        for i in range(3):
            if parent < 0:
                joints[b, i] = root[i]
            else:
                joints[b, i] = joints[parent, i]
                for k in range(3):
                    joints[b, i] += rotations[parent, i, k] * (rest_joints[b, k] - rest_joints[parent, k])
            transforms[b, i, 3] = joints[b, i]
            for k in range(3):
                transforms[b, i, k] = rotations[b, i, k]
                transforms[b, i, 3] -= rotations[b, i, k] * rest_joints[b, k]
    for n in range(len(rest)):
        x, y, z = rest[n]
        for i in range(3):
            total = np.float32(0)
            for w in range(4):
                row = transforms[skin_bones[n, w], i]
                total += skin_weights[n, w] * (row[0] * x + row[1] * y + row[2] * z + row[3])
            vertices[n, i] = total


def _sample_shape(rng, model: BodyModel) -> tuple[Float32[np.ndarray, "N 3"], Float32[np.ndarray, "B 3"]]:
    """Rest vertices and joints: one baked adult, changed at random so that the spread over people stays as it was."""
    samples = model.shape_samples
    noise = rng.standard_normal(samples.shape[1], np.float32)
    shape = np.sqrt(1 - INDIVIDUALITY**2) * samples[rng.integers(len(samples))] + INDIVIDUALITY * noise
    shape = np.clip(shape, -SHAPE_LIMIT, SHAPE_LIMIT).astype(np.float32)
    points = model.shape_mean + (shape @ model.shape_components).reshape(-1, 3)
    return points[: len(model.wear)], points[len(model.wear) :]


def _head_points(head: Float32[np.ndarray, "H 3"], joints: Float32[np.ndarray, "B 3"]):
    """Forehead, back of the head and crown from the vertices that the head carries."""
    neck = joints[BONES.index("Head")]
    size = _height(joints) / _height(body_model().shape_mean[-len(BONES) :])
    centre = neck[[0, 2]] + (0, FOREHEAD_ABOVE_HEAD_M * size)
    near = head[(np.abs(head[:, [0, 2]] - centre) < HEADBAND_M).all(1)]
    points = near[near[:, 1].argmin()], near[near[:, 1].argmax()], head[head[:, 2].argmax()]
    # A headset sits in the middle, whichever side the extreme vertex is on.
    return tuple(np.array((neck[0], y, z), np.float32) for _, y, z in points)


def _height(joints: np.ndarray) -> float:
    return float(joints[BONES.index("Head"), 2] - joints[BONES.index("LeftFoot"), 2])
