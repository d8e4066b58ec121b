"""Flat things on the floor, which one may walk over: rugs, papers, cables, leaves, markings; and small boxes.

Patches are rectangles in the plane z = 0 of the place's frame. A table of bit masks tells which patches touch each
cell of the floor near the origin, so that a ray looks at those only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt64

from egorear.synth.floors import FLOOR, PLAIN, PRINT, SOFT, muted

CELL_M = 0.25
HALF_CELLS = 20  # on either side of the origin
MOST = 64  # bits of a mask
Rows = list[list[float]]


@dataclass(frozen=True)
class Patches:
    """Rectangles (x, y, cos, sin, half length, half width, red, green, blue, look); later ones lie on top.

    cells: bit k of cells[row along y, column along x] says that patch k may touch that cell.
    """

    rows: Float32[np.ndarray, "P 10"]
    cells: UInt64[np.ndarray, "G G"]


def lay(rows: Rows) -> Patches:
    """Puts up to 64 patches on the floor."""
    patches = np.array(rows[:MOST], np.float64).reshape(-1, 10)
    cells = np.zeros((2 * HALF_CELLS, 2 * HALF_CELLS), np.uint64)
    for k, (x, y, c, s, length, width, *_) in enumerate(patches):
        wide, high = length * abs(c) + width * abs(s) + 0.03, length * abs(s) + width * abs(c) + 0.03
        columns = _span(x - wide, x + wide)
        cells[_span(y - high, y + high), columns] |= np.uint64(1 << k)
    return Patches(patches.astype(np.float32), cells)


def _span(low: float, high: float) -> slice:
    first, last = np.clip(np.floor(np.array([low, high]) / CELL_M).astype(int) + HALF_CELLS, 0, 2 * HALF_CELLS)
    return slice(int(first), int(last) + 1)


def scatter(rng: np.random.Generator, ground: str, amount: float) -> Patches:
    """Random patches within some metres of the origin, such as lie about in a "house", a "town" or the "country";
    `amount` 0…1 from a bare to a littered floor."""
    rows: Rows = []
    for kind, likely in ODDS[ground].items():
        if rng.random() < likely * (0.25 + 0.75 * amount):
            for _ in range(1 if kind == "rug" else 1 + int(rng.poisson(1.5 * amount))):
                rows += KINDS[kind](rng, rng.normal(0, 1.3, 2))
    return lay(rows)


def _flat(at, angle: float, size, color, look: int = PLAIN) -> list[float]:
    length, width = size
    return [float(n) for n in (*at, np.cos(angle), np.sin(angle), length / 2, width / 2, *color, look)]


def _rug(rng, at) -> Rows:
    length, width = rng.uniform(1.2, 3.0), rng.uniform(0.8, 2.0)
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.1)
    border, inner = muted(rng, 0.05, 0.6, 0.25), muted(rng, 0.05, 0.6, 0.25)
    inset = rng.uniform(0.06, 0.2)
    look = PRINT if rng.random() < 0.35 else SOFT
    rug = [_flat(at, angle, (length, width), border, SOFT)]
    rug.append(_flat(at, angle, (length - 2 * inset, width - 2 * inset), inner, look))
    if rng.random() < 0.5:
        rug.append(_flat(at, angle, (length - 4 * inset, width - 4 * inset), muted(rng, 0.1, 0.7, 0.3), SOFT))
    return [row for row in rug if row[4] > 0 and row[5] > 0]


def _papers(rng, at) -> Rows:
    return [
        _flat(at + rng.normal(0, 0.25, 2), rng.uniform(0, np.pi), (0.297, 0.21), muted(rng, 0.6, 0.85, 0.03))
        for _ in range(int(rng.integers(1, 5)))
    ]


def _magazine(rng, at) -> Rows:
    return [_flat(at, rng.uniform(0, np.pi), (0.28, 0.21), muted(rng, 0.2, 0.7, 0.3), PRINT)]


def _cable(rng, at) -> Rows:
    angle, color, rows = rng.uniform(-np.pi, np.pi), muted(rng, 0.02, 0.1, 0.1), []
    if rng.random() < 0.3:
        color = muted(rng, 0.5, 0.8, 0.3)
    for _ in range(int(rng.integers(3, 9))):
        step = rng.uniform(0.12, 0.35)
        middle = at + step / 2 * np.array([np.cos(angle), np.sin(angle)])
        rows.append(_flat(middle, angle, (step, 0.012), color))
        at = 2 * middle - at
        angle += rng.normal(0, 0.6)
    return rows


def _cloth(rng, at) -> Rows:
    color, angle = muted(rng, 0.05, 0.7, 0.35), rng.uniform(0, np.pi)
    return [
        _flat(at + rng.normal(0, 0.08, 2), angle + rng.normal(0, 0.5), rng.uniform(0.2, 0.5, 2), color, SOFT)
        for _ in range(int(rng.integers(2, 4)))
    ]


def _tape(rng, at) -> Rows:
    return [_flat(at, rng.uniform(0, np.pi), (rng.uniform(0.4, 3), 0.05), muted(rng, 0.1, 0.8, 0.4))]


def _leaves(rng, at) -> Rows:
    color = muted(rng, 0.05, 0.35, 0.15) * np.array([1.3, 0.9, 0.4])
    return [
        _flat(
            at + rng.normal(0, 0.8, 2), rng.uniform(0, np.pi), rng.uniform(0.04, 0.1, 2), color * rng.uniform(0.6, 1.4)
        )
        for _ in range(int(rng.integers(4, 12)))
    ]


def _marking(rng, at) -> Rows:
    paint, angle = muted(rng, 0.5, 0.85, 0.08), rng.uniform(0, np.pi)
    if rng.random() < 0.3:
        paint = paint * np.array([1.0, 0.8, 0.25])
    step = rng.uniform(0.5, 1.2) * np.array([-np.sin(angle), np.cos(angle)])
    lines = int(rng.choice([1, 1, 5]))  # a line, or a crossing
    return [_flat(at + k * step, angle, (rng.uniform(3, 8), rng.uniform(0.1, 0.4)), paint) for k in range(lines)]


def _cover(rng, at) -> Rows:
    angle, size = rng.uniform(0, np.pi), rng.uniform(0.5, 0.8)
    color = muted(rng, 0.04, 0.15, 0.05)
    return [_flat(at, angle, (size, size), color * 0.5), _flat(at, angle, (size - 0.06, size - 0.06), color, PRINT)]


def _repair(rng, at) -> Rows:
    return [_flat(at, rng.uniform(0, np.pi), rng.uniform(0.6, 3, 2), muted(rng, 0.5, 1.3, 0.05), FLOOR)]


KINDS = {
    "rug": _rug, "repair": _repair, "marking": _marking, "cover": _cover, "papers": _papers, "magazine": _magazine,
    "cable": _cable, "cloth": _cloth, "tape": _tape, "leaves": _leaves,
}  # fmt: skip
ODDS = {
    "house": {"rug": 0.6, "papers": 0.35, "magazine": 0.35, "cable": 0.5, "cloth": 0.35, "tape": 0.15},
    "town": {"repair": 0.35, "marking": 0.4, "cover": 0.35, "leaves": 0.5, "papers": 0.2},
    "country": {"repair": 0.2, "leaves": 0.8, "cloth": 0.15, "papers": 0.1},
}
