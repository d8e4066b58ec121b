"""Surface patterns: periodic square tiles of albedo with a mip pyramid, so that no distance shows moiré.

Every pattern is periodic and knows its size in metres: the scale of boards and bricks is a depth cue, so it
stays within what is built. Regular patterns divide the tile by powers of two, which puts their edges exactly
between texels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float32

from egorear.synth.skies import load_texture

SIZE = 256  # texels along a side of the finest level
FLOOR, WALL, WOOD, SOFT, PRINT, PLAIN, GLOW, GLASS = range(8)
"""How a surface looks: the first five are a place's patterns, then one colour, one radiance, the outdoors behind."""
GRAIN_M = 0.64  # side of the tile of fine grain that all floors share
Pattern = Callable[[np.random.Generator, str], tuple[float, np.ndarray]]  # (random, split) -> metres, albedo
QUADRANTS = {"train": ((0, 0), (0, 1)), "validation": ((1, 0),), "test": ((1, 1),)}  # of every photograph


@dataclass(frozen=True)
class Surface:
    """A repeating pattern: texel (row, column) of the finest level covers x = column, y = row texel widths."""

    kind: str
    metres: float  # side of the tile
    pyramid: Float32[np.ndarray, "texels 3"]  # linear albedo; levels of 256², 128², … 1², finest first
    grain: float = 0.0  # contrast of what is finer than the pattern's own texels


def floor(rng: np.random.Generator, split: str, ground: str) -> Surface:
    """A random floor for a place whose ground is that of a "house", a "town" or the "country"."""
    kinds = FLOORS[ground]
    return make_surface(str(rng.choice(kinds)), rng, split)


def wall(rng: np.random.Generator, split: str, ground: str) -> Surface:
    """A random wall: mostly paint in houses, elsewhere the front of a building."""
    kinds = ("paint", "stripes", "wall_brick", "tiles", "noise", "planks", "concrete")
    odds = (0.5, 0.15, 0.1, 0.05, 0.1, 0.05, 0.05)
    return make_surface(str(rng.choice(kinds, p=odds)) if ground == "house" else "facade", rng, split)


def matched(surface: Surface, albedo: np.ndarray) -> Surface:
    """The surface with its mean albedo brought to another, as far as nothing gets near black or white."""
    target = np.clip(albedo, 0.03, 0.7)
    factor = (target / surface.pyramid[-1].astype(np.float64)).astype(np.float32)
    return replace(surface, pyramid=np.minimum(surface.pyramid * factor, np.float32(0.95)))


def finish(kind: str, rng: np.random.Generator, split: str) -> Surface:
    """A pattern about 1 on average, to be multiplied by a thing's own colour."""
    surface = make_surface(kind, rng, split)
    return Surface(kind, surface.metres, surface.pyramid / surface.pyramid[-1].mean())


def make_surface(kind: str, rng: np.random.Generator, split: str) -> Surface:
    """The pattern called `kind` (a key of PATTERNS) with random sizes and colours."""
    metres, albedo = PATTERNS[kind](rng, split)
    low, high = GRAIN.get(kind, (0.0, 0.0))
    return Surface(kind, float(metres), mip_pyramid(albedo.astype(np.float32)), float(rng.uniform(low, high)))


@cache
def grain() -> Float32[np.ndarray, "texels"]:
    """Mip pyramid of fine noise, mean 0 and deviation 1 at the finest level, for all floors alike."""
    rng = np.random.default_rng(0)
    noise = np.clip(0.8 * _cloud(rng, 0.15) + 0.6 * _cloud(rng, 0.6), -2.5, 2.5)
    return np.ascontiguousarray(_pyramid(noise.astype(np.float32)).ravel())


def mip_pyramid(albedo: Float32[np.ndarray, "256 256 3"]) -> Float32[np.ndarray, "texels 3"]:
    """All levels of a tile, one after the other, each the 2x2 means of the one before."""
    return _pyramid(np.clip(albedo, np.float32(0.005), np.float32(0.95)))


