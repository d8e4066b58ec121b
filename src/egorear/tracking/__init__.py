"""Frames in, poses out: `PoseTracker.from_pretrained("egorear-nano")(images, rig)`; videos: `ClipTracker`, and
`PoseStream` for those without an end."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egorear.tracking.clip_tracker import ClipTracker, TrackedClip
    from egorear.tracking.pose_stream import PoseStream, StreamedPose
    from egorear.tracking.tracker import PoseTracker, TrackedPose

__all__ = ["ClipTracker", "PoseStream", "PoseTracker", "StreamedPose", "TrackedClip", "TrackedPose"]
_MODULES = {
    "ClipTracker": "clip_tracker",
    "PoseStream": "pose_stream",
    "PoseTracker": "tracker",
    "StreamedPose": "pose_stream",
    "TrackedClip": "clip_tracker",
    "TrackedPose": "tracker",
}


def __getattr__(name: str) -> Any:
    # Imported at first use, so that `egorear info` can list what ships without waiting for torch.
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
