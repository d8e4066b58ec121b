"""The library of motions: windows of recorded and procedural clips for the renderer.

A window is continuous: long ones go from one movement to the next (see `sequences`). Splits are disjoint: recorded
clips belong to a split by name (`split_of`; what is performed in a test clip was never trained on), procedural clips by
their seeds.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Num

from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.geometry.rotations import to_matrix, turn
from egorear.synth.actions import ACTIONS
from egorear.synth.clips import FPS, Clip, read_clips, resample, without_copies
from egorear.synth.figure import BODY, BODY_BONES, BONES, LEG, lowest, mirrored
from egorear.synth.hands import sample_hands
from egorear.synth.job import MIXES
from egorear.synth.procedural import FAMILIES
from egorear.synth.procedural.draw import Value
from egorear.synth.sequences import Piece, join, needed
from egorear.synth.sources import read_source

__all__ = ["ACTIONS", "HARD", "SPLITS", "Motion", "MotionLibrary", "compose", "split_of"]

ASSET = Path(__file__).parent / "assets" / "motion.npz"
HARD = ("look_up", "crouch", "squat", "crawl", "hands_behind", "lie", "get_up")
"""Actions of the mix "hard": cameras turned to the ceiling, and bodies that hide themselves from their own head."""
TEST_SHARE, VALIDATION_SHARE = 0.15, 0.10  # of the user's recorded clips, by a hash of the name
HELD_OUT = {
    "test": ("01_03", "dance_b", "getup_faceup", "kick", "punch"),
    "validation": ("roll", "spin"),
}  # of the shipped clips: few, so chosen to hold one of each kind instead of by chance
UNGROUNDED_SHARE = 0.25  # at most, of the recorded windows: climbing, without what is climbed
LONGEST_S = 20.0  # clips weigh by their length up to this, so that none crowds out the rest
ENOUGH_S = 30.0  # of recordings; fewer are drawn less often, lest the same seconds come again and again
SHORTEST_S = 0.5  # of a passage without faulty frames
WARP = (0.6, 1.6)
PIECE_S = (1.8, 7.0)  # how long one movement goes on before the next; a recorded passage no longer than it is
SHORTEST_PIECE_S = 1.2
GRID = 2.0**19  # numbers are rounded to 1 / GRID, so that the last bits of other processors do not show


@dataclass(frozen=True)
class Motion:
    """A window of motion on the mixamo rig. World: z up, floor z = 0, metres but for the root.

    actions: the label of each frame, of `ACTIONS`; fps: of the window's frames.
    rotations: global rotation of every bone against the rest pose; root: hips, in leg lengths of the body that moves
    (1 = height of the hips in the rest pose).
    """

    name: str
    actions: tuple[str, ...]
    fps: float
    rotations: Float32[np.ndarray, "T B 3 3"]
    root: Float32[np.ndarray, "T 3"]


class MotionLibrary:
    """All motions there are: shipped mocap, procedural families, and the user's own.

    extra: files and folders of motion (see `sources`); a recording that is there twice counts once.
    procedural: share of procedural movements, more where recordings are few. clips: all recordings, on the reference
    figure.

    Raises:
        UserError: an extra source is missing, malformed or not a person.
    """

    def __init__(self, extra: Sequence[Path] = (), procedural: float = 0.5):
        if not 0 <= procedural <= 1:
            raise UserError(f"procedural must be a share between 0 and 1, not {procedural}")
        self.procedural = procedural
        clips = read_clips(ASSET)
        for path in extra:
            given = read_source(Path(path))
            if not _passages(given).clips:
                raise UserError(f"{path} holds no {SHORTEST_S} s of motion without faulty frames")
            clips += given
        self.clips = tuple(without_copies(clips))
        self.passages = {
            (split, mix): _passages([c for c in self.clips if split_of(c.name) == split and _is_in(c.action, mix)])
            for split in SPLITS
            for mix in MIXES
        }

    def sample(
        self, rng: np.random.Generator, split: str, frames: int, stride: float | int = 1, mix: str = "all"
    ) -> Motion:
        """A random window of `frames` frames, `stride` 30ths of a second apart, time-warped, mirrored and turned at
        random.

        mix: "all" movements, or only the "hard" ones (see `HARD`). The same generator state gives the same window;
        windows of different splits come of different motions. The middle of the way on the floor is the origin. A split
        without recordings gives procedural motion only.
        """
        if split not in SPLITS or frames < 1 or stride < 1 or mix not in MIXES:
            raise UserError(
                f"a window has a split of {SPLITS}, a mix of {MIXES}, 1 or more frames and stride, not "
                f"{split, mix, frames, stride}"
            )
        times = np.arange(frames) * stride / FPS * rng.uniform(*WARP)
        pieces, cuts = [], []
        start = 0.0
        while not cuts or (start := cuts[-1]) < times[-1]:
            pieces.append(self._piece(rng, split, mix, times, start))
            cuts.append(start + pieces[-1].seconds)
        actions, rotations, root = join(pieces, times)
        name = "+".join(piece.name for piece in pieces)
        if rng.random() < 0.5:
            name, (rotations, root) = f"{name}~mirrored", mirrored(rotations, root)
        yaw = turn(np.array([0, 0, rng.uniform(-np.pi, np.pi)]))
        middle = (root.min(0) + root.max(0)) / 2 * [1, 1, 0]
        rotations, root = yaw @ rotations, (root - middle) @ yaw.T
        whole = with_fingers(rng, rotations, FPS / stride)
        return Motion(name, actions, FPS / stride, _rounded(whole), _rounded(root))

    def _piece(self, rng: np.random.Generator, split: str, mix: str, times: np.ndarray, start: float) -> Piece:
        """A movement from `start` (seconds) on."""
        passages = self.passages[split, mix]
        drawn, seconds = rng.random(), rng.uniform(*PIECE_S)
        share = passages.grounded_share if start else passages.share
        if drawn < 1 - (1 - self.procedural) * passages.plenty or not share.any():
            return _procedural_piece(rng, split, mix, times, start, seconds)
        return _recorded_piece(rng, passages, share, times, start, seconds)


def compose(
    rng: np.random.Generator, movements: Sequence[tuple[str, float | int, Mapping[str, Value]]], fps: float | int = FPS
) -> Motion:
    """Chosen movements one after the other: (family, seconds, parameters that are not drawn), as
    [("walk", 3, {"speed": 1.2}), ("squat", 2, {}), ("sit", 4, {"arms": "phone"})].

    Raises:
        UserError: there is no such family or parameter, or a movement has no length.
    """
    if not movements or min(seconds for _, seconds, _ in movements) <= 0:
        raise UserError("movements must be given with more than 0 seconds each")
    times = np.arange(round(sum(seconds for _, seconds, _ in movements) * fps)) / fps
    pieces, start = [], 0.0
    for name, seconds, given in movements:
        if name not in FAMILIES:
            raise UserError(f"there is no movement '{name}'; there are {', '.join(FAMILIES)}")
        span = needed(times, start, seconds)
        rotations, root = FAMILIES[name].clip(int(rng.integers(2**31)), times[span] - start, **given)
        pieces.append(Piece(name, FAMILIES[name].action, seconds, span, rotations, root))
        start += seconds
    actions, rotations, root = join(pieces, times)
    name = "+".join(piece.name for piece in pieces)
    whole = with_fingers(rng, rotations, float(fps))
    return Motion(name, actions, float(fps), _rounded(whole), _rounded(root))


def _is_in(action: str, mix: str) -> bool:
    return mix == "all" or action in HARD


def _rounded(values: Num[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    return ((np.rint(values * GRID) + 0.0) / GRID).astype(np.float32)


@dataclass(frozen=True)
class Passages:
    """Stretches of clips without faulty frames: the clip, first and last frame, and the share of the windows; that of
    the grounded ones alone, of movements that come after another. plenty: 1 if they last long enough in all."""

    clips: tuple[Clip, ...]
    first: Int[np.ndarray, "P"]
    last: Int[np.ndarray, "P"]
    share: Float[np.ndarray, "P"]
    grounded_share: Float[np.ndarray, "P"]
    plenty: float


def _passages(clips: Sequence[Clip]) -> Passages:
    found, bounds, weights = [], [], []
    for clip in clips:
        edges = np.flatnonzero(np.diff(clip.ok, prepend=False, append=False)).reshape(-1, 2) - [0, 1]
        for first, last in edges[np.diff(edges)[:, 0] >= SHORTEST_S * FPS]:
            found.append(clip)
            bounds.append((first, last))
            weights.append((last - first) * min(1, LONGEST_S / clip.seconds))
    weights, loose = np.array(weights, float), np.array([not clip.grounded for clip in found], bool)
    if loose.any() and not loose.all():
        most = UNGROUNDED_SHARE / (1 - UNGROUNDED_SHARE) * weights[~loose].sum() / weights[loose].sum()
        weights[loose] *= min(1, most)
    first, last = np.array(bounds, int).reshape(-1, 2).T
    grounded = weights * ~loose
    share, grounded_share = weights / max(weights.sum(), 1e-9), grounded / max(grounded.sum(), 1e-9)
    plenty = min(1.0, float(weights.sum()) / FPS / ENOUGH_S)
    return Passages(tuple(found), first, last, share, grounded_share, plenty)


def split_of(name: str) -> str:
    """The split a recorded clip belongs to, by its name alone: the same on every machine and for any extra."""
    for split, names in HELD_OUT.items():
        if name in names:
            return split
    share = zlib.crc32(name.encode()) / 2**32
    return "test" if share < TEST_SHARE else "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def _recorded_piece(
    rng: np.random.Generator, passages: Passages, share: np.ndarray, times: np.ndarray, start: float, seconds: float
) -> Piece:
    """A stretch of a passage from `start` on; it goes on for no longer than the passage, or, climbing, to the end."""
    pick = rng.choice(len(passages.clips), p=share)
    clip, first, length = passages.clips[pick], passages.first[pick], passages.last[pick] - passages.first[pick]
    seconds = max(min(seconds, length / FPS), SHORTEST_PIECE_S) if clip.grounded else times[-1] - start + 1
    ahead = rng.uniform() * max(length - min(seconds, times[-1] - start) * FPS, 0)
    span = needed(times, start, seconds)
    frames = ahead + (times[span] - start) * FPS
    frames = first + length - np.abs(frames % (2 * length) - length)  # forth and back, should it not suffice
    quaternions, root = resample(clip.quaternions, clip.root, frames)
    rotations = to_matrix(quaternions)
    if not clip.grounded:
        root = root - lowest(rotations, root * LEG).min() / LEG * np.array([0, 0, 1])
    return Piece(clip.name, clip.action, seconds, span, rotations, root)


def _procedural_piece(
    rng: np.random.Generator, split: str, mix: str, times: np.ndarray, start: float, seconds: float
) -> Piece:
    families = {name: family for name, family in FAMILIES.items() if _is_in(family.action, mix)}
    weights = np.array([family.weight for family in families.values()])
    name = list(families)[rng.choice(len(families), p=weights / weights.sum())]
    seed, offset = int(rng.integers(2**31)), rng.uniform(0, 5)
    span = needed(times, start, seconds)
    rotations, root = families[name].clip((SPLITS.index(split), seed), times[span] - start + offset)
    return Piece(f"{name}-{split}-{seed}", families[name].action, seconds, span, rotations, root)


def with_fingers(
    rng: np.random.Generator, rotations: Num[np.ndarray, "T N 3 3"], fps: float
) -> Float64[np.ndarray, "T B 3 3"]:
    """All bones from the body bones: fingers move with their hand and as each hand does (see `hands`)."""
    whole = np.empty((len(rotations), len(BONES), 3, 3))
    whole[:, [BONES.index(b) for b in BODY_BONES]] = rotations
    for side in ("Left", "Right"):
        hand = rotations[:, BODY[f"{side}Hand"]]
        for bone, turned in sample_hands(rng, len(rotations), fps, side).items():
            whole[:, BONES.index(bone)] = hand @ turned
    return whole