def _pyramid(finest: np.ndarray) -> np.ndarray:
    size, _, channels = finest.shape
    out = np.empty(((4 * size * size - 1) // 3, channels), np.float32)
    out[: size * size] = finest.reshape(-1, channels)
    start = 0
    while size > 1:
        a = out[start : start + size * size].reshape(size, size, channels)
        start, size = start + size * size, size // 2
        level = out[start : start + size * size].reshape(size, size, channels)
        # written out: the order of these sums must not be the machine's choice
        level[:] = ((a[::2, ::2] + a[::2, 1::2]) + (a[1::2, ::2] + a[1::2, 1::2])) * np.float32(0.25)
    return out


def muted(rng: np.random.Generator, low: float, high: float, chroma: float) -> np.ndarray:
    """A random colour of albedo `low` to `high` whose channels differ by about `chroma` of it."""
    return rng.uniform(low, high) * np.exp(chroma * rng.normal(size=3))


def _cloud(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> np.ndarray:
    """[256, 256, 1] periodic noise, mean 0, deviation 1, spectrum falling as frequency^-slope."""
    spectrum = rng.standard_normal((SIZE, SIZE + 2)).view(np.complex128)
    spectrum *= np.exp(-slope * _log_frequency(stretch))
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (SIZE, SIZE))
    return (noise / noise.std())[..., None]


@cache
def _log_frequency(stretch: float) -> np.ndarray:
    y, x = np.fft.fftfreq(SIZE)[:, None] * SIZE, np.fft.rfftfreq(SIZE) * SIZE * stretch
    return np.log(np.maximum(np.hypot(x, y), 1))


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
    wear = 1 + rng.uniform(0.03, 0.15) * _cloud(rng, 0.9)
    return 8 * rng.uniform(0.2, 0.6), np.where((((x + y) % 2) == 0)[..., None], light, dark) * wear


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


def _concrete(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    stains = 1 + 0.1 * _cloud(rng, 1.3) + rng.uniform(0.04, 0.12) * _cloud(rng, 0.2)
    numbers, gap = _blocks(int(rng.choice([1, 2])), 2, np.zeros(2, int), 1)
    albedo = muted(rng, 0.2, 0.5, 0.03) * stains * (1 + 0.04 * rng.normal(size=4)[numbers % 4][..., None])
    return rng.uniform(3, 5), np.where(gap, albedo * rng.uniform(0.5, 1.0), albedo)


def _asphalt(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    stones = 1 + rng.uniform(0.15, 0.3) * _cloud(rng, 0.1) + 0.08 * _cloud(rng, 1.5)
    cracks = np.abs(_cloud(rng, 1.5)) < rng.uniform(0, 0.03)
    return rng.uniform(1.5, 2.5), muted(rng, 0.05, 0.18, 0.04) * stones * np.where(cracks, 0.5, 1)


def _snow(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    drifts = 1 + 0.06 * _cloud(rng, 1.5) + 0.04 * _cloud(rng, 0.5)
    return rng.uniform(2, 4), rng.uniform(0.75, 0.9) * np.array([0.97, 1.0, 1.03]) * drifts


def _facade(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    """Two storeys of two windows each."""
    y, x = np.mgrid[:SIZE, :SIZE] % (SIZE // 2)
    wide, tall = rng.integers(36, 80), rng.integers(44, 84)
    left, low = (SIZE // 2 - wide) // 2, 30
    inside = (x >= left) & (x < left + wide) & (y >= low) & (y < low + tall)
    rim = (x >= left - 4) & (x < left + wide + 4) & (y >= low - 4) & (y < low + tall + 4)
    bars = (np.abs(x - SIZE // 4) < 2) & (rng.random() < 0.6)
    render = muted(rng, 0.12, 0.6, 0.1) * (1 + 0.08 * _cloud(rng, 1.2) + 0.05 * _cloud(rng, 0.3))
    albedo = np.where(rim[..., None], muted(rng, 0.1, 0.7, 0.05), render)
    glass = muted(rng, 0.03, 0.12, 0.1) * (1 + 0.3 * ((x + y) // 40 % 2))[..., None]
    return rng.uniform(5, 7), np.where((inside & ~bars)[..., None], glass, albedo)


def _fabric(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    y, x = np.mgrid[:SIZE, :SIZE]
    weave = ((x // 8 + y // 8) % 2)[..., None] * rng.uniform(0, 0.3)
    return rng.uniform(0.5, 1.0), 0.45 * (1 + weave + rng.uniform(0.1, 0.25) * _cloud(rng, 0.4)) * np.ones(3)


def _leaves(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    clumps = np.exp(0.45 * _cloud(rng, 0.5) + 0.3 * _cloud(rng, 1.2))
    return rng.uniform(0.6, 1.2), 0.3 * clumps * np.exp(0.1 * rng.normal(size=3))


def _print(rng: np.random.Generator, split: str) -> tuple[float, np.ndarray]:
    """Upright strips with bands of other colours across: backs of books, pictures, woven rugs, labels."""
    edges = np.sort(rng.integers(0, SIZE, 24))
    strip = np.searchsorted(edges, np.arange(SIZE))
    colors = rng.uniform(0.15, 0.8, (25, 1)) * np.exp(0.35 * rng.normal(size=(25, 3)))
    band = np.searchsorted(np.sort(rng.integers(0, SIZE, 8)), np.arange(SIZE)) % 3 == 0
    accents = colors[(strip + 7) % 25]
    return rng.uniform(0.5, 1.2), np.where(band[:, None, None], accents[None], colors[strip][None])


PATTERNS: dict[str, Pattern] = {
    "planks": _planks,
    "tiles": _tiles,
    "checker": _checker,
    "carpet": _carpet,
    "noise": _noise,
    "concrete": _concrete,
    "brick": _photograph("brick", 1.0, (1.2, 0.95, 0.8)),
    "grass": _photograph("grass", 0.9, (0.75, 1.15, 0.4)),
    "gravel": _photograph("gravel", 0.8, (1.05, 1.0, 0.92)),
    "asphalt": _asphalt,
    "snow": _snow,
    "paint": _paint,
    "stripes": _stripes,
    "wall_brick": _wall_brick,
    "facade": _facade,
    "fabric": _fabric,
    "leaves": _leaves,
    "print": _print,
}
FLOORS = {
    "house": ("planks", "planks", "planks", "tiles", "tiles", "carpet", "carpet", "noise", "concrete", "checker"),
    "town": ("brick", "tiles", "concrete", "asphalt", "asphalt", "gravel", "snow"),
    "country": ("grass", "grass", "gravel", "noise", "snow"),
}
GRAIN = {
    "planks": (0.03, 0.1), "tiles": (0.02, 0.08), "checker": (0.02, 0.08), "carpet": (0.1, 0.3), "noise": (0.05, 0.2),
    "concrete": (0.05, 0.15), "asphalt": (0.1, 0.3), "snow": (0.02, 0.06), "brick": (0.05, 0.15),
    "grass": (0.15, 0.3), "gravel": (0.1, 0.25),
}  # fmt: skip
