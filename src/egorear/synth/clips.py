"""Recorded motion on the reference figure, and its asset on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Num

from egorear.geometry.rotations import slerp, to_matrix
from egorear.synth.figure import BODY

FPS = 30.0
"""Frame rate of every stored clip."""
SAME_LENGTH, SAME_POSE = 0.03, np.radians(12.0)  # two clips that differ by less (share, mean angle) are one recording


@dataclass(frozen=True)
class Clip:
    """quaternions: global rotations (w, x, y, z) of the body bones; root: hips in leg lengths over the floor z = 0;
    ok: False where the recording is faulty; grounded: False where what the person stands on was not recorded."""

    name: str
    action: str
    quaternions: Float32[np.ndarray, "T N 4"]
    root: Float32[np.ndarray, "T 3"]
    ok: Bool[np.ndarray, "T"]
    grounded: bool = True

    @property
    def seconds(self) -> float:
        return (len(self.root) - 1) / FPS


def resample(
    quaternions: Num[np.ndarray, "T N 4"], root: Num[np.ndarray, "T 3"], frames: Num[np.ndarray, "S"]
) -> tuple[Float[np.ndarray, "S N 4"], Float[np.ndarray, "S 3"]]:
    """The motion at fractional frame numbers: slerp of rotations, straight lines of the root."""
    i = np.clip(np.floor(frames).astype(int), 0, max(len(root) - 2, 0))
    j = np.minimum(i + 1, len(root) - 1)
    share = np.clip(frames - i, 0, 1)
    turned = slerp(quaternions[i].astype(float), quaternions[j].astype(float), share[:, None])
    start, end = root[i].astype(float), root[j].astype(float)
    return turned, start + share[:, None] * (end - start)


def without_copies(clips: Sequence[Clip]) -> list[Clip]:
    """The clips, each recording once: of those with the same movements, whatever their names, the first."""
    kept: list[tuple[Clip, np.ndarray]] = []
    for clip in clips:
        gist = _gist(clip)
        if not any(_is_copy(clip, gist, other, others) for other, others in kept):
            kept.append((clip, gist))
    return [clip for clip, _ in kept]


def _gist(clip: Clip) -> Float[np.ndarray, "K N 3 3"]:
    """A few postures over the clip, against the hips, so that it does not matter which way the person faces."""
    quaternions, _ = resample(clip.quaternions, clip.root, np.linspace(0.05, 0.95, 12) * (len(clip.root) - 1))
    rotations = to_matrix(quaternions)
    return np.swapaxes(rotations[:, BODY["Hips"], None], -1, -2) @ rotations


def _is_copy(a: Clip, gist_a: np.ndarray, b: Clip, gist_b: np.ndarray) -> bool:
    if abs(len(a.root) - len(b.root)) > max(4, SAME_LENGTH * max(len(a.root), len(b.root))):
        return False
    cosine = ((gist_a * gist_b).sum((-1, -2)) - 1) / 2
    return bool(np.arccos(np.clip(cosine, -1, 1)).mean() < SAME_POSE)


def read_clips(path: Path) -> list[Clip]:
    """The clips of an asset written by `write_clips`."""
    with np.load(path) as asset:
        return [
            Clip(
                name, action, asset[f"{name}/quaternions"].astype(np.float32), asset[f"{name}/root"],
                np.ones(len(asset[f"{name}/root"]), bool), bool(grounded),
            )
            for name, action, grounded in zip(
                asset["names"].tolist(), asset["actions"].tolist(), asset["grounded"], strict=True
            )
        ]  # fmt: skip


def write_clips(path: Path, clips: list[Clip]) -> None:
    """Writes clips without faulty frames; quaternions as float16 (angles to 0.1 degree)."""
    arrays = {
        "names": np.array([clip.name for clip in clips]),
        "actions": np.array([clip.action for clip in clips]),
        "grounded": np.array([clip.grounded for clip in clips]),
    }
    for clip in clips:
        if not clip.ok.all():
            raise ValueError(f"{clip.name} has faulty frames, which the asset cannot mark")
        arrays[f"{clip.name}/quaternions"] = clip.quaternions.astype(np.float16)
        arrays[f"{clip.name}/root"] = clip.root
    np.savez_compressed(path, **arrays, allow_pickle=False)
