"""The catalogue of furniture, street furniture and small things, each built of a few axis-aligned boxes.

A piece is a list of rows: lowest corner, highest corner (metres), red, green, blue, look. It stands on the floor in
a frame of its own, its back at y = 0 and itself reaching to +y and +x.
"""

from itertools import pairwise

import numpy as np

from egorear.synth.floors import GLOW, PLAIN, PRINT, SOFT, WALL, WOOD, muted

Rows = list[list[float]]


def _box(x0, y0, z0, x1, y1, z1, color, look: int = WOOD) -> list[float]:
    return [float(number) for number in (x0, y0, z0, x1, y1, z1, *color, look)]


def _legs(wide: float, deep: float, tall: float, thick: float, color) -> Rows:
    ends = ((0.02, 0.02 + thick), (wide - 0.02 - thick, wide - 0.02))
    sides = ((0.02, 0.02 + thick), (deep - 0.02 - thick, deep - 0.02))
    return [_box(x0, y0, 0, x1, y1, tall, color) for x0, x1 in ends for y0, y1 in sides]


def _wood(rng) -> np.ndarray:
    if rng.random() < 0.6:
        return muted(rng, 0.05, 0.45, 0.06) * np.array([1.25, 0.95, 0.65])
    return muted(rng, 0.03, 0.8, 0.08)


def _fabric(rng) -> np.ndarray:
    return muted(rng, 0.04, 0.6, rng.choice([0.08, 0.4]))


def _on_top(rng, wide: float, deep: float, at: float) -> Rows:
    """A few things on a board at height `at`."""
    rows = []
    for _ in range(int(rng.integers(0, 4))):
        w, d, h = rng.uniform(0.05, 0.25), rng.uniform(0.05, 0.2), rng.uniform(0.03, 0.35)
        x, y = rng.uniform(0, max(wide - w, 0.01)), rng.uniform(0, max(deep - d, 0.01))
        rows.append(_box(x, y, at, x + w, y + d, at + h, muted(rng, 0.05, 0.8, 0.4), int(rng.choice([PLAIN, PRINT]))))
    return rows


def _cabinet(rng) -> Rows:
    wide, deep, tall, color = rng.uniform(0.6, 1.6), rng.uniform(0.35, 0.6), rng.uniform(0.5, 1.1), _wood(rng)
    return [_box(0, 0, 0, wide, deep, tall, color), *_on_top(rng, wide, deep, tall)]


def _wardrobe(rng) -> Rows:
    doors, width, tall, color = int(rng.integers(2, 4)), rng.uniform(0.4, 0.6), rng.uniform(1.8, 2.2), _wood(rng)
    rows = [_box(0, 0, 0, doors * width, 0.55, tall, color * 0.5)]
    for k in range(doors):
        rows.append(_box(k * width + 0.01, 0.55, 0.06, (k + 1) * width - 0.01, 0.57, tall - 0.02, color))
    return rows


def _shelf(rng) -> Rows:
    wide, deep, boards, color = rng.uniform(0.6, 1.2), rng.uniform(0.25, 0.35), int(rng.integers(3, 6)), _wood(rng)
    step = rng.uniform(0.32, 0.4)
    tall = boards * step
    rows = [_box(0, 0, 0, 0.03, deep, tall, color), _box(wide - 0.03, 0, 0, wide, deep, tall, color)]
    rows.append(_box(0.03, 0, 0, wide - 0.03, 0.02, tall, color * 0.6))
    for k in range(boards):
        z = (k + 1) * step
        rows.append(_box(0.03, 0.02, z - 0.03, wide - 0.03, deep, z, color))
        if rng.random() < 0.8:  # a row of books
            start, stop = np.sort(rng.uniform(0.05, wide - 0.05, 2))
            books = muted(rng, 0.1, 0.5, 0.2)
            rows.append(
                _box(start, 0.04, z - step, stop, deep - 0.04, z - step + rng.uniform(0.18, 0.26), books, PRINT)
            )
    return rows


