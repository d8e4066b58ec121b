"""What stands around: pieces of the catalogue put along the walls of a room or about the open, clear of the person."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from egorear.synth.pieces import LARGE, SMALL

MOST = 64  # boxes of a place: one bit each in the ray caster's masks
FREE = ("chair", "table", "crates", "plant")  # need no wall behind them


@dataclass(frozen=True)
class Furniture:
    """Boxes by their lowest and highest corner; looks are red, green, blue and the row of a surface."""

    boxes: Float32[np.ndarray, "K 6"]
    looks: Float32[np.ndarray, "K 4"]


def gather(pieces: list[np.ndarray]) -> Furniture:
    """Pieces [parts, 10] as one list of at most 64 boxes; a piece that does not fit is left out whole."""
    kept, count = [], 0
    for piece in pieces:
        if count + len(piece) <= MOST:
            kept.append(piece)
            count += len(piece)
    parts = np.concatenate(kept) if kept else np.zeros((0, 10))
    return Furniture(parts[:, :6].astype(np.float32), parts[:, 6:].astype(np.float32))


def furnish(
    rng: np.random.Generator, bounds: np.ndarray | None, reach: float, large: int, small: int, ground: str
) -> Furniture:
    """Up to `large` pieces along the walls of a room [2, 3] or around in the open, and `small` things on the floor.

    `ground` is "house", "town" or "country" and chooses the pieces. Nothing comes nearer to the origin than `reach`
    metres, and no two pieces touch.
    """
    pieces: list[np.ndarray] = []
    for count, kinds in ((large, LARGE[ground]), (small, SMALL)):
        names, odds = list(kinds), np.array([odds for odds, _ in kinds.values()])
        for _ in range(count):
            kind = names[rng.choice(len(names), p=odds / odds.sum())]
            turn = int(rng.integers(4))
            piece = _turn(np.array(kinds[kind][1](rng), np.float64), turn)
            piece = _place(rng, piece, turn, bounds, reach, kind)
            if _clear(piece, pieces, reach, bounds):
                pieces.append(piece)
    return gather(pieces)


def _place(rng, piece, turn: int, bounds, reach: float, kind: str) -> np.ndarray:
    low, high = piece[:, :3].min(0), piece[:, 3:6].max(0)
    if kind in SMALL:
        angle, distance = rng.uniform(-np.pi, np.pi), reach + rng.exponential(0.8)
        at = distance * np.array([np.cos(angle), np.sin(angle)])
    elif bounds is None:
        near = reach + (6 if kind in ("building", "fence") else (2 if kind == "car" else 0.2))
        angle, distance = rng.uniform(-np.pi, np.pi), near + rng.exponential(3.0)
        at = distance * np.array([np.cos(angle), np.sin(angle)]) - (low + high)[:2] / 2
        # what is deep or wide moves out by its own size
        at += np.sign(at + (low + high)[:2] / 2) * (high - low)[:2] / 2
    else:
        at = rng.uniform(bounds[0, :2] - low[:2], bounds[1, :2] - high[:2])
        if kind not in FREE:
            axis, end = ((1, 0), (0, 1), (1, 1), (0, 0))[turn]  # the wall behind the piece
            at[axis] = bounds[end, axis] - (low, high)[end][axis]
    piece[:, [0, 1, 3, 4]] += [*at, *at]
    return piece


def _clear(piece, others, reach: float, bounds) -> bool:
    low, high = piece[:, :2].min(0), piece[:, 3:5].max(0)
    if np.linalg.norm(np.clip(0, piece[:, :2], piece[:, 3:5]), axis=1).min() < reach:
        return False
    if bounds is not None and ((low < bounds[0, :2] - 1e-6) | (high > bounds[1, :2] + 1e-6)).any():
        return False
    return all((low > other[:, 3:5].max(0)).any() or (high < other[:, :2].min(0)).any() for other in others)


def _turn(parts: np.ndarray, quarters: int) -> np.ndarray:
    """Turns boxes about z: the back, first at -y, faces +x, +y, -x after one, two, three quarters."""
    for _ in range(quarters):
        x0, y0, z0, x1, y1, z1 = parts[:, :6].T
        parts = np.column_stack([-y1, x0, z0, -y0, x1, z1, parts[:, 6:]])
    return parts.copy()
