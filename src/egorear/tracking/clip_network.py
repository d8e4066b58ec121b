"""A network that looks along time, and the camera it was trained with: each frame's image work, done once."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.transforms import invert_rigid, transform_points
from egorear.models.agegopose import AGEgoPose, FrameFeatures
from egorear.models.images import normalize
from egorear.tracking.temporal_lift import temporal_lift
from egorear.tracking.training_cameras import Image, TrainingCameras

Known = TypeVar("Known")


@dataclass(frozen=True)
class SeenFrames:
    """What is kept of N frames' images.

    features: without the heatmaps, which are large and have been read. confidence: 0 to 1 a joint: the highest value
    of its heatmap; a joint without one takes the next's, and without heatmaps all have 0. T_device_network: from the
    network's device frame to that of the rig the frames were taken with.
    """

    features: FrameFeatures
    confidence: Float[Tensor, "N J"]
    T_device_network: Float[Tensor, "4 4"]

    def part(self, start: int, end: int) -> "SeenFrames":
        """Frames start to end - 1 of these."""
        kept = (None if value is None else value[start:end] for value in vars(self.features).values())
        return replace(self, features=FrameFeatures(*kept), confidence=self.confidence[start:end])


@dataclass(frozen=True)
class Tracked(Generic[Known]):
    """A frame's pose. known: what the caller knows of the frame. joints: metres, device frame of its rig; confidence: 0
    to 1; both on the CPU."""

    known: Known
    joints: Float[Tensor, "J 3"]
    confidence: Float[Tensor, "J"]


class ClipNetwork:
    """AG-EgoPose for images of any rig that has its view. model_id: what it is called in sentences.

    Raises:
        UserError: the rig lacks the network's view, or the device is not there.
    """

    def __init__(
        self, model: AGEgoPose, training_rig: Rig, model_id: str = "", device: torch.device | str = "cpu"
    ) -> None:
        size = model.config.image_size
        try:
            self.model = model.eval().to(device)
        except (RuntimeError, AssertionError) as error:  # how torch says that it has no such device
            raise UserError(f"device '{device}' cannot be used: {error}".splitlines()[0]) from error
        self.cameras = TrainingCameras(training_rig.select(model.config.views).resized(size, size), model_id)
        self.device = torch.device(device)

    def see(self, images: Sequence[Image], rig: Rig) -> SeenFrames:
        """The work on the images (RGB, of the network's view) of one rig's frames, whose extrinsics are "V 4 4".

        Raises:
            UserError: an image has another aspect ratio than its camera, or the rig lacks the view.
        """
        (view,) = self.cameras.views_of(rig)
        rig = rig.select((view,))
        retaken = self.cameras.retake([{view: image} for image in images], rig)
        with torch.inference_mode():
            features = self.model.features(normalize(retaken.images[:, 0].to(self.device)))
        confidence = self._confidence(features.heatmap_logits, len(images))  # no tensor of inference mode: users get it
        features.heatmap_logits = None
        T_camera_network, T_camera_device = self.cameras.rig.T_camera_device[0], retaken.rig.T_camera_device[0]
        return SeenFrames(features, confidence, invert_rigid(T_camera_device) @ T_camera_network)

    def _confidence(self, logits: Float[Tensor, "N K h w"] | None, frames: int) -> Float[Tensor, "N J"]:
        joints = len(self.model.config.joints)
        if logits is None:
            return torch.zeros(frames, joints)
        peaks = logits.float().amax(dim=(-2, -1)).sigmoid().cpu()
        # Only a first joint lacks a heatmap (the head of EGO4VIEW).
        return torch.cat((peaks[:, : joints - peaks.shape[1]], peaks), dim=1)


class FrameQueue(Generic[Known]):
    """Frames between their image work and their pose; what the caller knows of each waits with it.

    delay, hop: as in `temporal_lift.WindowLift`.
    """

    def __init__(self, network: ClipNetwork, delay: int = 0, hop: int = 1) -> None:
        self._lift = temporal_lift(network.model, delay, hop)
        self._waiting: deque[tuple[Known, Float[Tensor, "J"], Float[Tensor, "4 4"]]] = deque()

    def push(self, seen: SeenFrames, known: Sequence[Known]) -> list[Tracked[Known]]:
        """Takes the run's next frames; returns what became final, oldest first."""
        for one, confidence in zip(known, seen.confidence, strict=True):
            self._waiting.append((one, confidence, seen.T_device_network))
        with torch.inference_mode():
            poses = self._lift.push(seen.features)
        return self._answered(poses)

    def flush(self) -> list[Tracked[Known]]:
        """Ends the run: whatever has no pose yet gets it, and the next push begins another one."""
        with torch.inference_mode():
            poses = self._lift.flush()
        return self._answered(poses)

    def _answered(self, poses: Float[Tensor, "M J 3"]) -> list[Tracked[Known]]:
        answered = [self._waiting.popleft() for _ in poses]
        return [
            Tracked(known, transform_points(T_device_network, pose), confidence)
            for (known, confidence, T_device_network), pose in zip(answered, poses.float().cpu(), strict=True)
        ]
