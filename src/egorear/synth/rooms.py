"""Box rooms with windows, doors, pictures and lamps.

Everything is axis-aligned in the place's own frame, which is the world turned about z.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32

from egorear.synth.floors import GLASS, GLOW, PLAIN, PRINT, SOFT, muted

MARGIN_M = 1.0  # walls stay this far outside the person's reach
WALLS = 5
NO_PANELS = np.zeros((0, 9), np.float32)


@dataclass(frozen=True)
class Room:
    """Four walls and a ceiling over the floor z = 0.

    A panel is a rectangle on a wall: (wall, u0, u1, v0, v1, red, green, blue, look). Walls 0…4 are -x, +x, -y,
    +y and the ceiling; u, v are the wall's free axes in the order x, y, z, in metres. Panels are sorted by wall;
    later ones cover earlier ones.
    """

    bounds: Float32[np.ndarray, "2 3"]  # lowest and highest corner
    panels: Float32[np.ndarray, "P 9"]

    def lamp(self) -> tuple[np.ndarray, np.ndarray]:
        """(where the middle of the lamps is, or else that of the windows, and its hue with mean 1)."""
        for look in (GLOW, GLASS):
            weights, points, colors = [], [], []
            for wall, u0, u1, v0, v1, *color, own in self.panels.astype(np.float64):
                if own == look:
                    u, v, side = (u0 + u1) / 2, (v0 + v1) / 2, int(wall)
                    plane = float(self.bounds[1 if side == 4 else side % 2, side // 2])
                    points.append(((plane, u, v), (u, plane, v), (u, v, plane))[side // 2])
                    weights.append((u1 - u0) * (v1 - v0))
                    colors.append(color)
            if weights:
                share = np.array(weights)[:, None] / sum(weights)
                color = (share * colors).sum(0)
                return (share * points).sum(0), color / color.mean()
        return np.array([0, 0, self.bounds[1, 2]], np.float64), np.ones(3)

    @property
    def windows(self) -> Float32[np.ndarray, "W 5"]:
        """Wall, u0, u1, v0, v1 of every pane."""
        return self.panels[self.panels[:, 8] == GLASS, :5]


def sample_beam(rng: np.random.Generator, room: Room) -> Float32[np.ndarray, "3"]:
    """Low sun before one of the windows: metres sideways towards it, x and y, for each metre up; and its strength."""
    if not len(room.windows):
        return np.zeros(3, np.float32)
    wall = int(room.windows[rng.integers(len(room.windows)), 0])
    outward = np.eye(2)[wall // 2] * (1 if wall % 2 else -1)
    slope, aside = rng.uniform(0.8, 2.5), rng.choice([-1, 1]) * rng.uniform(0.1, 1.0)
    sideways = slope * (outward + aside * outward[::-1])
    return np.array([*sideways, rng.uniform(2, 12)], np.float32)


def sample_room(rng: np.random.Generator, reach: float = 1.2, dark: bool = False) -> Room:
    """A room whose walls stay a metre outside `reach` (metres around the origin); `dark`: night behind the windows."""
    nearest = max(reach + MARGIN_M, 2.3)
    sides = nearest + rng.exponential(1.2, 4).clip(0, 5)
    bounds = np.array([[-sides[0], -sides[1], 0], [sides[2], sides[3], rng.uniform(2.45, 3.6)]])
    panels: list[tuple] = []
    height = float(bounds[1, 2])
    trim = muted(rng, 0.1, 0.85, 0.1)
    skirting = rng.uniform(0.05, 0.12)
    outdoors = rng.uniform(0.01, 0.06) if dark else rng.uniform(1.0, 3.0)
    for side in range(4):
        start, stop = bounds[:, 1 - side // 2]
        panels.append((side, start, stop, 0, skirting, *trim, PLAIN))
        used = start
        for _ in range(int(rng.integers(1, 5))):
            used += rng.uniform(0.2, 1.5)
            width = rng.uniform(0.6, 1.8)
            if used + width > stop - 0.2:
                break
            panels += _opening(rng, side, used, width, height, trim, outdoors)
            used += width
    glow = rng.uniform(2, 8) * np.array([1, rng.uniform(0.8, 1.0), rng.uniform(0.55, 1.0)])
    for _ in range(int(rng.integers(1 if dark else 0, 5))):
        size = rng.uniform(0.1, 0.6, 2)
        x, y = rng.uniform(bounds[0, :2], bounds[1, :2] - size)
        panels.append((4, x, x + size[0], y, y + size[1], *glow, GLOW))
    return Room(bounds.astype(np.float32), np.array(panels, np.float32))


def _opening(rng, side: int, start: float, width: float, height: float, trim, outdoors: float) -> list[tuple]:
    """The panels of one window, door, picture or poster."""
    kind = rng.choice(["window", "door", "picture"], p=[0.45, 0.2, 0.35])
    if kind == "door":
        leaf = muted(rng, 0.1, 0.7, 0.15)
        rows = [(side, start - 0.07, start + 0.92, 0, 2.1, *trim, PLAIN)]
        rows.append((side, start, start + 0.85, 0, 2.03, *leaf, PLAIN))
        if rng.random() < 0.5:
            for low, high in ((0.25, 0.9), (1.1, 1.85)):
                rows.append((side, start + 0.14, start + 0.71, low, high, *(0.8 * leaf), PLAIN))
        return [*rows, (side, start + 0.74, start + 0.8, 0.98, 1.04, *muted(rng, 0.1, 0.6, 0.05), PLAIN)]
    if kind == "picture":
        low, frame = rng.uniform(0.9, 1.4), muted(rng, 0.02, 0.6, 0.2)
        shape = rng.uniform(0.5, 1.2)
        rows: list[tuple] = [(side, start, start + width, low, low + shape * width, *frame, PLAIN)]
        look = int(rng.choice([PLAIN, PRINT, SOFT]))
        inner = (side, start + 0.04, start + width - 0.04, low + 0.04, low + shape * width - 0.04)
        rows.append((*inner, *muted(rng, 0.1, 0.7, 0.5), look))
        return rows
    low, high = rng.choice([0.1, 0.5, 0.9]), height - rng.uniform(0.15, 0.5)
    panes = [(side, start, start + width, low, high, *trim, PLAIN)]
    edges = np.linspace(start, start + width, int(rng.integers(2, 4)))
    for left, right in pairwise(edges):
        glass = (side, left + 0.04, right - 0.04, low + 0.06, high - 0.06)
        panes.append((*glass, *[outdoors] * 3, GLASS))
    if rng.random() < 0.4:  # curtains on both sides
        cloth, wide = muted(rng, 0.1, 0.8, 0.3), rng.uniform(0.1, 0.4) * width
        for left in (start - 0.1, start + width + 0.1 - wide):
            panes.append((side, left, left + wide, 0.05, high + 0.1, *cloth, SOFT))
    return panes
