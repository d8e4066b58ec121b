"""Clothes and hair: which ones a person wears, and the mesh that results.

All clothes are pieces of two shells that fit every body, tights and skirt, moved outward. Skin and inner layers that a
garment hides are taken out, so that nothing pokes through it in motion.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from egorear.synth.rasterizer import vertex_normals

MESHES = ("body", "tights", "skirt", "hair")
HIDDEN_MARGIN_M = 0.03  # what lies this far within a garment's edges is left out
LAYER_M = 0.006  # an outer garment lies at least this far over the next
SKIN_SINK_M = 0.004  # skin near a garment's edge gives way by this much
FOLDS = 6  # waves that make up a garment's folds
FOLD_LENGTH_M = (0.12, 0.4)
HAIRLINE_TAPER_M = 0.025  # hair grows to its full volume over this way from the hairline
WRIST_M = 0.515  # way along the arm
WAIST_M = 0.1  # height
JOINT_COVER_M = 0.01  # mean thickness of clothes over a joint

# Lengths people wear, as metres in a `Cut`: sleeveless, short and long; shorts, to the calf and long; mini, midi and
# maxi; bald, cropped and full.
SLEEVES = ((0.02, 0.06), (0.1, 0.24), (0.34, 0.51))
LEGS = ((0.2, 0.42), (0.5, 0.75), (0.78, 0.84))
SKIRTS = ((-0.35, -0.2), (-0.6, -0.42), (-0.86, -0.7))
HAIR = ((0.0, 0.0), (0.004, 0.012), (0.014, 0.03))


class Part(IntEnum):
    """What a triangle belongs to."""

    SKIN = 0
    SHIRT = 1
    TROUSERS = 2
    SKIRT = 3
    SHOES = 4
    HAIR = 5
    GLOVES = 6


@dataclass(frozen=True)
class Cut:
    """The part of the body a garment covers, in metres on the mean body.

    bottom, top: heights against the hips joint; sleeve: way along the arm to which it reaches (0: armless);
    leg_from, leg_to: way along the leg from the hip.
    """

    bottom: float = -np.inf
    top: float = np.inf
    sleeve: float = 0.0
    leg_from: float = -np.inf
    leg_to: float = np.inf

    def covers(self, wear: Float32[np.ndarray, "N 4"], margin: float = 0.0) -> Bool[np.ndarray, "N"]:
        """Which vertices lie inside, at least `margin` from the edges."""
        height, arm, leg, _ = wear.T
        return (
            (height >= self.bottom + margin)
            & (height <= self.top - margin)
            & (arm <= max(self.sleeve - margin, 0))
            & (leg >= self.leg_from + margin)
            & (leg <= self.leg_to - margin)
        )


@dataclass(frozen=True)
class Garment:
    """thickness: metres over the shell; looseness: height of its folds, metres; flare: metres more for each metre
    down the sleeve, leg or skirt."""

    part: Part
    mesh: str
    cut: Cut
    thickness: float
    looseness: float = 0.0
    flare: float = 0.0


@dataclass(frozen=True)
class Outfit:
    """garments: outermost first; hair: metres of hair over the scalp (0: bald); long_hair: lowest height it hangs to
    (against the hips, metres on the mean body) or None; gloves: metres of glove over the hands, or 0."""

    garments: tuple[Garment, ...]
    hair: float
    long_hair: float | None
    gloves: float


@dataclass(frozen=True)
class Dressed:
    """The visible mesh. source: the body model's vertex each vertex comes from; vertex_part: its `Part`."""

    vertices: Float32[np.ndarray, "N 3"]
    source: Int32[np.ndarray, "N"]
    vertex_part: UInt8[np.ndarray, "N"]
    triangles: Int32[np.ndarray, "F 3"]
    part: UInt8[np.ndarray, "F"]


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Random clothes: T-shirts to jumpers, shorts to trousers, skirts and dresses, shoes and boots, hair, gloves."""
    sleeve = _uniform_of(rng, SLEEVES, (0.12, 0.45, 0.43))
    leg = _uniform_of(rng, LEGS, (0.25, 0.12, 0.63))
    skirt = rng.random() < 0.22
    loose = rng.uniform(0, 0.012)
    hem = 0.0 if skirt else rng.uniform(-0.1, 0.06)
    base = rng.uniform(0.002, 0.007)
    shirt = Garment(Part.SHIRT, "tights", Cut(bottom=hem, top=rng.uniform(0.48, 0.56), sleeve=sleeve),
                    base if skirt else base + LAYER_M, loose, rng.uniform(0, 0.04))  # fmt: skip
    if skirt:
        length = _uniform_of(rng, SKIRTS, (0.35, 0.35, 0.3))
        cut = Cut(bottom=length, top=WAIST_M - 0.02)
        below = Garment(Part.SKIRT, "skirt", cut, 2 * LAYER_M + loose, loose, rng.uniform(0, 0.08))
        layers = [below, shirt]
        if rng.random() < 0.35:  # leggings
            layers.append(Garment(Part.TROUSERS, "tights", Cut(top=0.05, leg_to=leg), 0.0))
    else:
        wide = rng.uniform(0, 0.035) if rng.random() < 0.5 else 0.0
        trousers = Garment(Part.TROUSERS, "tights", Cut(top=WAIST_M, leg_to=leg), base, rng.uniform(0, 0.007), wide)
        layers = [shirt, trousers]
    if rng.random() < 0.88:
        boots = rng.random() < 0.25
        ankle = rng.uniform(0.65, 0.82) if boots else rng.uniform(0.82, 0.87)
        # Boots go over trousers, trousers over shoes.
        shoes = Garment(Part.SHOES, "tights", Cut(leg_from=ankle), 0.012 if boots else 0.0)
        layers.insert(0 if boots else len(layers), shoes)
    hair = _uniform_of(rng, HAIR, (0.1, 0.45, 0.45))
    long_hair = float(rng.uniform(0.2, 0.55)) if hair > 0.008 and rng.random() < 0.4 else None
    return Outfit(tuple(layers), hair, long_hair, rng.uniform(0.001, 0.004) if rng.random() < 0.07 else 0.0)


def _uniform_of(rng: np.random.Generator, ranges: tuple, shares: tuple[float, ...]) -> float:
    return float(rng.uniform(*ranges[rng.choice(len(ranges), p=shares)]))


def dress(
    rng: np.random.Generator,
    outfit: Outfit,
    shape: Float32[np.ndarray, "N 3"],
    meshes: dict[str, Int32[np.ndarray, "_ 3"]],
    wear: Float32[np.ndarray, "N 4"],
) -> Dressed:
    """Puts an outfit on a body of that shape (rest vertices of all meshes, metres)."""
    normals = vertex_normals(shape, np.concatenate([meshes[name] for name in MESHES]))
    pieces = []
    outer = np.zeros((0, len(wear)), bool)  # what each garment so far hides
    for garment in outfit.garments:
        mesh = meshes[garment.mesh]
        worn = garment.cut.covers(wear)[mesh].all(1) & ~outer[:, mesh].all(2).any(0)
        surface = shape + normals * _thickness(rng, garment, shape, wear)[:, None]
        pieces.append(_piece(surface, mesh[worn], np.full(worn.sum(), garment.part, np.uint8)))
        outer = np.vstack((outer, garment.cut.covers(wear, HIDDEN_MARGIN_M)))

    skin = meshes["body"]
    skin = skin[~outer[:, skin].all(2).any(0)]
    covered = np.any([garment.cut.covers(wear) for garment in outfit.garments], axis=0)
    part, growth = _skin_parts(rng, outfit, wear)
    growth = np.where(covered, -SKIN_SINK_M, growth)
    pieces.append(_piece(shape + normals * growth[:, None], skin, part[skin].min(1)))
    if outfit.long_hair is not None:
        hair = meshes["hair"][(wear[meshes["hair"], 0] > outfit.long_hair).all(1)]
        pieces.append(_piece(shape + normals * outfit.hair, hair, np.full(len(hair), Part.HAIR, np.uint8)))
    return _joined(pieces)


def _thickness(rng, garment: Garment, shape, wear) -> np.ndarray:
    """Metres over the shell at each vertex: garment, flare and random folds."""
    height, arm, leg, _ = wear.T
    down = -np.minimum(height, 0) if garment.mesh == "skirt" else arm + leg
    return garment.thickness + garment.flare * down + garment.looseness * (0.5 + 0.5 * _waves(rng, shape))


def _waves(rng, points: Float32[np.ndarray, "N 3"]) -> np.ndarray:
    """A smooth random field over points, within -1..1."""
    directions = rng.standard_normal((FOLDS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= 2 * np.pi / rng.uniform(*FOLD_LENGTH_M, (FOLDS, 1))
    return np.sin(points @ directions.T.astype(np.float32) + rng.uniform(0, 2 * np.pi, FOLDS)).mean(1)


def _skin_parts(rng, outfit: Outfit, wear) -> tuple[np.ndarray, np.ndarray]:
    """Part of each body vertex, and how far hair or gloves raise it over the skin, metres."""
    _, arm, _, scalp = wear.T
    part = np.full(len(wear), Part.SKIN, np.uint8)
    growth = np.zeros(len(wear), np.float32)
    if outfit.hair:
        part[scalp > 0] = Part.HAIR
        growth += outfit.hair * np.clip(scalp / HAIRLINE_TAPER_M, 0, 1)
    if outfit.gloves:
        part[arm > WRIST_M] = Part.GLOVES
        growth[arm > WRIST_M] = outfit.gloves
    return part, growth


def _piece(vertices: np.ndarray, triangles: np.ndarray, part: np.ndarray) -> Dressed:
    """The part of a mesh that the triangles use; a vertex has the greatest part that meets in it."""
    source, used = np.unique(triangles, return_inverse=True)
    used = used.reshape(-1, 3).astype(np.int32)
    vertex_part = np.zeros(len(source), np.uint8)
    np.maximum.at(vertex_part, used, part[:, None])
    return Dressed(vertices[source].astype(np.float32), source.astype(np.int32), vertex_part, used, part)


def _joined(pieces: list[Dressed]) -> Dressed:
    starts = np.cumsum([0] + [len(piece.source) for piece in pieces[:-1]]).astype(np.int32)
    return Dressed(
        np.concatenate([piece.vertices for piece in pieces]),
        np.concatenate([piece.source for piece in pieces]),
        np.concatenate([piece.vertex_part for piece in pieces]),
        np.concatenate([piece.triangles + start for piece, start in zip(pieces, starts, strict=True)]),
        np.concatenate([piece.part for piece in pieces]),
    )
