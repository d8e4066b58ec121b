"""Poses of an endless video, frame by frame, in bounded memory (docs/streaming.md)."""

import math
import time
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import Skeleton
from egorear.models.agegopose import AGEgoPose
from egorear.tracking.clip_network import ClipNetwork, FrameQueue, Tracked
from egorear.tracking.gaps import GapWatch
from egorear.tracking.training_cameras import Image


@dataclass(frozen=True)
class StreamFrame:
    """A frame as it was pushed; number and name are counted from 0 where none was given. timestamp: seconds."""

    name: str
    number: int
    timestamp: float


@dataclass(frozen=True)
class StreamedPose:
    """The final pose of one frame, on the CPU.

    joints: metres, device frame. confidence: 0 to 1, the highest value of the joint's heatmap. waited: seconds of the
    timestamps from this frame to the one with which its pose came; computed: seconds that this one's push took.
    """

    frame: StreamFrame
    joints: Float[Tensor, "J 3"]
    confidence: Float[Tensor, "J"]
    waited: float
    computed: float

    @property
    def latency(self) -> float:
        """Seconds from the frame's arrival to its pose."""
        return self.waited + self.computed


class PoseStream:
    """Takes one image after the other and gives each frame's pose once, in order, as soon as it is final.

    A frame goes through the image networks once. What looks along time is decided by the network: causal, or without
    motion, it answers each frame at once; any other is run over the last T frames each time `hop` new ones have come,
    and answers those that have at least `delay` frames after them. Both keep a bounded number of tensors. Where frames
    are missing (numbers or timestamps jump, or an image is None) what is pending is answered without later frames and
    a new window begins; the first time a warning says so, `gaps` counts.

    rig: of the camera that takes the images, at any resolution of its aspect ratio. training_rig: that the network was
    trained with (None: `rig`; images of another lens are re-rendered). model_id: what it is called in sentences.

    Raises:
        UserError: delay and hop do not suit the network, the rig lacks its view, or the device is not there.
    """

    def __init__(
        self,
        model: AGEgoPose,
        rig: Rig,
        training_rig: Rig | None = None,
        delay: int = 0,
        hop: int = 1,
        model_id: str = "",
        device: torch.device | str = "cpu",
    ) -> None:
        self._network = ClipNetwork(model, training_rig or rig, model_id, device)
        self._network.cameras.warn_once(rig, stacklevel=2)
        self._rig = rig
        self._queue: FrameQueue[StreamFrame] = FrameQueue(self._network, delay, hop)
        self._count = 0
        self.gaps = 0
        self._begin_video()

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints the poses have."""
        return self._network.model.config.joints

    def push(
        self, image: Image | None, timestamp: float | None = None, number: int | None = None, name: str | None = None
    ) -> list[StreamedPose]:
        """Takes the next frame: RGB, or None if the camera lost it. timestamp: seconds by any clock, by default when
        it was pushed, which says nothing of lost frames. number: as the camera counts its frames.

        Raises:
            UserError: the image has another aspect ratio than the rig's camera, or the timestamp is not finite; the
                stream goes on as if the frame had not been pushed.
        """
        started = time.perf_counter()
        if timestamp is not None and not math.isfinite(timestamp):
            raise UserError(f"the timestamp is {timestamp} but must be a finite number of seconds")
        seen = None if image is None else self._network.see([image], self._rig)
        frame = self._frame(timestamp, number, name)
        # Each watch must see its value, whatever the other one says.
        jumps = [
            watch.is_after_gap(value)
            for watch, value in ((self._numbers, number), (self._timestamps, timestamp))
            if value is not None
        ]
        self._newest = max(self._newest, frame.timestamp)
        poses = []
        if self._running and (seen is None or any(jumps)):
            poses += self._timed(self._queue.flush(), started)
            self._tell_gap(frame)
            self._newest = frame.timestamp
        if seen is not None:
            poses += self._timed(self._queue.push(seen, [frame]), started)
        self._running = seen is not None
        return poses

    def finish(self) -> list[StreamedPose]:
        """Ends the video: the poses of all frames that have none yet. What is pushed next begins another one, whose
        numbers and timestamps are its own."""
        started = time.perf_counter()
        poses = self._timed(self._queue.flush(), started)
        self._begin_video()
        return poses

    def _begin_video(self) -> None:
        self._numbers, self._timestamps = GapWatch(), GapWatch()
        self._newest = -math.inf
        self._running = False  # whether the last frame had an image

    def _frame(self, timestamp: float | None, number: int | None, name: str | None) -> StreamFrame:
        number = self._count if number is None else number
        self._count += 1
        return StreamFrame(
            f"{number:06d}" if name is None else name, number, time.monotonic() if timestamp is None else timestamp
        )

    def _tell_gap(self, frame: StreamFrame) -> None:
        if not self.gaps:
            warnings.warn(
                f"frames are missing at '{frame.name}': a new window begins after them, there and at any later gap",
                stacklevel=3,
            )
        self.gaps += 1

    def _timed(self, answers: list[Tracked[StreamFrame]], started: float) -> list[StreamedPose]:
        computed = time.perf_counter() - started
        return [
            StreamedPose(each.known, each.joints, each.confidence, self._newest - each.known.timestamp, computed)
            for each in answers
        ]
