"""The hood of a hoodie, lying on the back: a collar that grows into a pouch behind the neck."""

from dataclasses import replace
from functools import cache

import numpy as np
from jaxtyping import Float, Int32

from egorear.synth.anatomy import BONES, Shape, body_model
from egorear.synth.garments import Part, Piece, plain_piece
from egorear.synth.surfaces import BACK, HEIGHT, SIDE, sheet, strongest

REACH_DEG = 130  # how far round the neck the collar comes, from straight back
COLUMNS = 17
# Cross sections from inside the neckline over the top and down, as (off the neck's axis, up), metres from the Neck
# joint of the mean body: at the ends of the collar, and straight back.
COLLAR = np.array([[0.05, -0.035], [0.066, 0.0], [0.08, 0.005], [0.092, -0.01], [0.098, -0.03], [0.09, -0.05]])
POUCH = np.array([[0.05, -0.02], [0.078, 0.03], [0.115, 0.035], [0.15, 0.0], [0.155, -0.075], [0.1, -0.14]])
FRONT_DROP_M = 0.045  # the neckline lies lower in front
ANCHORS = 6  # vertices of the shirt's shell that carry each vertex


def hood(rng: np.random.Generator, shape: Shape, off: float) -> Piece:
    """A hood over a shirt `off` metres thick; bigger or smaller at random."""
    points, anchors = _mean_hood()
    model, shell = body_model(), shape.surfaces["tights"]
    first = model.meshes["tights"].min()
    carried = (shell.points[anchors] - model.shape_mean[first + anchors]).astype(float).mean(1)
    neck = model.shape_mean[len(model.wear) + BONES.index("Neck")]
    out = points - neck
    out[:, 2] *= 0.3
    out /= np.sqrt((out**2).sum(1, keepdims=True))
    low = np.clip((neck[2] - points[:, 2]) / 0.1, 0, 1)
    placed = points + carried + out * (off + rng.uniform(-0.004, 0.012)) - [[0, 0, 0.05]] * low[:, None] * rng.random()
    shape_of = (len(COLLAR), COLUMNS, 3)
    weights = (shell.skin_weights[anchors] / ANCHORS).reshape(len(points), -1)
    bones, weights = strongest(shell.skin_bones[anchors].reshape(len(points), -1), weights)
    surface = sheet(placed.reshape(shape_of), bones, weights, closed=False)
    return plain_piece(replace(surface, wear=_wear(points)), Part.HOOD, "top")


@cache
def _mean_hood() -> tuple[Float[np.ndarray, "N 3"], Int32[np.ndarray, "N 6"]]:
    """The hood on the mean body, and the nearest vertices of the shirt's shell."""
    model = body_model()
    neck = model.shape_mean[len(model.wear) + BONES.index("Neck")].astype(float)
    angle = np.radians(np.linspace(-REACH_DEG, REACH_DEG, COLUMNS))
    back = np.cos(angle * (90 / REACH_DEG))
    section = COLLAR[:, None] + (POUCH - COLLAR)[:, None] * back[None, :, None]
    lift = section[..., 1] - FRONT_DROP_M * np.clip(-np.cos(angle), 0, 1)
    points = np.stack((section[..., 0] * np.sin(angle), section[..., 0] * np.cos(angle), lift), -1)
    points = (neck + points).reshape(-1, 3)
    own = model.meshes["tights"]
    shell = model.shape_mean[own.min() : own.max() + 1].astype(float)
    distance = ((points[:, None] - shell) ** 2).sum(-1)
    return points, np.argsort(distance, axis=1, kind="stable")[:, :ANCHORS].astype(np.int32)


def _wear(points: Float[np.ndarray, "N 3"]) -> np.ndarray:
    wear = np.zeros((len(points), 6), np.float32)
    wear[:, HEIGHT] = points[:, 2] - body_model().shape_mean[len(body_model().wear), 2]
    wear[:, SIDE], wear[:, BACK] = points[:, 0], points[:, 1]
    return wear
