"""Recorded motion on the reference figure, and its asset on disk."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Num

from egorear.synth.rotations import slerp, to_quaternion

FPS = 30.0
"""Frame rate of every stored clip."""


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
) -> tuple[Float32[np.ndarray, "S N 4"], Float32[np.ndarray, "S 3"]]:
    """The motion at fractional frame numbers: slerp of rotations, straight lines of the root."""
    i = np.clip(np.floor(frames).astype(int), 0, max(len(root) - 2, 0))
    j = np.minimum(i + 1, len(root) - 1)
    share = np.clip(frames - i, 0, 1)
    turned = slerp(quaternions[i].astype(float), quaternions[j].astype(float), share[:, None])
    moved = root[i] + share[:, None] * (root[j] - root[i])
    return turned.astype(np.float32), moved.astype(np.float32)


def make_clip(
    name: str,
    action: str,
    fps: float,
    rotations: Num[np.ndarray, "T N 3 3"],
    root: Num[np.ndarray, "T 3"],
    ok: Bool[np.ndarray, "T"],
    grounded: bool = True,
) -> Clip:
    """A clip at `FPS` of a motion at any rate; a frame is ok where both neighbours in the source are."""
    frames = np.arange(0, len(root) - 1 + 1e-6, fps / FPS)
    quaternions, root = resample(to_quaternion(rotations), root, frames)
    ok = ok[np.floor(frames).astype(int)] & ok[np.minimum(np.ceil(frames - 1e-6).astype(int), len(ok) - 1)]
    return Clip(name, action, quaternions, root, ok, grounded)


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
