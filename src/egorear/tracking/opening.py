"""Opens trained weights whatever the network takes: the frames of one moment, or a video."""

from pathlib import Path

import torch

from egorear.files import read_json
from egorear.models.pretrained import CONFIG
from egorear.tracking.clip_tracker import ClipTracker
from egorear.tracking.onnx_network import is_export
from egorear.tracking.tracker import PoseTracker
from egorear.tracking.weights import DEFAULT, find_weights


def open_tracker(name: str | Path = DEFAULT, device: torch.device | str = "cpu") -> PoseTracker | ClipTracker:
    """The tracker of weights by name, folder or Hugging Face Hub id.

    Raises:
        UserError: there are none, a file is damaged, the device is not there, or it is no pose network.
    """
    folder = find_weights(name)
    if is_export(folder):
        return PoseTracker.from_pretrained(folder, device)
    content = read_json(folder / CONFIG)
    kind = content.get("class") if isinstance(content, dict) else None
    return (ClipTracker if kind == "AGEgoPose" else PoseTracker).from_pretrained(folder, device)