def _sofa(rng) -> Rows:
    wide, color = rng.uniform(1.3, 2.3), _fabric(rng)
    arm = rng.uniform(0.12, 0.22)
    seats = np.linspace(arm, wide - arm, int(rng.integers(2, 4)))
    rows = [_box(0, 0, 0.05, wide, 0.9, 0.28, color * 0.85, SOFT), _box(0, 0, 0.28, wide, 0.22, 0.85, color, SOFT)]
    rows += [_box(x, 0.22, 0.28, x + arm, 0.9, 0.6, color, SOFT) for x in (0, wide - arm)]
    for start, stop in pairwise(seats):
        rows.append(_box(start + 0.01, 0.22, 0.28, stop - 0.01, 0.92, 0.44, color * rng.uniform(0.95, 1.1), SOFT))
    if rng.random() < 0.5:
        x = rng.uniform(arm, wide - arm - 0.4)
        rows.append(_box(x, 0.22, 0.44, x + 0.4, 0.36, 0.8, muted(rng, 0.1, 0.7, 0.4), SOFT))
    return rows


def _table(rng) -> Rows:
    wide, deep, tall = rng.uniform(0.7, 1.8), rng.uniform(0.6, 0.95), rng.choice([0.45, 0.74])
    color = _wood(rng)
    top = _box(0, 0, tall - 0.04, wide, deep, tall, color)
    return [top, *_legs(wide, deep, tall - 0.04, 0.06, color * 0.8), *_on_top(rng, wide, deep, tall)]


def _desk(rng) -> Rows:
    wide, color, dark = rng.uniform(1.1, 1.6), _wood(rng), muted(rng, 0.02, 0.08, 0.05)
    screen = muted(rng, 0.15, 1.3, 0.4)
    x = rng.uniform(0.2, wide - 0.8)
    return [
        _box(0, 0, 0.7, wide, 0.7, 0.74, color),
        _box(0, 0.05, 0, 0.04, 0.65, 0.7, color * 0.8),
        _box(wide - 0.45, 0.05, 0, wide, 0.65, 0.7, color * 0.9),
        _box(x + 0.2, 0.15, 0.74, x + 0.4, 0.3, 0.86, dark, PLAIN),
        _box(x, 0.2, 0.84, x + 0.6, 0.24, 1.2, dark, PLAIN),
        _box(x + 0.015, 0.24, 0.855, x + 0.585, 0.243, 1.185, screen, GLOW),
        _box(x + 0.05, 0.45, 0.74, x + 0.5, 0.6, 0.76, muted(rng, 0.03, 0.7, 0.05), PRINT),
    ]


def _chair(rng) -> Rows:
    color, size = _wood(rng), rng.uniform(0.4, 0.48)
    seat = _box(0, 0, 0.43, size, size, 0.47, _fabric(rng), SOFT)
    return [seat, *_legs(size, size, 0.43, 0.04, color), _box(0, 0, 0.55, size, 0.04, rng.uniform(0.8, 1.0), color)]


def _bed(rng) -> Rows:
    wide, cover, frame = rng.choice([0.9, 1.4, 1.8]), _fabric(rng), _wood(rng)
    rows = [_box(0, 0, 0.0, wide, 2.05, 0.28, frame), _box(0, 0, 0.28, wide, 0.06, rng.uniform(0.7, 1.1), frame)]
    rows.append(_box(0.03, 0.06, 0.28, wide - 0.03, 2.02, 0.48, muted(rng, 0.6, 0.8, 0.03), SOFT))
    rows.append(_box(0.01, 0.7, 0.3, wide - 0.01, 2.04, 0.54, cover, SOFT))
    rows.append(_box(0.1, 0.1, 0.48, wide / 2 + 0.05, 0.5, 0.6, muted(rng, 0.5, 0.85, 0.05), SOFT))
    return rows


def _lamp(rng) -> Rows:
    metal, shade = muted(rng, 0.03, 0.6, 0.05), rng.uniform(1.5, 5) * np.array([1.0, 0.85, 0.6])
    tall = rng.uniform(1.3, 1.7)
    return [
        _box(0, 0, 0, 0.28, 0.28, 0.03, metal, PLAIN),
        _box(0.125, 0.125, 0.03, 0.155, 0.155, tall, metal, PLAIN),
        _box(0, 0, tall, 0.28, 0.28, tall + 0.25, shade, GLOW),
    ]


def _plant(rng) -> Rows:
    pot, tall = rng.uniform(0.2, 0.35), rng.uniform(0.3, 1.0)
    rows = [_box(0, 0, 0, pot, pot, 0.9 * pot, muted(rng, 0.1, 0.6, 0.15), PLAIN)]
    for _ in range(6):
        x, y, z = *rng.uniform(-0.15, pot - 0.05, 2), 0.9 * pot + rng.uniform(0, tall)
        size = rng.uniform(0.08, 0.28, 3)
        green = muted(rng, 0.05, 0.2, 0.1) * np.array([0.7, 1.2, 0.4])
        rows.append(_box(x, y, z, x + size[0], y + size[1], z + size[2], green, SOFT))
    return rows


