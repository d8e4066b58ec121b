"""Cloths: colours and patterns, as functions of the place on the body.

All patterns are coarser than the mesh (2-4 cm), for colours are kept per vertex.
"""

import colorsys

import numpy as np
from jaxtyping import Float, Float32, Num

from egorear.synth.surfaces import ARM, BACK, HEIGHT, LEG, SIDE

CLOTHS = ("top", "bottom", "coat", "belt", "legs", "shoe", "sole", "glove")
PLAIN = {"top": 0.3, "bottom": 0.65, "coat": 0.8, "belt": 0.7, "legs": 0.9, "shoe": 0.75, "sole": 1.0, "glove": 0.8}
BAND_M = (0.08, 0.22)  # wavelength of stripes and checks; shorter ones would alias on the mesh
PRINT_M = (0.05, 0.12)  # half width and height of a print on chest or back
CHEST_M = 0.3  # height of its middle


def dye(
    rng: np.random.Generator, cloth: str, wears: list[Float32[np.ndarray, "_ 6"]]
) -> list[Float[np.ndarray, "_ 3"]]:
    """Linear RGB of the pieces of one cloth (a name of `CLOTHS`), given by their `Surface.wear`.

    Patterns: plain, stripes across or along, checks, two-tone, blotches (florals, camouflage), dots, shading from top
    to bottom; a plain top may carry a print. They run on from piece to piece.
    """
    wear = np.concatenate(wears).astype(float)
    first, second, third = _color(rng), _color(rng), _color(rng)
    if cloth == "sole" and rng.random() < 0.5:
        first = np.full(3, rng.uniform(0.5, 0.85))
    if rng.random() < PLAIN[cloth]:
        colors = np.broadcast_to(first, (len(wear), 3)).copy()
    else:
        amount = _pattern(rng, wear)
        colors = first + amount[0][:, None] * (second - first)
        colors += amount[1][:, None] * (third - colors)
    if cloth == "top" and rng.random() < 0.35:
        printed = _print(rng, wear)
        colors = np.where(printed[:, None], second, colors)
    return np.split(colors, np.cumsum([len(piece) for piece in wears])[:-1])


def _pattern(rng, wear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of a second and of a third colour there is at each vertex."""
    wave, phase = 2 * np.pi / rng.uniform(*BAND_M), rng.uniform(0, 2 * np.pi)
    height, arm, leg, side, back = wear[:, [HEIGHT, ARM, LEG, SIDE, BACK]].T
    down = np.where(arm > 0, arm, np.where(leg > 0, leg, -height))
    across = np.sin(wave * down + phase)
    along = np.sin(wave * np.abs(np.where(arm > 0, back, side)) + phase)  # left as right
    place, none = wear[:, [SIDE, BACK, HEIGHT]], np.zeros(len(wear))
    level, kind = rng.uniform(-0.4, 0.6), rng.integers(8)
    if kind == 0:
        return _edge(across - level), none
    if kind == 1:
        return _edge(along - level), none
    if kind == 2:  # checks: two shades where one band lies, the full colour where two cross
        return 0.5 * (_edge(across) + _edge(along)), none
    if kind == 3:
        return _edge(20 * (np.where(arm > 0, arm - 0.05, rng.uniform(-0.05, 0.4) - height))), none
    if kind == 4:
        length = rng.uniform(0.05, 0.16)
        return _edge(noise(rng, place, length) - level), _edge(noise(rng, place, length) - 0.8)
    if kind == 5:
        dots = np.sin(wave * (down + side)) * np.sin(wave * (down - side))
        return _edge(dots - 0.45), none
    if kind == 6:
        return np.clip((height.max() - height) / max(np.ptp(height), 0.1), 0, 1), none
    return _edge(across - 0.5), _edge(along - 0.75)  # tartan


def _edge(field: np.ndarray) -> np.ndarray:
    """0 to 1 where a field of unit order turns positive, over about a triangle's width."""
    return np.clip(0.5 + 2.5 * field, 0, 1)


def _print(rng, wear: np.ndarray) -> np.ndarray:
    """Where a print lies: a solid badge, a word's row of blocks, or a picture's blots, on the chest, back or both."""
    half = rng.uniform(*PRINT_M, 2)
    height, side, back = wear[:, [HEIGHT, SIDE, BACK]].T
    inside = (np.abs(side) < half[0]) & (np.abs(height - CHEST_M) < half[1]) & (wear[:, ARM] == 0)
    inside &= (back < 0, back > 0, np.ones(len(back), bool))[rng.choice(3, p=(0.55, 0.25, 0.2))]
    kind = rng.integers(3)
    if kind == 1:
        inside &= np.sin(side * 2 * np.pi / 0.055 + rng.uniform(0, 6)) > -0.3
    elif kind == 2:
        inside &= noise(rng, wear[:, [SIDE, BACK, HEIGHT]], 0.05) > -0.1
    return inside


def _color(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Linear RGB: greys, near-black and near-white as often as colours, as on people in the street."""
    saturation = 0.0 if rng.random() < 0.35 else rng.uniform(0.1, 0.9)
    srgb = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.08, 0.95))
    return np.array(srgb) ** 2.2


def dyed_hair(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """A colour no hair has by nature."""
    return _color(rng)


def noise(rng: np.random.Generator, points: Num[np.ndarray, "N 3"], length: float) -> Float[np.ndarray, "N"]:
    """A smooth random field of unit-order size over points, with features of about `length` metres."""
    directions = rng.standard_normal((5, 3)) * (1.5 / length)
    return np.sin(points.astype(float) @ directions.T + rng.uniform(0, 2 * np.pi, 5)).sum(1) / 2
