"""Hair: a cap that grows from the scalp, and what hangs from it or is tied to it.

| style    | share | volume over the scalp                                                        |
|----------|-------|------------------------------------------------------------------------------|
| bald     | 0.07  | none                                                                         |
| cropped  | 0.27  | 4-12 mm                                                                      |
| full     | 0.20  | 14-30 mm                                                                     |
| long     | 0.18  | 12-25 mm, a curtain down to the nape or the shoulder blades                  |
| ponytail | 0.09  | 4-10 mm, a tail of 15-40 cm                                                  |
| bun      | 0.09  | 4-10 mm, a ball of 5-11 cm at the back or on top                             |
| curly    | 0.10  | 30-90 mm: it reaches round a headset and before its rear cameras             |
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from egorear.synth.anatomy import BONES, Shape
from egorear.synth.garments import Part, Piece, plain_piece
from egorear.synth.prints import noise
from egorear.synth.surfaces import HEIGHT, SCALP, Surface, sheet

STYLES = {"bald": 0.07, "cropped": 0.27, "full": 0.20, "long": 0.18, "ponytail": 0.09, "bun": 0.09, "curly": 0.10}
VOLUMES = {
    "bald": (0.0, 0.0), "cropped": (0.004, 0.012), "full": (0.014, 0.03), "long": (0.012, 0.025),
    "ponytail": (0.004, 0.01), "bun": (0.004, 0.01), "curly": (0.03, 0.09),
}  # fmt: skip
TAPER_M = 0.025  # the volume is full at least this far inside the hairline
SKULL_M = np.array([0.0, 0.01, 0.1])  # its middle, from the Head joint
HEAD, BACK = BONES.index("Head"), BONES.index("Spine2")
FLUSH_M = 0.010  # the baked curtain hangs this far off the head's greatest outline


@dataclass(frozen=True)
class Hair:
    """style: a key of `STYLES`; volume: metres over the scalp."""

    style: str
    volume: float


def sample_hair(rng: np.random.Generator) -> Hair:
    """Random hair from the distribution above."""
    style = list(STYLES)[rng.choice(len(STYLES), p=list(STYLES.values()))]
    return Hair(style, float(rng.uniform(*VOLUMES[style])))


def grow(
    rng: np.random.Generator, hair: Hair, shape: Shape, body: Surface, over: float, lowest: float
) -> tuple[list[Piece], Surface]:
    """The pieces of hair on that body, and the body without its scalp; over: metres of clothes that long hair lies on;
    lowest: height over the hips to which it may reach."""
    if hair.style == "bald":
        return [], body
    cap = body.clipped(body.wear[:, SCALP])
    pieces = [plain_piece(cap.moved(cap.points + cap.normals * _growth(rng, hair, cap)[:, None]), Part.HAIR, "hair")]
    if hair.style == "long":
        pieces.append(_curtain(rng, hair, shape, over, lowest))
    elif hair.style == "bun":
        pieces.append(_bun(rng, shape, cap))
    elif hair.style == "ponytail":
        pieces.append(_ponytail(rng, shape, cap))
    return pieces, body.clipped(-body.wear[:, SCALP])


def _growth(rng, hair: Hair, cap: Surface) -> Float32[np.ndarray, "N"]:
    inside = np.clip(cap.wear[:, SCALP] / (TAPER_M + 0.7 * hair.volume), 0, 1)
    rough = 0.25 if hair.style == "curly" else 0.1
    length = 0.035 if hair.style == "curly" else 0.06
    return (hair.volume * np.sqrt(inside) * (1 + rough * noise(rng, cap.points, length))).astype(np.float32)


def _curtain(rng, hair: Hair, shape: Shape, over: float, lowest: float) -> Piece:
    """Long hair: it leaves the cap where the head is widest, flush with it, and lies on the clothes."""
    curtain = shape.surfaces["hair"]
    curtain = curtain.clipped(curtain.wear[:, HEIGHT] - np.float32(rng.uniform(lowest, 0.55)))
    low = (shape.joints[HEAD, 2] - curtain.points[:, 2]) / shape.size  # under the Head joint
    free, dressed = np.clip((low + 0.1) / 0.07, 0, 1), np.clip(low / 0.08, 0, 1)
    off = hair.volume - FLUSH_M + free * (FLUSH_M + 0.006 * noise(rng, curtain.points, 0.08)) + over * dressed
    return plain_piece(curtain.moved(curtain.points + curtain.normals * off[:, None]), Part.HAIR, "hair")


def _bun(rng, shape: Shape, cap: Surface) -> Piece:
    radius = rng.uniform(0.025, 0.055) * shape.size
    centre = _on_skull(shape, cap, rng.uniform(-0.2, 1.3), 0.35 * radius)
    up, around = np.meshgrid(np.linspace(0, np.pi, 8), np.arange(12) * (2 * np.pi / 12), indexing="ij")
    ball = np.stack((np.sin(up) * np.cos(around), -np.sin(up) * np.sin(around), np.cos(up)), -1)
    ball = centre + radius * ball * (1, 0.85, 0.9)
    ball += radius * 0.06 * noise(rng, ball.reshape(-1, 3), 0.04).reshape(8, 12, 1) * np.sin(up)[..., None]
    bones = np.tile(np.array([HEAD, 0, 0, 0], np.int32), (96, 1))
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (96, 1))
    return plain_piece(sheet(ball, bones, weights, closed=True), Part.HAIR, "hair")


def _ponytail(rng, shape: Shape, cap: Surface) -> Piece:
    """A tail that leaves the head backward and falls; below the neck it moves with the back."""
    rows, columns = 9, 8
    root = _on_skull(shape, cap, rng.uniform(-0.1, 0.9), -0.015)
    along, length = np.linspace(0, 1, rows), rng.uniform(0.15, 0.4) * shape.size
    back = 0.055 * shape.size * (1 - np.exp(-5 * along))
    path = root + np.stack((0 * along, back, -length * along**1.5), 1)
    width = 0.026 * shape.size * np.sqrt(np.clip(np.minimum(along * 6, (1 - along) * 3 + 0.1), 0.15, 1))
    around = np.arange(columns) * (2 * np.pi / columns)
    ring = np.stack((np.cos(around), -np.sin(around), 0 * around), -1)
    tail = path[:, None] + width[:, None, None] * ring * (1, 0.7, 1)
    low = np.clip((shape.joints[HEAD, 2] - tail[..., 2].ravel()) / (0.12 * shape.size) + 0.4, 0, 1)
    bones = np.tile(np.array([HEAD, BACK, 0, 0], np.int32), (rows * columns, 1))
    weights = np.stack((1 - low, low, 0 * low, 0 * low), 1).astype(np.float32)
    return plain_piece(sheet(tail, bones, weights, closed=True), Part.HAIR, "hair")


def _on_skull(shape: Shape, cap: Surface, elevation: float, off: float) -> np.ndarray:
    """The point `off` metres outside the scalp, `elevation` radians over straight back."""
    middle = shape.joints[HEAD] + shape.size * SKULL_M
    way = np.array([0, np.cos(elevation), np.sin(elevation)])
    out = (cap.points - middle).astype(float)
    reach = (out * way).sum(1)
    near = reach > 0.975 * np.sqrt((out**2).sum(1))
    return middle + way * (reach[near].mean() + off)