def _television(rng) -> Rows:
    wide, screen = rng.uniform(1.0, 1.5), muted(rng, 0.05, 1.5, 0.5)
    bench = _box(0, 0, 0, wide + 0.3, 0.4, 0.45, _wood(rng))
    frame = _box(0.15, 0.15, 0.5, 0.15 + wide, 0.19, 0.5 + 0.58 * wide, [0.02] * 3, PLAIN)
    return [bench, frame, _box(0.17, 0.19, 0.52, 0.13 + wide, 0.192, 0.48 + 0.58 * wide, screen, GLOW)]


def _crates(rng) -> Rows:
    size, card = rng.uniform(0.3, 0.5), muted(rng, 0.2, 0.4, 0.05) * np.array([1.2, 0.95, 0.65])
    rows = [_box(0, 0, 0, size, size, 0.8 * size, card)]
    if rng.random() < 0.5:
        rows.append(_box(0.03, 0.02, 0.8 * size, size - 0.05, size - 0.03, 1.4 * size, card * 0.9))
    return rows


def _bench(rng) -> Rows:
    wide, color, iron = rng.uniform(1.4, 2.0), _wood(rng), muted(rng, 0.03, 0.2, 0.05)
    rows = [_box(0, 0.05 + 0.15 * k, 0.43, wide, 0.17 + 0.15 * k, 0.46, color) for k in range(3)]
    rows += [_box(0, 0, 0.6, wide, 0.04, 0.72, color), _box(0, 0, 0.76, wide, 0.04, 0.88, color)]
    return rows + [_box(x, 0, 0, x + 0.06, 0.5, 0.43, iron, PLAIN) for x in (0.1, wide - 0.16)]


def _hedge(rng) -> Rows:
    green = muted(rng, 0.05, 0.16, 0.1) * np.array([0.75, 1.2, 0.4])
    long, tall = rng.uniform(2, 8), rng.uniform(0.6, 2.0)
    cuts = np.linspace(0, long, int(rng.integers(2, 5)))
    return [
        _box(a, 0, 0, b, rng.uniform(0.6, 0.9), tall * rng.uniform(0.92, 1.08), green * rng.uniform(0.85, 1.15), SOFT)
        for a, b in pairwise(cuts)
    ]


def _tree(rng) -> Rows:
    bark, green = muted(rng, 0.05, 0.15, 0.1), muted(rng, 0.05, 0.16, 0.1) * np.array([0.75, 1.2, 0.4])
    start = rng.uniform(1.8, 3)
    rows = [_box(0, 0, 0, 0.25, 0.25, start + 0.5, bark, SOFT)]
    for _ in range(5):
        x, y, z = *rng.uniform(-1.4, 0.3, 2), start + rng.uniform(0, 1.5)
        size = rng.uniform(0.8, 1.6, 3)
        rows.append(_box(x, y, z, x + size[0], y + size[1], z + size[2], green * rng.uniform(0.7, 1.3), SOFT))
    return rows


def _car(rng) -> Rows:
    paint, glass, tyre = muted(rng, 0.03, 0.75, rng.choice([0.05, 0.5])), [0.03, 0.035, 0.04], [0.02] * 3
    long = rng.uniform(3.8, 4.7)
    rows = [
        _box(0, 0, 0.25, long, 1.75, 0.85, paint, PLAIN),
        _box(0.9, 0.1, 0.85, long - 0.7, 1.65, 1.35, glass, PLAIN),
    ]
    rows.append(_box(1.1, 0.15, 1.35, long - 1.0, 1.6, 1.42, paint, PLAIN))
    for x in (0.5, long - 1.1):
        rows += [_box(x, y, 0, x + 0.62, y + 0.2, 0.62, tyre, PLAIN) for y in (-0.01, 1.56)]
    return rows


def _building(rng) -> Rows:
    long, deep, tall = rng.uniform(6, 20), rng.uniform(4, 10), rng.uniform(3, 14)
    roof = _box(-0.3, -0.3, tall, long + 0.3, deep + 0.3, tall + 0.3, muted(rng, 0.05, 0.3, 0.1), PLAIN)
    return [_box(0, 0, 0, long, deep, tall, muted(rng, 0.7, 1.2, 0.08), WALL), roof]


