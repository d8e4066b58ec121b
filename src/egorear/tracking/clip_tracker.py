"""Recorded videos to poses with a network that looks along time, window by window."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.datasets.windows import runs
from egorear.errors import UserError
from egorear.geometry.rig import Rig, shipped
from egorear.geometry.skeleton import Skeleton
from egorear.models.agegopose import AGEgoPose
from egorear.models.pretrained import load_pretrained
from egorear.tracking.clip_network import ClipNetwork, FrameQueue, Tracked
from egorear.tracking.pose_stream import PoseStream
from egorear.tracking.sources import Frame
from egorear.tracking.temporal_lift import answers_at_once, temporal_lift
from egorear.tracking.training_cameras import Image
from egorear.tracking.weights import find_weights

BATCH = 8  # images at once, where nobody says otherwise


@dataclass(frozen=True)
class TrackedClip:
    """The poses of a video's T frames, on the CPU. joints: metres, device frame; confidence: 0 to 1, the highest value
    of the joint's heatmap (a joint without one takes the next's; a network without heatmaps gives 0)."""

    joints: Float[Tensor, "T J 3"]
    confidence: Float[Tensor, "T J"]


class ClipTracker:
    """A trained network that looks along time (AG-EgoPose), for videos of any rig that has its view.

    Windows of the network's T frames lie side by side (`datasets.windows.covering`): each frame is answered once, a
    sequence's last window ends with it, and no window bridges missing frames. A causal network, and one without motion,
    takes the whole video frame by frame instead. Images of other lenses than `training_rig`'s are re-rendered
    (`training_cameras.py`). `model_id` names the weights in result files.

    Raises:
        UserError: the network makes no poses, or the device is not there.
    """

    def __init__(
        self, model: AGEgoPose, training_rig: Rig, model_id: str = "", device: torch.device | str = "cpu"
    ) -> None:
        self.network = ClipNetwork(model, training_rig, model_id, device)
        self.model_id = model_id
        temporal_lift(model)  # says what is wrong before any work

    @classmethod
    def from_pretrained(cls, name: str | Path, device: torch.device | str = "cpu") -> "ClipTracker":
        """Loads weights by name, folder, or Hugging Face Hub id, as `PoseTracker`; without a `rig.json` beside them
        they are for the whole images of EgoPW's camera, as the published ones are.

        Raises:
            UserError: there are none, a file is damaged, it is another network, or the device is not there.
        """
        folder = find_weights(name)
        model = load_pretrained(folder)
        if not isinstance(model, AGEgoPose):
            raise UserError(f"{folder} holds {type(model).__name__}, which takes single frames: use PoseTracker")
        rig_file = folder / "rig.json"
        rig = Rig.load(rig_file) if rig_file.exists() else shipped("egopw")
        return cls(model, rig, folder.resolve().name, device)

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints the poses have."""
        return self.network.model.config.joints

    @property
    def view(self) -> str:
        """The one view that the network takes."""
        return self.network.model.config.views[0]

    def remarks(self, rig: Rig) -> list[str]:
        """What a user of this rig should know about the accuracy to expect, one sentence each.

        Raises:
            UserError: the view is not there, or its camera looks elsewhere.
        """
        return self.network.cameras.remarks(rig)

    def remarks_on(self, names: Sequence[str]) -> list[str]:
        """What a user should know of videos whose frames have these names: gaps, and too few frames.

        Raises:
            UserError: a name has no number.
        """
        found, said = runs(names), []
        sequences = [names[run.start].rpartition("/")[0] for run in found]
        after_gap = [run for i, run in enumerate(found) if i and sequences[i] == sequences[i - 1]]
        if after_gap:
            count = f"is a gap before '{names[after_gap[0].start]}'"
            if len(after_gap) > 1:
                count = f"are {len(after_gap)} gaps, the first before '{names[after_gap[0].start]}'"
            said.append(f"in the frame numbers there {count}: each side is taken for a video of its own")
        window = self.network.model.config.window
        short = [run for run in found if len(run) < window]
        if short and not answers_at_once(self.network.model):
            share = f"{len(short)} of {len(found)} videos are" if len(found) > 1 else "the video is"
            said.append(
                f"{share} shorter than the {window} frames that '{self.model_id}' looks at together "
                f"({min(map(len, short))} at the least), and less accurate"
            )
        return said

    def stream(self, rig: Rig, delay: int = 0, hop: int = 1) -> PoseStream:
        """A stream of this network for frames as they come; arguments as `PoseStream`'s.

        Raises:
            UserError: the rig lacks the view, or delay and hop do not suit the network.
        """
        network = self.network
        return PoseStream(network.model, rig, network.cameras.rig, delay, hop, self.model_id, network.device)

    def __call__(self, images: Sequence[Image], rig: Rig) -> TrackedClip:
        """The poses of one video: RGB images of the rig's camera in their order, without gaps, at any resolution of its
        aspect ratio.

        Raises:
            UserError: there is no image, one has another aspect ratio, or the rig lacks the view.
        """
        if not len(images):
            raise UserError("there is no frame to predict")
        self.network.cameras.warn_once(rig, stacklevel=2)
        queue = self._queue()
        tracked: list[Tracked[None]] = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            tracked += queue.push(self.network.see(batch, rig), [None] * len(batch))
        tracked += queue.flush()
        return TrackedClip(
            torch.stack([each.joints for each in tracked]), torch.stack([each.confidence for each in tracked])
        )

    def track(self, batches: Iterable[Sequence[Frame]], names: Sequence[str]) -> Iterator[Tracked[tuple[str, float]]]:
        """Name and timestamp, and the pose, of all frames of some recordings, in their order; memory for a window.

        names: of all frames (`Source.names`), by which sequences and gaps are told. batches: the frames, those of a
        batch with one rig (`sources.batches`).

        Raises:
            UserError: a name has no number, or an image does not fit its camera.
        """
        ends = {run.stop for run in runs(names)}
        queue, done = self._queue(), 0
        for frames in batches:
            seen = self.network.see([frame.images[self.view] for frame in frames], frames[0].rig)
            start = 0
            for end in range(1, len(frames) + 1):
                if done + end in ends or end == len(frames):
                    known = [(frame.name, frame.timestamp) for frame in frames[start:end]]
                    yield from queue.push(seen.part(start, end), known)
                    start = end
                if done + end in ends:
                    yield from queue.flush()
            done += len(frames)

    def _queue(self) -> FrameQueue:
        model = self.network.model
        return FrameQueue(self.network, hop=1 if answers_at_once(model) else model.config.window)
