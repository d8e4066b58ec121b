"""The way of one frame: images → what the training cameras would have seen → network → joints in metres."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.cameras import Camera
from egorear.geometry.rig import Rig, ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.heatmaps import argmax_2d, to_image_pixels
from egorear.models.egorear import EgoRear, EgoRearOutput
from egorear.models.egotap import EgoTAP
from egorear.models.images import normalize
from egorear.models.pretrained import load_pretrained
from egorear.tracking.calibration import Platt, Raw, find_calibration
from egorear.tracking.rerender import ViewWarp, view_warp
from egorear.tracking.weights import DEFAULT, find_weights

SMALLEST_COVERAGE = 0.1  # of the training camera's view; less means that the rig is oriented otherwise

Image = UInt8[np.ndarray, "_ _ 3"]


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

    Images of other lenses or orientations than `training_rig`'s are re-rendered (`rerender.py`); the network is told
    which views there are. `model_id` names the weights in result files. calibration: what turns the network's raw
    confidences (`raw_confidence`) into probabilities.
    """

    def __init__(
        self,
        model: EgoRear | EgoTAP,
        training_rig: Rig,
        model_id: str = "",
        device: torch.device | str = "cpu",
        calibration: Platt | None = None,
    ) -> None:
        if model.lifter is None:
            raise UserError(f"the network '{model_id}' makes no poses: it was saved before its last training stage")
        size = model.config.image_size
        self.model = model.eval().to(device)
        self.training_rig = training_rig.select(model.config.views).resized(size, size)
        self.model_id = model_id
        self.device = torch.device(device)
        self.calibration = calibration
        self._remarked: set[str] = set()

    @classmethod
    def from_pretrained(
        cls, name: str | Path = DEFAULT, device: torch.device | str = "cpu", calibrated: bool = True
    ) -> "PoseTracker":
        """Loads shipped weights by name, a folder, or a Hugging Face Hub id "organisation/name".

        The folder holds `model.safetensors`, `config.json`, unless trained for Ego4View-Syn's rig `rig.json`, and
        `calibration.json` if `egorear calibrate` made one; it is used if `calibrated`.

        Raises:
            UserError: there are none, a file is damaged, the device is not there, or it is no pose network.
        """
        folder = find_weights(name)
        model = load_pretrained(folder)
        if not isinstance(model, EgoRear | EgoTAP) or (isinstance(model, EgoTAP) and model.config.origin != "device"):
            raise UserError(f"{folder} holds {type(model).__name__}, whose poses are not in the device frame")
        rig_file = folder / "rig.json"
        rig = Rig.load(rig_file) if rig_file.exists() else ego4view_syn()
        calibration = find_calibration(folder, raw_confidence(model), model.config.views) if calibrated else None
        try:
            return cls(model, rig, folder.resolve().name, device, calibration)
        except (RuntimeError, AssertionError) as error:  # how torch says that it has no such device
            raise UserError(f"device '{device}' cannot be used: {error}".splitlines()[0]) from error

    @property
    def skeleton(self) -> Skeleton:
        """Whose joints the poses have."""
        return self.model.config.joints if isinstance(self.model, EgoTAP) else EGO4VIEW

    @property
    def views(self) -> tuple[str, ...]:
        """The views the network was trained on."""
        return self.training_rig.views

    def views_of(self, rig: Rig) -> tuple[str, ...]:
        """The rig's views that the network can use, in the network's order.

        Raises:
            UserError: there is none.
        """
        used = tuple(view for view in self.views if view in rig.cameras)
        if not used:
            raise UserError(
                f"rig '{rig.name}' has the views {', '.join(rig.views)} but '{self.model_id}' needs at least one of "
                f"{', '.join(self.views)}; rename the cameras in the rig file"
            )
        return used

    def remarks(self, rig: Rig) -> list[str]:
        """What a user of this rig should know about the accuracy to expect, one sentence each.

        Raises:
            UserError: no view can be used, or a camera looks elsewhere than the one it stands for.
        """
        used, said = self.views_of(rig), []
        if missing := [view for view in self.views if view not in used]:
            said.append(
                f"rig '{rig.name}' lacks {', '.join(missing)}: '{self.model_id}' does without, and is less accurate "
                "the fewer views it has"
            )
        if ignored := [view for view in rig.views if view not in used]:
            said.append(f"the views {', '.join(ignored)} are not used: '{self.model_id}' was trained without them")
        warps = {view: self._warp(rig, view, rig.cameras[view]) for view in used}
        for view, warp in warps.items():
            if warp.coverage < SMALLEST_COVERAGE:
                raise UserError(
                    f"rig '{rig.name}': camera '{view}' sees {warp.coverage:.0%} of what the network expects there; "
                    "'T_camera_device' must count from the device frame of docs/rig.md (z down to the floor)"
                )
        if rendered := [view for view, warp in warps.items() if not warp.resizes]:
            shares = ", ".join(f"{view} ({warps[view].coverage:.0%} covered)" for view in rendered)
            said.append(f"re-rendered through the lenses '{self.model_id}' was trained on: {shares}")
        return said

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
        if not frames:
            raise UserError("there is no frame to predict")
        self._warn_once(rig)
        used, size = self.views_of(rig), self.model.config.image_size
        images = np.zeros((len(frames), len(self.views), size, size, 3), np.uint8)
        present = np.zeros(images.shape[:2], bool)
        warps = {view: self._warp(rig, view, rig.cameras[view]) for view in used}
        for number, frame in enumerate(frames):
            for view in used:
                if (image := _image(frame, view)) is not None:
                    warps[view] = self._warp(rig, view, _camera_of(image, rig.cameras[view], view))
                    at = number, self.views.index(view)
                    images[at], present[at] = warps[view](image), True
            if not present[number].any():
                raise UserError(f"frame {number} of {len(frames)} has no image of any of {', '.join(used)}")
        tensor = torch.from_numpy(images).permute(0, 1, 4, 2, 3)
        return self._infer(tensor, torch.from_numpy(present), self._network_rig(rig, warps), warps)

    def _infer(
        self, images: UInt8[Tensor, "B V 3 H W"], present: Bool[Tensor, "B V"], rig: Rig, warps: dict[str, ViewWarp]
    ) -> TrackedPose:
        there = None if present.all() else present.to(self.device)
        with torch.inference_mode():
            output = self.model(normalize(images.to(self.device)), rig, there)
        heatmaps = _final_heatmaps(output)
        index = [self.views.index(view) for view in warps]
        cells, scores = argmax_2d(heatmaps[:, index].float().cpu())
        pixels = to_image_pixels(cells, self.model.config.image_size, heatmaps.shape[-1])
        joints_2d = torch.stack([warp.to_source(pixels[:, v]) for v, warp in enumerate(warps.values())], dim=1)
        raw = _raw_confidence(output)
        return TrackedPose(
            joints=output.poses[:, -1].float().cpu().clone(),  # an ordinary tensor, not one of inference mode
            confidence=raw if self.calibration is None else self.calibration.apply(raw, present),
            joints_2d=joints_2d.where(present[:, index, None, None], torch.nan),
            scores_2d=scores,
            views=tuple(warps),
        )

    def _warp(self, rig: Rig, view: str, source: Camera) -> ViewWarp:
        R_source_device = rig.T_camera_device[rig.views.index(view), :3, :3].double().cpu()
        R_target_device = self.training_rig.T_camera_device[self.views.index(view), :3, :3].double().cpu()
        rotation = (R_source_device @ R_target_device.T).tolist()
        return view_warp(source, self.training_rig.cameras[view], tuple(map(tuple, rotation)))

    def _network_rig(self, rig: Rig, warps: dict[str, ViewWarp]) -> Rig:
        """The rig that would have taken the images as the network gets them: training lenses at the user's places."""
        T = self.training_rig.T_camera_device.clone()
        for view in warps:
            index = self.views.index(view)
            T_source_device = rig.T_camera_device[rig.views.index(view)].to(T)
            if warps[view].resizes:
                T[index] = T_source_device
            else:
                center = -T_source_device[:3, :3].T @ T_source_device[:3, 3]
                T[index, :3, 3] = -T[index, :3, :3] @ center
        return replace(self.training_rig, T_camera_device=T.to(self.device))

    def _warn_once(self, rig: Rig) -> None:
        if (key := rig.hash()) not in self._remarked:
            for sentence in self.remarks(rig):
                warnings.warn(sentence, stacklevel=4)
            self._remarked.add(key)


