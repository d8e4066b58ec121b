"""Colours of people: skin, hair and patterned clothes, one linear RGB albedo per vertex."""

import colorsys

import numpy as np
from jaxtyping import Float32

from egorear.synth.garments import WAIST_M, Dressed, Outfit, Part

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
SHADE_STD = 0.04  # vertex-wise brightness: dirt, wear and weave
BAND_M = (0.08, 0.22)  # wavelength of stripes and checks; shorter ones would alias on the mesh


def paint(
    rng: np.random.Generator, outfit: Outfit, dressed: Dressed, wear: Float32[np.ndarray, "N 4"]
) -> Float32[np.ndarray, "N 3"]:
    """Albedo of every vertex of a dressed person; patterns follow the cloth, being functions of the rest pose."""
    points = dressed.vertices
    albedo = np.empty_like(points)
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    skin = [np.interp(tone, range(len(SKIN_TONES)), SKIN_TONES[:, c]) for c in range(3)]
    flush = 1 + 0.1 * np.array([1, 0.3, 0.2]) * _noise(rng, points, 0.15)[:, None]
    albedo[:] = skin * flush
    shirt = _pattern(rng, points, wear)
    whole_dress = rng.random() < 0.5
    clothes = {
        Part.SHIRT: shirt,
        Part.SKIRT: shirt if whole_dress else _pattern(rng, points, wear),
        Part.TROUSERS: _pattern(rng, points, wear, plain=0.8),
        Part.SHOES: _pattern(rng, points, wear, plain=0.85),
        Part.GLOVES: _pattern(rng, points, wear, plain=0.9),
        Part.HAIR: _hair(rng) * (1 + 0.35 * _noise(rng, points * (1, 1, 0.25), 0.03)[:, None]),
    }
    for part, color in clothes.items():
        albedo[dressed.vertex_part == part] = color[dressed.vertex_part == part]
    albedo *= 1 + SHADE_STD * rng.standard_normal((len(points), 1), np.float32)
    return np.clip(albedo, 0.003, 0.95).astype(np.float32)


def _pattern(rng, points: np.ndarray, wear: np.ndarray, plain: float = 0.45) -> np.ndarray:
    """A cloth: plain, stripes across or along, checks, two-tone or print, in two random colours."""
    first, second = _cloth_color(rng), _cloth_color(rng)
    if rng.random() < plain:
        return np.broadcast_to(first, points.shape)
    wave, phase = 2 * np.pi / rng.uniform(*BAND_M), rng.uniform(0, 2 * np.pi)
    height, arm, leg = wear[:, 0], wear[:, 1], wear[:, 2]
    across = np.sin(wave * np.where(arm > 0, arm, np.where(leg > 0, leg, height)) + phase)
    along = np.sin(wave * np.abs(points[:, 0]) + phase)  # left as right
    mask = (
        across > rng.uniform(-0.4, 0.6),
        along > rng.uniform(-0.4, 0.6),
        (across > 0) ^ (along > 0),
        np.where(arm > 0, arm > rng.uniform(0, 0.1), height > rng.uniform(WAIST_M, 0.4)),
        _noise(rng, points, rng.uniform(0.06, 0.2)) > rng.uniform(-0.2, 0.3),
    )[rng.integers(5)]
    return np.where(mask[:, None], second, first)


def _cloth_color(rng) -> np.ndarray:
    """Linear RGB: greys, near-black and near-white as often as colours, as on people in the street."""
    saturation = 0.0 if rng.random() < 0.35 else rng.uniform(0.1, 0.9)
    srgb = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.08, 0.95))
    return np.array(srgb) ** 2.2


def _hair(rng) -> np.ndarray:
    if rng.random() < 0.04:  # dyed
        return _cloth_color(rng)
    return HAIR_TONES[rng.choice(len(HAIR_TONES), p=HAIR_SHARES)] * rng.uniform(0.7, 1.3)


def _noise(rng, points: np.ndarray, length: float) -> np.ndarray:
    """A smooth random field of unit-order size with features of about `length` metres."""
    directions = rng.standard_normal((5, 3)) * (1.5 / length)
    return np.sin(points @ directions.T + rng.uniform(0, 2 * np.pi, 5)).sum(1) / 2
