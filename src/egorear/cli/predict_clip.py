"""`egorear predict` with a network that looks along time: window by window, or as a live stream."""

import statistics
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from egorear.cli.predict import with_remarks

if TYPE_CHECKING:
    from torch import Tensor

    from egorear.poses import Poses
    from egorear.tracking.clip_tracker import ClipTracker
    from egorear.tracking.pose_stream import StreamedPose
    from egorear.tracking.sources import Source


@dataclass(frozen=True)
class StreamReport:
    """How long a live camera's frames would have had to wait. delay, hop: frames; poses: seconds, for each pose, from
    its frame to the one with which it came, and what that one took to compute."""

    delay: int
    hop: int
    waited: Sequence[float]
    computed: Sequence[float]

    def row(self) -> dict[str, Any]:
        """As JSON: medians and what 95 % stay below, in ms."""
        latency = [sum(both) for both in zip(self.waited, self.computed, strict=True)]
        return {
            "delay": self.delay,
            "hop": self.hop,
            "latency_ms": median_and_p95(latency),
            "computing_ms": median_and_p95(self.computed),
        }

    def text(self) -> str:
        """As one line."""
        row = self.row()
        latency, computing = row["latency_ms"], row["computing_ms"]
        return (
            f"latency {latency['median']:.1f} ms median, {latency['p95']:.1f} ms 95 %; "
            f"of it computing {computing['median']:.1f} ms median, {computing['p95']:.1f} ms 95 %, "
            f"the rest waiting for later frames (delay {self.delay}, hop {self.hop})"
        )


def predict_clip(tracker: "ClipTracker", source: "Source", batch: int) -> "Poses":
    """Poses of all frames of a source, progress on stderr. What a user should know is said there, and gathered in
    `source.remarks`."""
    from egorear.tracking.sources import batches

    source.remarks += tracker.remarks_on(source.names)
    frames = with_remarks(tracker, source, batches(source, batch))
    tracked = tracker.track(frames, source.names)
    return _gathered(tracker, source, ((*each.known, each.joints, each.confidence) for each in tracked))


def predict_stream(tracker: "ClipTracker", source: "Source", delay: int, hop: int) -> "tuple[Poses, StreamReport]":
    """As `predict_clip`, but the frames come one by one, as from a live camera at the source's rate.

    Raises:
        UserError: delay and hop do not suit the network.
    """
    source.remarks += tracker.remarks_on(source.names)
    report = StreamReport(delay, hop, waited := [], computed := [])

    def rows() -> "Iterator[tuple[str, float, Tensor, Tensor]]":
        for pose in _streamed(tracker, source, delay, hop):
            waited.append(pose.waited)
            computed.append(pose.computed)
            yield pose.frame.name, pose.frame.timestamp, pose.joints, pose.confidence

    return _gathered(tracker, source, rows()), report


def _streamed(tracker: "ClipTracker", source: "Source", delay: int, hop: int) -> "Iterator[StreamedPose]":
    from egorear.datasets.windows import runs
    from egorear.tracking.sources import batches

    ends = {run.stop for run in runs(source.names)}
    frames = with_remarks(tracker, source, batches(source, 1))
    stream = None
    for count, (frame,) in enumerate(frames, start=1):
        if stream is None:  # each recording may have a rig of its own
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the same remarks
                stream = tracker.stream(frame.rig, delay, hop)
        yield from stream.push(frame.images[tracker.view], frame.timestamp, name=frame.name)
        if count in ends:
            yield from stream.finish()
            stream = None


def _gathered(tracker: "ClipTracker", source: "Source", rows: "Iterator[tuple[str, float, Tensor, Tensor]]") -> "Poses":
    import numpy as np
    import torch

    from egorear.poses import Poses

    names, timestamps, joints, confidence = zip(*rows, strict=True)
    return Poses(
        joints=torch.stack(joints).numpy(),
        confidence=torch.stack(confidence).numpy(),
        frame_names=list(names),
        timestamps=np.array(timestamps, np.float64),
        rig_hash=next(iter(source)).rig.hash(),
        model_id=tracker.model_id,
        joint_names=tracker.skeleton.names,
    )


def median_and_p95(seconds: Sequence[float]) -> dict[str, float]:
    """In ms; of the values, the smallest that at least 95 % do not exceed."""
    ordered = sorted(seconds)
    return {
        "median": round(1000 * statistics.median(ordered), 3),
        "p95": round(1000 * ordered[-(-95 * len(ordered) // 100) - 1], 3),
    }