def _fence(rng) -> Rows:
    long, tall = rng.uniform(4, 16), rng.uniform(0.8, 2.4)
    return [_box(0, 0, 0, long, 0.15, tall, muted(rng, 0.1, 0.6, 0.1), WOOD)]


def _kerb(rng) -> Rows:
    color, long = muted(rng, 0.2, 0.5, 0.03), rng.uniform(6, 20)
    pavement = _box(0, 0, 0, long, rng.uniform(1.5, 3), 0.12, color, PLAIN)
    return [pavement, _box(0, pavement[4], 0, long, pavement[4] + 0.15, 0.125, color * 1.2, PLAIN)]


def _pole(rng) -> Rows:
    return [_box(0, 0, 0, 0.12, 0.12, rng.uniform(2.5, 6), muted(rng, 0.05, 0.5, 0.1), PLAIN)]


def _bin(rng) -> Rows:
    size, color = rng.uniform(0.3, 0.6), muted(rng, 0.04, 0.4, 0.4)
    return [
        _box(0, 0, 0, size, size, 1.6 * size, color, PLAIN),
        _box(-0.02, -0.02, 1.6 * size, size + 0.02, size + 0.02, 1.7 * size, color * 0.6, PLAIN),
    ]


def _books(rng) -> Rows:
    rows, z = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        x, y, thick = *rng.uniform(0, 0.04, 2), rng.uniform(0.015, 0.05)
        rows.append(_box(x, y, z, x + 0.22, y + 0.16, z + thick, muted(rng, 0.1, 0.7, 0.4), PRINT))
        z += thick
    return rows


def _bag(rng) -> Rows:
    color, wide, tall = _fabric(rng), rng.uniform(0.28, 0.45), rng.uniform(0.25, 0.45)
    pocket = _box(0.04, 0.18, 0, wide - 0.04, 0.24, 0.6 * tall, color * 0.8, SOFT)
    return [_box(0, 0, 0, wide, 0.18, tall, color, SOFT), pocket]


def _shoes(rng) -> Rows:
    color, sole = muted(rng, 0.03, 0.7, 0.3), muted(rng, 0.02, 0.8, 0.05)
    rows = []
    for x in (0, rng.uniform(0.11, 0.2)):
        y = rng.uniform(0, 0.08)
        rows.append(_box(x, y, 0, x + 0.09, y + 0.28, 0.03, sole, PLAIN))
        rows.append(_box(x + 0.01, y + 0.01, 0.03, x + 0.08, y + 0.15, 0.1, color, SOFT))
    return rows


def _bottle(rng) -> Rows:
    color = muted(rng, 0.05, 0.6, 0.5)
    return [_box(0, 0, 0, 0.07, 0.07, 0.17, color, PLAIN), _box(0.022, 0.022, 0.17, 0.048, 0.048, 0.24, color, PLAIN)]


def _toys(rng) -> Rows:
    rows = []
    for _ in range(int(rng.integers(2, 6))):
        x, y, size = *rng.uniform(0, 0.5, 2), rng.uniform(0.03, 0.1)
        rows.append(_box(x, y, 0, x + size, y + size * rng.uniform(1, 2), size, muted(rng, 0.1, 0.7, 0.7), PLAIN))
    return rows


LARGE = {
    "house": {
        "cabinet": (1.2, _cabinet), "wardrobe": (0.8, _wardrobe), "shelf": (1.0, _shelf), "sofa": (1.0, _sofa),
        "table": (1.0, _table), "desk": (1.0, _desk), "chair": (1.5, _chair), "bed": (0.7, _bed), "lamp": (0.6, _lamp),
        "plant": (0.7, _plant), "television": (0.6, _television), "crates": (0.6, _crates),
    },
    "town": {
        "bench": (1.0, _bench), "hedge": (0.6, _hedge), "tree": (0.8, _tree), "car": (1.8, _car),
        "building": (1.8, _building), "fence": (0.6, _fence), "kerb": (1.2, _kerb), "pole": (1.0, _pole),
        "bin": (0.8, _bin),
    },
    "country": {
        "bench": (1.0, _bench), "hedge": (1.5, _hedge), "tree": (2.0, _tree), "fence": (1.2, _fence),
        "pole": (0.5, _pole), "bin": (0.4, _bin), "car": (0.3, _car), "building": (0.3, _building),
    },
}  # fmt: skip
SMALL = {
    "books": (1.0, _books), "bag": (1.0, _bag), "shoes": (1.0, _shoes), "bottle": (0.8, _bottle), "toys": (0.7, _toys),
    "crates": (0.5, _crates),
}  # fmt: skip
