"""What clothes are made of, and how they are put on a body.

Clothes are pieces of two shells that fit every body, tights and skirt, cut along exact lines and moved outward. Skin
and inner layers that a garment hides are taken out, so that nothing pokes through it in motion.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float, Float32

from egorear.synth.surfaces import ARM, BACK, HEIGHT, LEG, SIDE, Surface

FOLDS = 6  # waves that make up a garment's folds
FOLD_LENGTH_M = (0.08, 0.3)
PLEAT_LENGTH_M = (0.09, 0.25)
CLOSE_M = 0.03  # a garment hides what lies this far within its waistband or collar
BETWEEN_M, THINNEST_M = 0.003, 0.001  # layers keep apart by this much at crossing edges
DEEP_M = 0.012  # folds of this height are fully shaded
SINK_M = 0.004  # skin gives way by this much under clothes
LIFTS_BELOW_M = -0.1  # height under which hanging cloth may show what it covers
HIP_LINE_M = -0.03  # height at which a hanging garment leaves the body
SLEEVE_HANG = 0.7  # share of its drop that a wide sleeve may swing
HANG = 0.45  # metres a hanging vertex may leave its place for each metre below the hip line
CUFF_M = 0.06
SLEEVE_HANGS_FROM_M = 0.1  # way along the arm


class Part(IntEnum):
    """What a triangle belongs to."""

    SKIN = 0
    SHIRT = 1
    TROUSERS = 2
    SKIRT = 3
    SHOES = 4
    HAIR = 5
    GLOVES = 6
    DRESS = 7
    COAT = 8
    ROBE = 9
    HOOD = 10
    GLASSES = 11
    HEADSET = 12
    STRANGER = 13


@dataclass(frozen=True)
class Cut:
    """The part of the body a garment covers, in metres on the mean body.

    bottom, top: heights against the hips joint; scoop: how much lower the neckline is in front; sleeve: way along the
    arm to which it reaches (0: armless); arm_from: where gloves begin; leg_from, leg_to: way along the leg from the
    hip; opening: half the gap down the front at the top and its growth for each metre below, or None.
    """

    bottom: float = -np.inf
    top: float = np.inf
    scoop: float = 0.0
    sleeve: float = 0.0
    arm_from: float = -np.inf
    leg_from: float = -np.inf
    leg_to: float = np.inf
    opening: tuple[float, float] | None = None

    def edges(self, wear: Float32[np.ndarray, "N 6"], margin: float = 0.0) -> list[Float32[np.ndarray, "N"]]:
        """For each edge of the cut, how far (metres) each vertex lies inside a line `margin` within it; under a
        waistband or collar, which lie close, at most `CLOSE_M`."""
        height, arm, leg, side, back = wear[:, [HEIGHT, ARM, LEG, SIDE, BACK]].T.astype(float)
        front = np.clip(-back / 0.08, 0, 1) * np.clip(1 - np.abs(side) / 0.1, 0, 1)
        limits = [
            (self.bottom, lambda: height - self.bottom - margin),
            (self.top, lambda: self.top - height - self.scoop * front - min(margin, CLOSE_M)),
            (self.sleeve, lambda: max(self.sleeve - margin, 0) - arm),  # on the trunk a sleeve has no edge
            (self.arm_from, lambda: arm - self.arm_from - margin),
            (self.leg_from, lambda: leg - self.leg_from - margin),
            (self.leg_to, lambda: self.leg_to - leg - margin),
        ]
        found = [distance() for limit, distance in limits if np.isfinite(limit)]
        if self.opening is not None:
            gap = self.opening[0] + self.opening[1] * np.maximum(self.top - height, 0) + margin
            found.append(np.where(back < 0, np.abs(side) - gap, 1.0))
        return [distance.astype(np.float32) for distance in found]

    def covers(self, wear: Float32[np.ndarray, "N 6"], margin: float = 0.0) -> Bool[np.ndarray, "N"]:
        """Which vertices lie inside, at least `margin` metres from the edges."""
        return np.all([edge >= 0 for edge in self.edges(wear, margin)], axis=0)


@dataclass(frozen=True)
class Garment:
    """A piece of clothing. Lengths in metres.

    mesh: the shell it is cut from; cloth: a name of `prints.CLOTHS`, the same for pieces of one cloth; thickness: over
    the shell; folds: their height; flare: more thickness for each metre down the sleeve, leg or skirt; gathered: it
    ends in close cuffs; drop: how far a wide sleeve hangs under the wrist; hides: how far within its edges it hides
    what lies below.
    """

    part: Part
    mesh: str
    cut: Cut
    cloth: str
    thickness: float
    folds: float = 0.0
    flare: float = 0.0
    gathered: bool = False
    drop: float = 0.0
    hides: float = 0.05

    @property
    def hangs(self) -> bool:
        return self.mesh == "skirt"

    def hides_at(self, wear: Float32[np.ndarray, "N 6"]) -> Bool[np.ndarray, "N"]:
        """Which places under it are never seen: hanging cloth lifts, so it hides no legs."""
        hidden = self.cut.covers(wear, self.hides)
        return hidden & (wear[:, HEIGHT] > LIFTS_BELOW_M) if self.hangs else hidden


@dataclass(frozen=True)
class Piece:
    """A worn piece of surface, moved to its place.

    cloth: as in `Garment`; crease: 0 on the crest of a fold to 1 in its trough; looseness: see `body.Person`.
    """

    surface: Surface
    part: Part
    cloth: str
    crease: Float32[np.ndarray, "N"]
    looseness: Float32[np.ndarray, "N"]


def plain_piece(surface: Surface, part: Part, cloth: str) -> Piece:
    """A piece without folds that moves with the body."""
    still = np.zeros(len(surface.points), np.float32)
    return Piece(surface, part, cloth, still, still)


def put_on(
    rng: np.random.Generator, garments: tuple[Garment, ...], shells: dict[str, Surface]
) -> tuple[list[Piece], Surface]:
    """Dresses a body in garments, given outermost first.

    Returns:
        the garments' visible pieces and what is left of the body (mesh "body" of `shells`), sunk under the edges.
    """
    pieces, room = [], {name: np.full(len(shell.points), np.inf) for name, shell in shells.items()}
    for i, garment in enumerate(garments):
        shell, free = shells[garment.mesh], room[garment.mesh]
        relief = _Relief.sample(rng, garment)
        off = np.minimum(_thickness(garment, relief, shell.wear), np.maximum(free, THINNEST_M))
        below = garment.cut.covers(shell.wear, -CLOSE_M)
        free[below] = np.minimum(free[below], off[below] - BETWEEN_M)
        worn = shell.moved(shell.points + shell.normals * off[:, None] + _drop(garment, shell))
        worn = _uncovered(worn, garments[:i])
        for edge in range(len(garment.cut.edges(worn.wear[:1]))):
            worn = worn.clipped(garment.cut.edges(worn.wear)[edge])
        if len(worn.triangles):
            crease = min(garment.folds / DEEP_M, 1.0) * (1 - relief(worn.wear))
            hanging = _looseness(garment, worn)
            pieces.append(Piece(worn, garment.part, garment.cloth, crease.astype(np.float32), hanging))
    body = _uncovered(shells["body"], garments)
    covered = np.any([garment.cut.covers(body.wear) for garment in garments], axis=0)
    return pieces, body.moved(body.points - SINK_M * covered[:, None] * body.normals)


def cover(garments: tuple[Garment, ...], wear: Float32[np.ndarray, "N 6"]) -> Float[np.ndarray, "N"]:
    """Metres of close clothes over places of the body."""
    most = np.zeros(len(wear))
    for garment in garments:
        down = wear[:, ARM] + wear[:, LEG]
        thick = garment.thickness + garment.folds + garment.flare * down
        if not garment.hangs:
            most = np.where(garment.cut.covers(wear), np.maximum(most, thick), most)
    return most


def _uncovered(shell: Surface, garments: tuple[Garment, ...]) -> Surface:
    hidden = np.zeros(len(shell.triangles), bool)
    for garment in garments:
        hidden |= garment.hides_at(shell.wear)[shell.triangles].all(1)
    return shell.keeping(~hidden)


@dataclass(frozen=True)
class _Relief:
    """The folds of a garment: a smooth random field of 0 (trough) to 1 (crest) over the body."""

    waves: Float[np.ndarray, "3 K"]
    phases: Float[np.ndarray, "K"]

    @classmethod
    def sample(cls, rng: np.random.Generator, garment: Garment) -> "_Relief":
        """Folds of a hanging garment stand upright: they hardly change from top to bottom."""
        directions = rng.standard_normal((FOLDS, 3)) * (1, 1, 0.12 if garment.hangs else 1)
        directions /= np.sqrt((directions**2).sum(1, keepdims=True))
        lengths = rng.uniform(*(PLEAT_LENGTH_M if garment.hangs else FOLD_LENGTH_M), (FOLDS, 1))
        return cls((directions * 2 * np.pi / lengths).T, rng.uniform(0, 2 * np.pi, FOLDS))

    def __call__(self, wear: Float32[np.ndarray, "N 6"]) -> Float[np.ndarray, "N"]:
        waves = np.sin(wear[:, [SIDE, BACK, HEIGHT]].astype(float) @ self.waves + self.phases)
        return 0.5 + 0.5 * np.clip(2.2 * waves.mean(1), -1, 1)


def _thickness(garment: Garment, relief: _Relief, wear) -> Float[np.ndarray, "N"]:
    """Metres over the shell."""
    height, arm, leg = wear[:, [HEIGHT, ARM, LEG]].T.astype(float)
    low = np.maximum(HIP_LINE_M - height, 0)
    down = low if garment.hangs else arm + leg
    depth = garment.folds * (np.clip(0.3 + 2 * low, 0, 1.6) if garment.hangs else 1)  # pleats open downward
    off = garment.flare * down + depth * relief(wear)
    if garment.gathered:
        cuffs = np.where(arm > 0, garment.cut.sleeve - arm, 1), np.where(leg > 0, garment.cut.leg_to - leg, 1)
        off *= np.clip(np.minimum(*cuffs) / CUFF_M, 0, 1)
    return garment.thickness + off


def _drop(garment: Garment, shell: Surface) -> Float[np.ndarray, "N 3"]:
    """How far the under side of a wide sleeve hangs down when the arms are raised, metres."""
    if not garment.drop:
        return np.zeros_like(shell.points, float)
    arm, side = shell.wear[:, [ARM, SIDE]].T.astype(float)
    along = np.clip((arm - SLEEVE_HANGS_FROM_M) / (garment.cut.sleeve - SLEEVE_HANGS_FROM_M), 0, 1)
    under = np.stack((-np.sign(side), np.zeros_like(side), -np.ones_like(side)), 1) * np.sqrt(0.5)
    return (garment.drop * along * np.maximum((shell.normals * under).sum(1), 0))[:, None] * under


def _looseness(garment: Garment, worn: Surface) -> Float32[np.ndarray, "N"]:
    if garment.hangs:
        return (HANG * np.maximum(HIP_LINE_M - worn.wear[:, HEIGHT], 0)).astype(np.float32)
    return (SLEEVE_HANG * np.abs(_drop(garment, worn)).max(1)).astype(np.float32)
