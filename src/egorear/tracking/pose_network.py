"""A pose network with all that belongs to its weights: bytes of its training cameras in, joints in metres out.

One graph of tensors, so that it can be exported whole (`onnx_export.py`).
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW
from egorear.heatmaps import argmax_2d, to_image_pixels
from egorear.models.egorear import EgoRear, EgoRearOutput
from egorear.models.egotap import EgoTAP
from egorear.models.images import normalize
from egorear.tracking.calibration import Platt, Raw


class NetworkAnswer(NamedTuple):
    """What a network says of B frames.

    joints: metres; in the device frame, or along its axes from the pelvis if that is the network's `origin`.
    confidence: 0 to 1, see `TrackedPose`. joints_2d: where the final heatmaps peak, in pixels of the network's images.
    scores_2d: the peaks. Those of a view that is not there are 0, and its joints_2d mean nothing.
    """

    joints: Float[Tensor, "B J 3"]
    confidence: Float[Tensor, "B J"]
    joints_2d: Float[Tensor, "B V K 2"]
    scores_2d: Float[Tensor, "B V K"]


class PoseNetwork(nn.Module):
    """In eval mode. lenses: the cameras of its training with the network's views, at any size. calibration: None
    leaves the confidences as they are. origin: what its poses count from, "device" or "pelvis".

    Raises:
        UserError: the network makes no poses.
    """

    def __init__(self, model: EgoRear | EgoTAP, lenses: Rig, calibration: Platt | None) -> None:
        super().__init__()
        if model.lifter is None:
            raise UserError("the network makes no poses: it was saved before its last training stage")
        size = model.config.image_size
        self.model = model
        self.lenses = lenses.select(model.config.views).resized(size, size)
        self.calibration = calibration
        self.skeleton = model.config.joints if isinstance(model, EgoTAP) else EGO4VIEW
        self.origin = model.config.origin if isinstance(model, EgoTAP) else "device"
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.parameters()).device

    def forward(
        self, images: UInt8[Tensor, "B V 3 H W"], T_camera_device: Float[Tensor, "V 4 4"], present: Bool[Tensor, "B V"]
    ) -> NetworkAnswer:
        """RGB images as the training lenses see the world, where these cameras are on the device, and the views that
        each frame has; all on the network's device."""
        # Nothing to leave out costs nothing. An exported graph cannot choose, and asks always.
        complete = not torch.compiler.is_exporting() and bool(present.all())
        rig = replace(self.lenses, T_camera_device=T_camera_device)
        output = self.model(normalize(images), rig, None if complete else present)
        heatmaps = output.heatmaps_initial if output.heatmaps_refined is None else output.heatmaps_refined
        cells, scores = argmax_2d(heatmaps.float())
        raw = _raw_confidence(output, scores)
        return NetworkAnswer(
            joints=output.poses[:, -1].float(),
            confidence=raw if self.calibration is None else self.calibration.apply(raw, present),
            joints_2d=to_image_pixels(cells, self.model.config.image_size, heatmaps.shape[-1]),
            scores_2d=scores,
        )


def raw_confidence(model: EgoRear | EgoTAP) -> Raw:
    """What the network's uncalibrated confidences are."""
    return "head" if isinstance(model, EgoRear) and model.config.confidence else "peaks"


def _raw_confidence(output: EgoRearOutput, scores: Float[Tensor, "B V K"]) -> Float[Tensor, "B J"]:
    if output.confidence is not None:
        return output.confidence.float().sigmoid()
    seen = scores.amax(dim=1).clamp(0, 1)
    return torch.cat((seen[:, :1], seen), dim=1)  # the root has no heatmap and takes the next joint's
