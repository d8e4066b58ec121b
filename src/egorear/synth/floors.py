"""Surface patterns: periodic square tiles of albedo with a mip pyramid, so that no distance shows moiré.

Every pattern is periodic and knows its size in metres: the scale of boards and bricks is a depth cue, so it
stays within what is built. Regular patterns divide the tile by powers of two, which puts their edges exactly
between texels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from egorear.synth.skies import load_texture

SIZE = 256  # texels along a side of the finest level
Pattern = Callable[[np.random.Generator, str], tuple[float, np.ndarray]]  # (random, split) -> metres, albedo
QUADRANTS = {"train": ((0, 0), (0, 1)), "validation": ((1, 0),), "test": ((1, 1),)}  # of every photograph


@dataclass(frozen=True)
class Surface:
    """A repeating pattern: texel (row, column) of the finest level covers x = column, y = row texel widths."""

    kind: str
    metres: float  # side of the tile
    pyramid: Float32[np.ndarray, "texels 3"]  # linear albedo; levels of 256², 128², … 1², finest first


def floor(rng: np.random.Generator, split: str, outdoors: bool) -> Surface:
    """A random floor that suits the place."""
    kinds = OUTDOOR_FLOORS if outdoors else INDOOR_FLOORS
    return make_surface(str(rng.choice(list(kinds))), rng, split)


def wall(rng: np.random.Generator, split: str) -> Surface:
    """A random wall: mostly paint."""
    kinds = ("paint", "stripes", "wall_brick", "tiles", "noise", "planks")
    odds = (0.5, 0.15, 0.1, 0.05, 0.15, 0.05)
    return make_surface(str(rng.choice(kinds, p=odds)), rng, split)


def veneer(rng: np.random.Generator, split: str) -> Surface:
    """A pattern about 1 on average, to be multiplied by a piece of furniture's own colour."""
    surface = make_surface(str(rng.choice(["planks", "paint", "noise"])), rng, split)
    return Surface(surface.kind, surface.metres, surface.pyramid / surface.pyramid[-1].mean())


def make_surface(kind: str, rng: np.random.Generator, split: str) -> Surface:
    """The pattern called `kind` (a key of PATTERNS) with random sizes and colours."""
    metres, albedo = PATTERNS[kind](rng, split)
    return Surface(kind, float(metres), mip_pyramid(albedo.astype(np.float32)))


def mip_pyramid(albedo: Float32[np.ndarray, "256 256 3"]) -> Float32[np.ndarray, "texels 3"]:
    """All levels of a tile, one after the other, each the 2x2 means of the one before."""
    levels = [np.clip(albedo, 0.005, 0.95)]
    while len(levels[-1]) > 1:
        half = len(levels[-1]) // 2
        levels.append(levels[-1].reshape(half, 2, half, 2, 3).mean((1, 3)))
    return np.concatenate([level.reshape(-1, 3) for level in levels])


def muted(rng: np.random.Generator, low: float, high: float, chroma: float) -> np.ndarray:
    """A random colour of albedo `low` to `high` whose channels differ by about `chroma` of it."""
    return rng.uniform(low, high) * np.exp(chroma * rng.normal(size=3))


def _cloud(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> np.ndarray:
    """[256, 256, 1] periodic noise, mean 0, deviation 1, spectrum falling as frequency^-slope."""
    y, x = np.fft.fftfreq(SIZE)[:, None] * SIZE, np.fft.rfftfreq(SIZE) * SIZE * stretch
    frequency = np.maximum(np.hypot(x, y), 1)
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(SIZE, SIZE))) * frequency**-slope, (SIZE, SIZE))
    return ((noise - noise.mean()) / noise.std())[..., None]


