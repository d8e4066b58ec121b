"""The way of one frame: images → what the training cameras would have seen → network → joints in metres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.skeleton import Skeleton
from egorear.models.agegopose import AGEgoPose
from egorear.models.egorear import EgoRear
from egorear.models.egotap import EgoTAP
from egorear.models.pretrained import load_pretrained
from egorear.tracking.calibration import find_calibration
from egorear.tracking.onnx_network import OnnxNetwork, is_export
from egorear.tracking.placement import place
from egorear.tracking.pose_network import PoseNetwork, raw_confidence
from egorear.tracking.training_cameras import Image, TrainingCameras
from egorear.tracking.weights import DEFAULT, find_weights


@dataclass(frozen=True)
class TrackedPose:
    """The pose seen in one frame, or in a batch of them (leading dimension B); on the CPU.

    joints: metres, device frame, order of the tracker's `skeleton`. confidence: 0 to 1; with calibrated weights the
    probability that the joint lies within 100 mm of the truth (docs/confidence.md), else the network's own guess of
    it, or the highest peak of the joint's final heatmaps over the views (the root has none and takes the next's).
    joints_2d: where the final heatmaps peak, in pixels of the images given; K joints, all but the head.
    scores_2d: the peaks. views: those of the rig that were used, in the order of V; in a frame that had no image of a
    view, its joints_2d are NaN and its scores_2d 0.
    """

    joints: Float[Tensor, "*B J 3"]
    confidence: Float[Tensor, "*B J"]
    joints_2d: Float[Tensor, "*B V K 2"]
    scores_2d: Float[Tensor, "*B V K"]
    views: tuple[str, ...]


class PoseTracker:
    """A trained network that takes images of any rig with its views.

    Images of other lenses or orientations than `training_rig`'s are re-rendered (`training_cameras.py`); the network is
    told which views there are. Poses relative to the pelvis are placed by the heatmaps (`placement.py`). `model_id`
    names the weights in result files.
    """

    def __init__(self, network: PoseNetwork | OnnxNetwork, model_id: str = "") -> None:
        self.network = network
        self.cameras = TrainingCameras(network.lenses, model_id)
        self.model_id = model_id

    @classmethod
    def from_pretrained(
        cls, name: str | Path = DEFAULT, device: torch.device | str = "cpu", calibrated: bool = True
    ) -> "PoseTracker":
        """Loads shipped weights by name, a folder, or a Hugging Face Hub id "organisation/name".

        The folder holds `model.safetensors`, `config.json`, unless trained for Ego4View-Syn's rig `rig.json`, and
        `calibration.json` if `egorear calibrate` made one; it is used if `calibrated`. Or it is one that
        `egorear export` wrote (docs/export.md); then ONNX Runtime runs it.

        Raises:
            UserError: there are none, a file is damaged, the device is not there, or it is no pose network.
        """
        folder = find_weights(name)
        if is_export(folder):
            if not calibrated:
                raise UserError(f"{folder} is an export, whose confidences stay as they are: use the weights it is of")
            network = OnnxNetwork.load(folder, device)
            return cls(network, network.model_id)
        model = load_pretrained(folder)
        if isinstance(model, AGEgoPose):
            raise UserError(f"{folder} holds AGEgoPose, which looks along time: use ClipTracker or egorear predict")
        if not isinstance(model, EgoRear | EgoTAP):
            raise UserError(
                f"{folder} holds {type(model).__name__}, whose poses are relative to the pelvis and which makes no "
                "heatmaps to place them by: use EgoRear or EgoTAP"
            )
        rig_file = folder / "rig.json"
        rig = Rig.load(rig_file) if rig_file.exists() else ego4view_syn()
        calibration = find_calibration(folder, raw_confidence(model), model.config.views) if calibrated else None
        try:
            return cls(PoseNetwork(model, rig, calibration).to(device), folder.resolve().name)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from error
        except (RuntimeError, AssertionError) as error:  # how torch says that it has no such device
            raise UserError(f"device '{device}' cannot be used: {error}".splitlines()[0]) from error

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints the poses have."""
        return self.network.skeleton

    @property
    def training_rig(self) -> Rig:
        """The cameras the network was trained with, at the size of its images."""
        return self.cameras.rig

    @property
    def views(self) -> tuple[str, ...]:
        """The views the network was trained on."""
        return self.cameras.views

    def views_of(self, rig: Rig) -> tuple[str, ...]:
        """The rig's views that the network can use, in the network's order.

        Raises:
            UserError: there is none.
        """
        return self.cameras.views_of(rig)

    def remarks(self, rig: Rig) -> list[str]:
        """What a user of this rig should know about the accuracy to expect, one sentence each.

        Raises:
            UserError: no view can be used, or a camera looks elsewhere than the one it stands for.
        """
        return self.cameras.remarks(rig)

    def __call__(self, images: Mapping[str, Image | None] | UInt8[Tensor, "*B V 3 H W"], rig: Rig) -> TrackedPose:
        """The pose of one frame: RGB images by view name (None: the camera gave none this time), or a tensor of the
        rig's views in its order (a batch of frames with a leading B). `rig` describes the cameras at any resolution of
        the same aspect ratio.

        Raises:
            UserError: as `predict`.
        """
        if isinstance(images, Tensor) and images.ndim == 5:
            return self.predict([_by_view(frame, rig) for frame in images], rig)
        frame = _by_view(images, rig) if isinstance(images, Tensor) else images
        batch = self.predict([frame], rig)
        return replace(
            batch,
            joints=batch.joints[0],
            confidence=batch.confidence[0],
            joints_2d=batch.joints_2d[0],
            scores_2d=batch.scores_2d[0],
        )

    def predict(self, frames: Sequence[Mapping[str, Image | None]], rig: Rig) -> TrackedPose:
        """The poses of a batch of frames of one rig, whose extrinsics are "V 4 4". An image that is None was lost in
        that frame; each frame may lack other ones.

        Raises:
            UserError: a frame does not mention a view of the rig or has no image at all, an image has another aspect
                ratio than its camera, or the rig does not fit the network (`remarks`).
        """
        self.cameras.warn_once(rig, stacklevel=3)
        retaken = self.cameras.retake(frames, rig)
        present, warps = retaken.present, retaken.warps
        used = tuple(warps[0])
        to = self.network.device
        with torch.inference_mode():
            answer = self.network(retaken.images.to(to), retaken.rig.T_camera_device.to(to), present.to(to))
        # Ordinary tensors, not those of inference mode.
        joints, confidence, pixels, scores = (part.cpu().clone() for part in answer)
        index = [self.views.index(view) for view in used]
        pixels, scores = pixels[:, index], scores[:, index]
        joints_2d = torch.stack(
            [torch.stack([warp.to_source(at) for warp, at in zip(of_frame.values(), places, strict=True)])
             for of_frame, places in zip(warps, pixels, strict=True)]
        )  # fmt: skip
        if self.network.origin == "pelvis":
            # A peak's square, and none of a view that is not there. The root, first, has no heatmap.
            weights = scores.clamp_min(0).square() * present[:, index, None]
            joints = joints + place(joints[:, 1:], pixels, weights, retaken.rig.select(used))[:, None]
        return TrackedPose(
            joints=joints,
            confidence=confidence,
            joints_2d=joints_2d.where(present[:, index, None, None], torch.nan),
            scores_2d=scores,
            views=used,
        )


def _by_view(images: UInt8[Tensor, "V 3 H W"], rig: Rig) -> dict[str, Image | None]:
    if len(images) != len(rig.views):
        raise UserError(f"the tensor has {len(images)} views but the rig has {', '.join(rig.views)}")
    return dict(zip(rig.views, images.permute(0, 2, 3, 1).cpu().numpy(), strict=True))
