"""How poses and their confidence take faults: every frame is predicted under each fault, and told apart from none."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float

from egorear.errors import UserError
from egorear.evaluation.bootstrap import ClusterBootstrap, Estimate
from egorear.evaluation.clip_store import ClipStore
from egorear.evaluation.faults import Fault, FrameSource, Images, Take
from egorear.geometry.rig import Rig
from egorear.metrics.confidence import auroc
from egorear.metrics.errors import joint_errors_mm
from egorear.models.confidence import CONFIDENT_M
from egorear.poses import recordings_of

CLIP = 4  # scored frames at once: as quick a frame as any larger batch on a CPU, and many sequences for few frames


@runtime_checkable
class Predictor(Protocol):
    """What is studied: frames of one rig, an image given as none where a camera is lost, to joints and confidence."""

    def __call__(
        self, frames: Sequence[Images], rig: Rig
    ) -> tuple[Float[np.ndarray, "B J 3"], Float[np.ndarray, "B J"]]: ...


@dataclass(frozen=True)
class Clip:
    """Neighbouring frames of a sequence. frames: the whole sequence's, indices of the dataset. scored: which of
    those are predicted."""

    sequence: str
    frames: tuple[int, ...]
    scored: range

    @property
    def indices(self) -> list[int]:
        """The scored frames in the dataset."""
        return [self.frames[place] for place in self.scored]


@dataclass(frozen=True)
class Row:
    """One fault, over the joints that are scored. change_mm: of the MPJPE, and confidence_change: of the mean
    confidence, against no fault on the same frames. upper_mm, lower_mm: MPJPE of the body's halves. auroc: how well
    1 - confidence tells the joints that are more than 100 mm off from the others; none where all are, or none is."""

    name: str
    family: str
    level: int | float
    unit: str
    cameras: tuple[str, ...] | None
    frames: int
    mpjpe_mm: Estimate
    pa_mpjpe_mm: Estimate
    upper_mm: Estimate
    lower_mm: Estimate
    change_mm: Estimate
    confidence: Estimate
    confidence_change: Estimate
    auroc: float | None


def lengths(names: Sequence[str]) -> dict[str, int]:
    """How many frames each sequence has."""
    return {name: len(frames) for name, frames in recordings_of(names).items()}


def choose_clips(names: Sequence[str], history: int, limit: int = 0) -> list[Clip]:
    """Clips of every sequence without its first `history` frames, so that every fault acts in full on every frame.

    limit: about how many frames, spread evenly over the clips (0: all).

    Raises:
        UserError: no sequence is long enough.
    """
    clips = [
        Clip(sequence, tuple(frames), range(start, min(start + CLIP, len(frames))))
        for sequence, frames in recordings_of(names).items()
        for start in range(history, len(frames), CLIP)
    ]
    if not clips:
        raise UserError(f"no sequence of the dataset has more than {history} frames")
    total = sum(len(clip.scored) for clip in clips)
    if limit and limit < total:
        count = max(1, limit * len(clips) // total)
        clips = [clips[round(place)] for place in np.linspace(0, len(clips) - 1, count)]
    return clips


@dataclass(frozen=True)
class Study:
    """The clips of a dataset under every fault; exactly one fault has no cameras and is what others are compared
    with. views: those that the predictor gets."""

    dataset: FrameSource
    clips: Sequence[Clip]
    faults: Sequence[Fault]
    views: tuple[str, ...]
    seed: int = 0

    def identity(self) -> dict[str, Any]:
        """What another study would differ in, the predictor aside."""
        names = [self.dataset.names[index] for clip in self.clips for index in clip.indices]
        digest = hashlib.sha256("\n".join(names).encode() + self._truth().tobytes()).hexdigest()
        faults = [fault.name for fault in self.faults]
        return {"faults": faults, "views": list(self.views), "seed": self.seed, "frames": len(names), "data": digest}

    def predict(self, predictor: Predictor, store: ClipStore) -> Iterator[int]:
        """Predicts what the store lacks, clip by clip; yields how many clips are done.

        Raises:
            UserError: a picture is missing or damaged, or the store cannot be written.
        """
        for number, clip in enumerate(self.clips):
            if number not in store:
                # One reading of the pictures serves every fault.
                take = Take(self.dataset, clip.sequence, clip.frames, self.views, self.seed)
                results = [_predict(predictor, [fault.apply(take, at) for at in clip.scored]) for fault in self.faults]
                joints, confidence = zip(*results, strict=True)
                store.save(number, np.stack(joints), np.stack(confidence))
            yield number + 1

    def summarise(self, store: ClipStore) -> list[Row]:
        """A row for each fault, in order, once everything is predicted.

        Raises:
            UserError: a stored clip is damaged, or a pose is not finite.
        """
        clips = [store.load(number) for number in range(len(self.clips))]
        groups = self.dataset.skeleton.groups
        scored = list(groups["all"])
        joints = torch.from_numpy(np.concatenate([joints for joints, _ in clips], axis=1)[:, :, scored])
        confidence = np.concatenate([confidence for _, confidence in clips], axis=1)[:, :, scored].astype(np.float64)
        truth = torch.from_numpy(self._truth()[:, scored]).expand(len(self.faults), -1, -1, -1)
        errors, aligned = joint_errors_mm(joints, truth).numpy(), joint_errors_mm(joints, truth, align=True).numpy()
        plain = next(f for f, fault in enumerate(self.faults) if fault.cameras == ())
        sequences = [clip.sequence for clip in self.clips for _ in clip.scored]
        mean = ClusterBootstrap(sequences, self.seed).mean
        upper, lower = ([scored.index(joint) for joint in groups[half]] for half in ("upper", "lower"))
        return [
            Row(
                name=fault.name,
                family=fault.family,
                level=fault.level,
                unit=fault.unit.strip(),
                cameras=fault.cameras,
                frames=len(sequences),
                mpjpe_mm=mean(errors[f].mean(-1)),
                pa_mpjpe_mm=mean(aligned[f].mean(-1)),
                upper_mm=mean(errors[f][:, upper].mean(-1)),
                lower_mm=mean(errors[f][:, lower].mean(-1)),
                change_mm=mean((errors[f] - errors[plain]).mean(-1)),
                confidence=mean(confidence[f].mean(-1)),
                confidence_change=mean((confidence[f] - confidence[plain]).mean(-1)),
                auroc=_auroc(confidence[f], errors[f]),
            )
            for f, fault in enumerate(self.faults)
        ]

    def _truth(self) -> Float[np.ndarray, "N J 3"]:
        return np.stack([self.dataset.joints(index)[0] for clip in self.clips for index in clip.indices])


def _predict(
    predictor: Predictor, frames: list[tuple[Images, Rig]]
) -> tuple[Float[np.ndarray, "B J 3"], Float[np.ndarray, "B J"]]:
    """The frames in batches of one rig each: extrinsics may change within a sequence."""
    results = [
        predictor([images for images, _ in batch], batch[0][1])
        for batch in (list(group) for _, group in groupby(frames, lambda frame: frame[1].hash()))
    ]
    joints, confidence = zip(*results, strict=True)
    return np.concatenate(joints), np.concatenate(confidence)


def _auroc(confidence: Float[np.ndarray, "N J"], errors_mm: Float[np.ndarray, "N J"]) -> float | None:
    value = auroc(1 - confidence, errors_mm > 1000 * CONFIDENT_M)
    return None if np.isnan(value) else value
