"""Frames in, poses out: `PoseTracker.from_pretrained("egorear-nano")(images, rig)`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egorear.tracking.tracker import PoseTracker, TrackedPose

__all__ = ["PoseTracker", "TrackedPose"]


def __getattr__(name: str) -> Any:
    # Imported at first use, so that `egorear info` can list what ships without waiting for torch.
    if name in __all__:
        from egorear.tracking import tracker

        return getattr(tracker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
