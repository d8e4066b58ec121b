"""The library of motions: windows of recorded and procedural clips for the renderer.

Splits are disjoint: recorded clips belong to a split by name (`split_of`; what is performed in a test clip was never
trained on), procedural clips by their seeds.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int, Num

from egorear.errors import UserError
from egorear.synth.clips import FPS, Clip, read_clips, resample
from egorear.synth.figure import BODY, BODY_BONES, BONES, LEG, lowest, mirrored, rest
from egorear.synth.procedural import FAMILIES
from egorear.synth.rotations import about, to_matrix, turn, unit
from egorear.synth.sources import read_source

ASSET = Path(__file__).parent / "assets" / "motion.npz"
SPLITS = ("train", "validation", "test")
TEST_SHARE, VALIDATION_SHARE = 0.15, 0.10  # of the user's recorded clips, by a hash of the name
HELD_OUT = {
    "test": ("01_03", "dance_b", "getup_faceup", "kick", "punch"),
    "validation": ("roll", "spin"),
}  # of the shipped clips: few, so chosen to hold one of each kind instead of by chance
UNGROUNDED_SHARE = 0.25  # at most, of the recorded windows: climbing, without what is climbed
LONGEST_S = 20.0  # clips weigh by their length up to this, so that none crowds out the rest
SHORTEST_S = 0.5  # of a passage without faulty frames
WARP = (0.6, 1.6)
FINGERS = tuple(b for b in BONES if b not in BODY)


@dataclass(frozen=True)
class Motion:
    """A window of motion on the mixamo rig. World: z up, floor z = 0, metres but for the root.

    action: the label; fps: of the window's frames.
    rotations: global rotation of every bone against the rest pose; root: hips, in leg lengths of the body that moves
    (1 = height of the hips in the rest pose).
    """

    name: str
    action: str
    fps: float
    rotations: Float32[np.ndarray, "T B 3 3"]
    root: Float32[np.ndarray, "T 3"]


class MotionLibrary:
    """All motions there are: shipped mocap, procedural families, and the user's own.

    extra: BVH files, folders of them, or npz files of global rotations (see `sources`).
    procedural: share of procedural windows. clips: all recordings, on the reference figure.

    Raises:
        UserError: an extra source is missing, malformed or not a person.
    """

    def __init__(self, extra: Sequence[Path] = (), procedural: float = 0.5):
        if not 0 <= procedural <= 1:
            raise UserError(f"procedural must be a share between 0 and 1, not {procedural}")
        self.procedural = procedural
        self.clips = (*read_clips(ASSET), *(clip for path in extra for clip in read_source(Path(path))))
        self.passages = {s: _passages([clip for clip in self.clips if split_of(clip.name) == s]) for s in SPLITS}

    def sample(self, rng: np.random.Generator, split: str, frames: int, stride: int = 1) -> Motion:
        """A random window of `frames` frames, every `stride`-th of 30 fps, time-warped, mirrored and turned at random.

        The same generator state gives the same window; windows of different splits come of different motions. The
        middle of the way on the floor is the origin. A split without recordings gives procedural motion only.
        """
        if split not in SPLITS or frames < 1 or stride < 1:
            raise UserError(
                f"a window has a split of {SPLITS}, 1 or more frames and stride, not {split, frames, stride}"
            )
        times = np.arange(frames) * stride / FPS * rng.uniform(*WARP)
        if rng.random() < self.procedural or not self.passages[split].clips:
            name, action, rotations, root = _procedural_window(rng, split, times)
        else:
            name, action, rotations, root = _recorded_window(rng, self.passages[split], times)
        if rng.random() < 0.5:
            name, (rotations, root) = f"{name}~mirrored", mirrored(rotations, root)
        yaw = turn(np.array([0, 0, rng.uniform(-np.pi, np.pi)]))
        middle = (root.min(0) + root.max(0)) / 2 * [1, 1, 0]
        rotations, root = yaw @ rotations, (root - middle) @ yaw.T
        return Motion(name, action, FPS / stride, with_fingers(rng, rotations), root.astype(np.float32))


@dataclass(frozen=True)
class Passages:
    """Stretches of clips without faulty frames: the clip, first and last frame, and the share of the windows."""

    clips: tuple[Clip, ...]
    first: Int[np.ndarray, "P"]
    last: Int[np.ndarray, "P"]
    share: Float[np.ndarray, "P"]


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
    return Passages(tuple(found), first, last, weights / max(weights.sum(), 1e-9))


def split_of(name: str) -> str:
    """The split a recorded clip belongs to, by its name alone: the same on every machine and for any extra."""
    for split, names in HELD_OUT.items():
        if name in names:
            return split
    share = zlib.crc32(name.encode()) / 2**32
    return "test" if share < TEST_SHARE else "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def _recorded_window(rng: np.random.Generator, passages: Passages, times: np.ndarray):
    """A stretch of a passage; one that is shorter than the window is played forth and back."""
    pick = rng.choice(len(passages.clips), p=passages.share)
    clip, first, length = passages.clips[pick], passages.first[pick], passages.last[pick] - passages.first[pick]
    frames = rng.uniform(0, max(length - times[-1] * FPS, 0)) + times * FPS
    frames = first + length - np.abs(frames % (2 * length) - length)
    quaternions, root = resample(clip.quaternions, clip.root, frames)
    rotations = to_matrix(quaternions)
    if not clip.grounded:
        root = root - lowest(rotations, root * LEG).min() / LEG * np.array([0, 0, 1])
    return clip.name, clip.action, rotations, root


def _procedural_window(rng: np.random.Generator, split: str, times: np.ndarray):
    weights = np.array([family.weight for family in FAMILIES.values()])
    name = list(FAMILIES)[rng.choice(len(FAMILIES), p=weights / weights.sum())]
    seed = int(rng.integers(2**31))
    rotations, root = FAMILIES[name].clip((SPLITS.index(split), seed), times + rng.uniform(0, 5))
    return f"{name}-{split}-{seed}", FAMILIES[name].action, rotations, root


def with_fingers(rng: np.random.Generator, rotations: Num[np.ndarray, "T N 3 3"]) -> Float32[np.ndarray, "T B 3 3"]:
    """All bones from the body bones: fingers curl with their hand, each hand relaxed to its own degree."""
    whole = np.empty((len(rotations), len(BONES), 3, 3), np.float32)
    whole[:, [BONES.index(b) for b in BODY_BONES]] = rotations
    for side in ("Left", "Right"):
        hand = rotations[:, BODY[f"{side}Hand"]]
        for bone, curl in _finger_curls(rng, side).items():
            whole[:, BONES.index(bone)] = hand @ curl
    return whole


def _finger_curls(rng: np.random.Generator, side: str) -> dict[str, Float[np.ndarray, "3 3"]]:
    """Rotation of each finger bone against the hand: an open hand to a loose fist."""
    outward = 1 if side == "Left" else -1
    knuckles = outward * unit(rest(f"{side}HandPinky1") - rest(f"{side}HandIndex1"))
    relaxed = rng.beta(1.5, 2.5)
    curls = {}
    for bone in FINGERS:
        if bone.startswith(side):
            each = rng.normal(relaxed, 0.06) * (0.25 if "Thumb" in bone else 1.0)
            curls[bone] = about(knuckles, outward * np.clip(each, 0, 1) * (0.35, 0.95, 1.35)[int(bone[-1]) - 1])
    return curls
