"""Box rooms with windows, doors, pictures and lamps, and the furniture that stands in them or outdoors.

Everything is axis-aligned in the place's own frame, which is the world turned about z.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32

from egorear.synth.floors import muted

CLEAR_RADIUS = 1.2  # metres around the origin kept free for the person
PAINTED, GLASS, LAMP = 0, 1, 2


@dataclass(frozen=True)
class Room:
    """Four walls and a ceiling over the floor z = 0.

    A panel is a rectangle on a wall: (wall, u0, u1, v0, v1, red, green, blue, mode). Walls 0…4 are -x, +x, -y,
    +y and the ceiling; u, v are the wall's free axes in the order x, y, z, in metres. A PAINTED panel shows
    its albedo, GLASS the outdoors times its colour, a LAMP its radiance; later panels cover earlier ones.
    """

    bounds: Float32[np.ndarray, "2 3"]  # lowest and highest corner
    panels: Float32[np.ndarray, "P 9"]


@dataclass(frozen=True)
class Furniture:
    """Boxes given by their lowest and highest corner, and their albedo."""

    boxes: Float32[np.ndarray, "K 6"]
    colors: Float32[np.ndarray, "K 3"]


def sample_room(rng: np.random.Generator) -> Room:
    """A room that reaches at least 2.5 m from the origin on all sides."""
    bounds = np.array([[*-rng.uniform(2.5, 5.5, 2), 0], [*rng.uniform(2.5, 5.5, 2), rng.uniform(2.3, 3.6)]])
    height, panels = bounds[1, 2], []
    trim = muted(rng, 0.1, 0.85, 0.1)
    skirting = rng.uniform(0.05, 0.12)
    for side in range(4):
        start, stop = bounds[:, 1 - side // 2]
        panels.append((side, start, stop, 0, skirting, *trim, PAINTED))
        used = start
        for _ in range(int(rng.integers(0, 4))):
            used += rng.uniform(0.2, 2.0)
            width = rng.uniform(0.6, 1.8)
            if used + width > stop - 0.2:
                break
            panels += _opening(rng, side, used, width, height, trim)
            used += width
    glow = rng.uniform(2, 8)
    for _ in range(int(rng.integers(0, 5))):
        size = rng.uniform(0.1, 0.6, 2)
        x, y = rng.uniform(bounds[0, :2], bounds[1, :2] - size)
        panels.append((4, x, x + size[0], y, y + size[1], glow, glow, 0.9 * glow, LAMP))
    return Room(bounds.astype(np.float32), np.array(panels, np.float32))


def _opening(rng, side: int, start: float, width: float, height: float, trim: np.ndarray) -> list[tuple]:
    """The panels of one window, door or picture."""
    kind = rng.choice(["window", "door", "picture"], p=[0.5, 0.2, 0.3])
    if kind == "door":
        leaf = (side, start, start + 0.85, 0, 2.03, *muted(rng, 0.1, 0.7, 0.15), PAINTED)
        return [(side, start - 0.07, start + 0.92, 0, 2.1, *trim, PAINTED), leaf]
    if kind == "picture":
        low = rng.uniform(0.9, 1.4)
        outer = (side, start, start + width, low, low + 0.7 * width)
        inner = (side, start + 0.04, start + width - 0.04, low + 0.04, low + 0.7 * width - 0.04)
        return [(*outer, *muted(rng, 0.02, 0.6, 0.2), PAINTED), (*inner, *muted(rng, 0.1, 0.7, 0.5), PAINTED)]
    low, high = rng.choice([0.1, 0.5, 0.9]), height - rng.uniform(0.15, 0.5)
    panes = [(side, start, start + width, low, high, *trim, PAINTED)]
    edges = np.linspace(start, start + width, int(rng.integers(2, 4)))
    brightness = rng.uniform(1.0, 3.0)
    for left, right in pairwise(edges):
        glass = (side, left + 0.04, right - 0.04, low + 0.06, high - 0.06)
        panes.append((*glass, *[brightness] * 3, GLASS))
    return panes


def sample_furniture(rng: np.random.Generator, room: Room | None, pieces: int) -> Furniture:
    """Up to `pieces` pieces of furniture along the walls of a room, or scattered within 5 m in the open, all
    clear of the circle in which the person stands."""
    boxes, colors = [], []
    for _ in range(pieces):
        piece = _turn(_piece(rng), turn := int(rng.integers(4)))
        low, high = piece[:, :3].min(0), piece[:, 3:].max(0)
        if room is None:
            at = rng.uniform(-5, 5, 2)
        else:
            at = rng.uniform(room.bounds[0, :2] - low[:2], room.bounds[1, :2] - high[:2])
            axis, end = ((1, 0), (0, 1), (1, 1), (0, 0))[turn]  # the wall behind the piece
            at[axis] = room.bounds[end, axis] - (low, high)[end][axis]
        piece[:, [0, 1, 3, 4]] += [*at, *at]
        nearest = np.clip(0, piece[:, :2], piece[:, 3:5])
        if np.linalg.norm(nearest, axis=1).min() < CLEAR_RADIUS:
            continue
        color = muted(rng, 0.04, 0.7, rng.choice([0.08, 0.4]))
        boxes.append(piece)
        colors += [color * rng.uniform(0.8, 1.1) for _ in piece]
    if not boxes:
        return Furniture(np.zeros((0, 6), np.float32), np.zeros((0, 3), np.float32))
    return Furniture(np.concatenate(boxes).astype(np.float32), np.array(colors, np.float32))


def _piece(rng: np.random.Generator) -> np.ndarray:
    """[boxes, 6] of one piece that stands on the floor with its back at y = 0 and reaches to +y."""
    wide, deep = rng.uniform(0.4, 1.6), rng.uniform(0.35, 0.65)
    kind = rng.choice(["cabinet", "wardrobe", "sofa", "table", "crate"])
    if kind == "sofa":
        wide = rng.uniform(1.3, 2.2)
        return np.array([[0, 0, 0, wide, 0.9, 0.42], [0, 0, 0.42, wide, 0.22, rng.uniform(0.7, 0.95)]])
    if kind == "table":
        wide, deep = wide + 0.3, deep + 0.2
        sides = [[0, 0.05, 0, 0.05, deep - 0.05, 0.71], [wide - 0.05, 0.05, 0, wide, deep - 0.05, 0.71]]
        return np.array([[0, 0, 0.71, wide, deep, 0.75], *sides])
    tall = {"cabinet": rng.uniform(0.4, 1.2), "wardrobe": rng.uniform(1.7, 2.2), "crate": deep}[str(kind)]
    return np.array([[0, 0, 0, wide if kind != "crate" else deep, deep, tall]])


def _turn(boxes: np.ndarray, quarters: int) -> np.ndarray:
    """Turns boxes about z: the back, first at -y, faces +x, +y, -x after one, two, three quarters."""
    for _ in range(quarters):
        x0, y0, z0, x1, y1, z1 = boxes.T
        boxes = np.stack([-y1, x0, z0, -y0, x1, z1], -1)
    return boxes.copy()
