"""Colours of people: skin, hair and clothes, one linear RGB albedo per vertex."""

import numpy as np
from jaxtyping import Float, Float32

from egorear.synth.garments import Part, Piece
from egorear.synth.prints import CLOTHS, dye, dyed_hair, noise
from egorear.synth.surfaces import ARM, BACK, HEIGHT, SIDE, Surface

SKIN_TONES = np.array(  # linear RGB along the range of human skin, from the fairest to the darkest
    [
        [0.76, 0.52, 0.41],
        [0.62, 0.38, 0.27],
        [0.45, 0.25, 0.155],
        [0.27, 0.135, 0.075],
        [0.12, 0.058, 0.034],
        [0.045, 0.024, 0.017],
    ]
)
HAIR_TONES = np.array(  # black, dark brown, brown, red, blond, grey, white
    [
        [0.008, 0.007, 0.007],
        [0.025, 0.014, 0.009],
        [0.08, 0.04, 0.02],
        [0.2, 0.06, 0.02],
        [0.4, 0.26, 0.11],
        [0.25] * 3,
        [0.62] * 3,
    ]
)
HAIR_SHARES = (0.3, 0.25, 0.18, 0.05, 0.1, 0.08, 0.04)
GREY = 5  # the first tone that comes with age
DYED_SHARE = 0.04
UNDERTONE_STD = 0.05  # redder or yellower, at one tone
PALM = np.array([0.52, 0.32, 0.24])
PALM_FACES = np.array([-0.76, 0, -0.65])  # at rest, on the left
HAND_M, FOOT_M = 0.53, -0.88  # way along the arm, height
# Where a face has them, (across, over the hips) and half their sizes, metres on the mean body.
LIPS_M = ((0.0, 0.5995), (0.022, 0.009))
EYES_M = ((0.031, 0.6675), (0.013, 0.006))
BROWS_M = ((0.032, 0.688), (0.02, 0.006))
FACE_BACK_M = -0.115  # all of it lies before this
LIPS_TINT = np.array([0.85, 0.55, 0.55])
SHADE_STD = 0.03  # vertex-wise brightness: dirt, wear and weave
CREASE_SHADE = 0.45  # share of light lost at the bottom of the deepest folds


def skin_tone(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Linear RGB of a skin: even over the whole range from fair to dark, so that each step of a scale such as Monk's
    is as likely as any other."""
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    mean = np.array([np.interp(tone, range(len(SKIN_TONES)), SKIN_TONES[:, c]) for c in range(3)])
    return mean * (1 + UNDERTONE_STD * rng.standard_normal() * np.array([1, 0, -1]))


def paint(rng: np.random.Generator, pieces: list[Piece], child: bool) -> list[Float32[np.ndarray, "_ 3"]]:
    """Albedo of every vertex of a dressed person's pieces; patterns follow the cloth, and no child's hair is grey."""
    skin, hair = skin_tone(rng), _hair_tone(rng, child)
    albedo = {}
    for cloth in CLOTHS:
        worn = [i for i, piece in enumerate(pieces) if piece.cloth == cloth]
        if worn:
            albedo |= dict(zip(worn, dye(rng, cloth, [pieces[i].surface.wear for i in worn]), strict=True))
    for i, piece in enumerate(pieces):
        points = piece.surface.points
        if piece.part == Part.SKIN:
            flush = 1 + 0.1 * np.array([1, 0.3, 0.2]) * noise(rng, points, 0.15)[:, None]
            albedo[i] = _with_face(rng, _with_palms(skin, piece.surface) * flush, hair, piece.surface.wear)
        elif piece.part == Part.HAIR:
            albedo[i] = hair * (1 + 0.35 * noise(rng, points * np.array([1, 1, 0.25]), 0.03)[:, None])
    painted = []
    for i, piece in enumerate(pieces):
        shade = (1 - CREASE_SHADE * piece.crease) * (1 + SHADE_STD * rng.standard_normal(len(piece.crease)))
        painted.append(np.clip(albedo[i] * shade[:, None], 0.003, 0.95).astype(np.float32))
    return painted


def _with_palms(skin: np.ndarray, surface: Surface) -> np.ndarray:
    """Skin whose palms and soles are paler, the more so the darker it is."""
    inward, _, up = (surface.normals.astype(float) * PALM_FACES).T
    palms = (inward * np.sign(surface.wear[:, SIDE]) + up) * (surface.wear[:, ARM] > HAND_M)
    soles = -surface.normals[:, 2] * (surface.wear[:, HEIGHT] < FOOT_M)
    share = 0.5 * (1 - skin[0] / SKIN_TONES[0, 0]) * np.clip(2 * np.maximum(palms, soles) - 0.4, 0, 1)
    return skin + np.maximum(share, 0)[:, None] * (PALM - skin)


def _with_face(rng, skin: np.ndarray, hair: np.ndarray, wear: np.ndarray) -> np.ndarray:
    """Skin with lips, brows and the dark of the eyes: what is left of a face in a picture of few pixels."""
    side, height = np.abs(wear[:, SIDE].astype(float)), wear[:, HEIGHT].astype(float)
    before = wear[:, BACK] < FACE_BACK_M

    def spot(at, half):
        return np.clip(1.6 - ((side - at[0]) / half[0]) ** 2 - ((height - at[1]) / half[1]) ** 2, 0, 1) * before

    lips, eyes, brows = spot(*LIPS_M), spot(*EYES_M), spot(*BROWS_M)
    for share, tint in ((lips, skin * LIPS_TINT), (eyes, 0.35 * skin), (brows, 0.4 * skin + 0.3 * hair)):
        skin = skin + (rng.uniform(0.3, 0.9) * share)[:, None] * (tint - skin)
    return skin


def _hair_tone(rng, child: bool) -> np.ndarray:
    if rng.random() < DYED_SHARE:
        return dyed_hair(rng)
    shares = np.array(HAIR_SHARES) * (np.arange(len(HAIR_SHARES)) < GREY if child else 1)
    return HAIR_TONES[rng.choice(len(HAIR_TONES), p=shares / shares.sum())] * rng.uniform(0.7, 1.3)
