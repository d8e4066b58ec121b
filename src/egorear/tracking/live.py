"""Any pose network, fed with what live cameras see now: one pose a moment, at once."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import Skeleton
from egorear.tracking.clip_tracker import ClipTracker
from egorear.tracking.tracker import PoseTracker
from egorear.tracking.training_cameras import Image


@dataclass(frozen=True)
class LivePose:
    """The pose of one moment, on the CPU. joints: metres, device frame; confidence: 0 to 1."""

    joints: Float[Tensor, "J 3"]
    confidence: Float[Tensor, "J"]


class LiveTracker:
    """A tracker for the cameras of one rig, whether it takes single frames or looks along time; the latter without
    delay: each pose from the frames so far.

    A moment that was dropped is no gap for a network that looks along time; one that its camera did not see is.
    example: images as those to come. The network sees them once, for the first look takes longest, and forgets them.

    Raises:
        UserError: the rig does not fit the network.
    """

    def __init__(
        self, tracker: PoseTracker | ClipTracker, rig: Rig, example: Mapping[str, Image | None] | None = None
    ) -> None:
        self._tracker, self._rig = tracker, rig
        self.remarks = tracker.remarks(rig)
        self._begin()
        if example is not None:
            self.push(example)
            self._begin()

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints the poses have."""
        return self._tracker.skeleton

    def push(self, images: Mapping[str, Image | None]) -> LivePose | None:
        """The pose of the next moment: RGB by view, None where the camera gave none; none if no camera of the network's
        did.

        Raises:
            UserError: an image has another aspect ratio than its camera.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the remarks; and of gaps: who has lost a camera knows
            if isinstance(self._tracker, ClipTracker):
                assert self._stream is not None
                pose = next(iter(self._stream.push(images[self._tracker.view])), None)
            elif all(images[view] is None for view in self._tracker.views_of(self._rig)):
                pose = None
            else:
                pose = self._tracker(images, self._rig)
        return None if pose is None else LivePose(pose.joints, pose.confidence)

    def _begin(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the same remarks
            self._stream = self._tracker.stream(self._rig) if isinstance(self._tracker, ClipTracker) else None