def raw_confidence(model: EgoRear | EgoTAP) -> Raw:
    """What the network's uncalibrated confidences are."""
    return "head" if isinstance(model, EgoRear) and model.config.confidence else "peaks"


def _raw_confidence(output: EgoRearOutput) -> Float[Tensor, "B J"]:
    if output.confidence is not None:
        return output.confidence.float().sigmoid().cpu().clone()
    seen = _final_heatmaps(output).float().amax(dim=(1, -2, -1)).clamp(0, 1).cpu()
    return torch.cat((seen[:, :1], seen), dim=1)


def _final_heatmaps(output: EgoRearOutput) -> Float[Tensor, "B V K h w"]:
    heatmaps = output.heatmaps_initial if output.heatmaps_refined is None else output.heatmaps_refined
    assert heatmaps is not None  # every network that makes poses has them
    return heatmaps


def _by_view(images: UInt8[Tensor, "V 3 H W"], rig: Rig) -> dict[str, Image | None]:
    if len(images) != len(rig.views):
        raise UserError(f"the tensor has {len(images)} views but the rig has {', '.join(rig.views)}")
    return dict(zip(rig.views, images.permute(0, 2, 3, 1).cpu().numpy(), strict=True))


def _image(frame: Mapping[str, np.ndarray | None], view: str) -> Image | None:
    if view not in frame:
        raise UserError(
            f"the frame has no image of view '{view}', which the rig has, only {', '.join(frame)}; if the camera was "
            "lost in this frame, give None"
        )
    if (image := frame[view]) is None:
        return None
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UserError(f"view '{view}': the image is {image.dtype} {image.shape} but must be uint8 (H, W, 3), RGB")
    return np.ascontiguousarray(image)


def _camera_of(image: Image, camera: Camera, view: str) -> Camera:
    """The camera at the image's resolution."""
    height, width = image.shape[:2]
    if (width, height) == (camera.width, camera.height):
        return camera
    if not camera.same_aspect(width, height):
        raise UserError(
            f"view '{view}': the image is {width}x{height} but must have the aspect ratio of its camera in the rig, "
            f"{camera.width}x{camera.height}"
        )
    return camera.resized(width, height)