def _blocks(rows: int, columns: int, shift: np.ndarray, joint: int) -> tuple[np.ndarray, np.ndarray]:
    """Rectangular blocks in courses along x: (block number [256, 256], whether in a joint [256, 256, 1]).
    Course r starts `shift[r]` texels late; joints are `joint` texels wide."""
    y, x = np.mgrid[:SIZE, :SIZE]
    row = y * rows // SIZE
    along = (x - shift[row]) % SIZE
    numbers = row * columns + along * columns // SIZE
    gap = (y % (SIZE // rows) < joint) | (along % (SIZE // columns) < joint)
    return numbers, gap[..., None]


def _planks(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    rows = int(rng.choice([8, 16, 32]))
    numbers, gap = _blocks(rows, int(rng.choice([1, 2])), rng.integers(0, SIZE, rows), 1)
    wood = muted(rng, 0.06, 0.45, 0.06) * np.array([1.3, 0.95, 0.6])
    boards = 1 + rng.uniform(0.05, 0.25) * rng.normal(size=numbers.max() + 1)[numbers][..., None]
    albedo = wood * boards * (1 + 0.1 * _cloud(rng, 0.7, stretch=0.1))
    return rows * rng.uniform(0.07, 0.18), np.where(gap, albedo * rng.uniform(0.3, 0.9), albedo)


def _tiles(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    count = int(rng.choice([4, 8]))
    numbers, gap = _blocks(count, count, np.zeros(count, int), int(rng.integers(1, 3)))
    each = 1 + rng.uniform(0, 0.12) * rng.normal(size=numbers.max() + 1)[numbers][..., None]
    albedo = muted(rng, 0.15, 0.75, 0.12) * each * (1 + rng.uniform(0, 0.1) * _cloud(rng, 1.2))
    return count * rng.uniform(0.2, 0.6), np.where(gap, muted(rng, 0.1, 0.6, 0.03), albedo)


def _checker(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    y, x = np.mgrid[:SIZE, :SIZE] * 8 // SIZE
    dark, light = muted(rng, 0.03, 0.25, 0.2), muted(rng, 0.35, 0.8, 0.1)
    return 8 * rng.uniform(0.2, 0.6), np.where((((x + y) % 2) == 0)[..., None], light, dark)


def _carpet(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    numbers, _joints = _blocks(4, 4, np.zeros(4, int), 0)
    panels = 1 + rng.choice([0, 0.08]) * rng.normal(size=16)[numbers][..., None]
    fibres = 1 + rng.uniform(0.05, 0.25) * _cloud(rng, 0.2)
    return 2.0, muted(rng, 0.04, 0.4, 0.45) * panels * fibres


def _noise(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    mottled = _cloud(rng, rng.uniform(0.9, 1.6)) + 0.4 * _cloud(rng, 0.3)
    return rng.uniform(2, 5), muted(rng, 0.15, 0.55, 0.07) * (1 + rng.uniform(0.03, 0.2) * mottled)


def _paint(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    return 4.0, muted(rng, 0.3, 0.85, rng.choice([0.04, 0.25])) * (1 + 0.015 * _cloud(rng, 1.0))


def _stripes(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    x = np.arange(SIZE)[None, :, None] % (SIZE // 8)
    first, second = muted(rng, 0.2, 0.8, 0.2), muted(rng, 0.2, 0.8, 0.2)
    wide = int(rng.integers(4, 28))
    return rng.uniform(0.6, 2.4), np.broadcast_to(np.where(x < wide, first, second), (SIZE, SIZE, 3))


def _wall_brick(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    numbers, gap = _blocks(16, 4, np.arange(16) % 2 * (SIZE // 8), 2)
    each = 1 + 0.15 * rng.normal(size=numbers.max() + 1)[numbers][..., None]
    clay = muted(rng, 0.12, 0.4, 0.08) * np.array([1.35, 0.85, 0.65])
    albedo = clay * each * (1 + 0.1 * _cloud(rng, 0.5))
    return 1.0 * rng.uniform(0.9, 1.2), np.where(gap, muted(rng, 0.2, 0.6, 0.03), albedo)


def _photograph(name: str, metres: float, tint: tuple[float, float, float]) -> Pattern:
    """A quarter of a photograph, the quarters being dealt to the splits; mirrored until it is periodic."""

    def pattern(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
        row, column = QUADRANTS[split][rng.integers(len(QUADRANTS[split]))]
        quarter = load_texture(name)[256 * row : 256 * row + 256, 256 * column : 256 * column + 256]
        small = quarter.reshape(128, 2, 128, 2).mean((1, 3))
        grey = np.block([[small, small[:, ::-1]], [small[::-1], small[::-1, ::-1]]]) / 255
        linear = (grey**2.2 / (grey**2.2).mean())[..., None]
        return metres * rng.uniform(0.8, 1.25), muted(rng, 0.12, 0.35, 0.08) * tint * linear

    return pattern


INDOOR_FLOORS: dict[str, Pattern] = {
    "planks": _planks,
    "tiles": _tiles,
    "checker": _checker,
    "carpet": _carpet,
    "noise": _noise,
}
OUTDOOR_FLOORS: dict[str, Pattern] = {
    "brick": _photograph("brick", 1.0, (1.2, 0.95, 0.8)),
    "grass": _photograph("grass", 0.9, (0.75, 1.15, 0.4)),
    "gravel": _photograph("gravel", 0.8, (1.05, 1.0, 0.92)),
    "noise": _noise,
    "tiles": _tiles,
}
WALLS: dict[str, Pattern] = {"paint": _paint, "stripes": _stripes, "wall_brick": _wall_brick}
PATTERNS: dict[str, Pattern] = INDOOR_FLOORS | OUTDOOR_FLOORS | WALLS
