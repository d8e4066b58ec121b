"""The cameras that a network was trained with, and images of any rig as these would have taken them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.cameras import Camera
from egorear.geometry.rig import Rig
from egorear.tracking.rerender import ViewWarp, view_warp

SMALLEST_COVERAGE = 0.1  # of the training camera's view; less means that the rig is oriented otherwise
FARTHEST_M = 0.3  # from the training camera's place: no two headsets differ by that
CLEARLY_ASIDE_M = 0.02  # of the device's origin, so that the other side is no matter of tolerance

Image = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class Retaken:
    """Images of B frames as the training cameras would have taken them.

    images: views of the network in its order, black where `present` is False. rig: what would have taken them, the
    training lenses at the user's places. warps: of each frame, by view that the user's rig has, how they were made: a
    camera may change its resolution.
    """

    images: UInt8[Tensor, "B V 3 H W"]
    present: Bool[Tensor, "B V"]
    rig: Rig
    warps: list[dict[str, ViewWarp]]


class TrainingCameras:
    """The rig of a network's training at the size of its images. model_id: what the network is called in sentences."""

    def __init__(self, rig: Rig, model_id: str) -> None:
        self.rig = rig
        self.model_id = model_id
        self._remarked: set[str] = set()

    @property
    def views(self) -> tuple[str, ...]:
        """The views the network was trained on."""
        return self.rig.views

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
        warps = {view: self.warp(rig, view, rig.cameras[view]) for view in used}
        for view, warp in warps.items():
            if warp.coverage < SMALLEST_COVERAGE:
                raise UserError(
                    f"rig '{rig.name}': camera '{view}' sees {warp.coverage:.0%} of what the network expects there; "
                    "'T_camera_device' must count from the device frame of docs/rig.md (z down to the floor)"
                )
        if misplaced := self._misplaced(rig, used):
            said.append(
                f"{'; '.join(misplaced)}: are cameras swapped, or is 'T_camera_device' inverted (it takes device "
                "points to camera points, metres) or counted from another device frame than that of docs/rig.md?"
            )
        if rendered := [view for view, warp in warps.items() if not warp.resizes]:
            shares = ", ".join(f"{view} ({warps[view].coverage:.0%} covered)" for view in rendered)
            said.append(f"re-rendered through the lenses '{self.model_id}' was trained on: {shares}")
        return said

    def _misplaced(self, rig: Rig, used: Sequence[str]) -> list[str]:
        """Which cameras are far from their place in training, or on the other side of the device's origin."""
        found = []
        for view in used:
            place = _center(rig.T_camera_device[rig.views.index(view)])
            trained = _center(self.rig.T_camera_device[self.views.index(view)])
            aside = (
                torch.minimum(place.abs(), trained.abs())[:2] > CLEARLY_ASIDE_M
            )  # to the right or left, front or back
            if (place - trained).norm() > FARTHEST_M or (aside & (place * trained < 0)[:2]).any():
                at, was = (", ".join(f"{x + 0.0:.3g}" for x in p.round(decimals=4).tolist()) for p in (place, trained))
                found.append(f"camera '{view}' is at ({at}) m of the device but was at ({was}) in training")
        return found

    def warn_once(self, rig: Rig, stacklevel: int) -> None:
        """Gives the remarks on a rig as warnings the first time it is seen; `stacklevel` as the caller would."""
        if (key := rig.hash()) not in self._remarked:
            for sentence in self.remarks(rig):
                warnings.warn(sentence, stacklevel=stacklevel + 1)
            self._remarked.add(key)

    def retake(self, frames: Sequence[Mapping[str, Image | None]], rig: Rig) -> Retaken:
        """The images of a batch of frames of one rig, whose extrinsics are "V 4 4". An image that is None was lost in
        that frame; each frame may lack other ones.

        Raises:
            UserError: there is no frame, one does not mention a view of the rig or has no image at all, or an image
                has another aspect ratio than its camera.
        """
        if not frames:
            raise UserError("there is no frame to predict")
        used = self.views_of(rig)
        width, height = next((camera.width, camera.height) for camera in self.rig.cameras.values())
        images = np.zeros((len(frames), len(self.views), height, width, 3), np.uint8)
        present = np.zeros(images.shape[:2], bool)
        as_told = {view: self.warp(rig, view, rig.cameras[view]) for view in used}
        warps = [dict(as_told) for _ in frames]
        for number, frame in enumerate(frames):
            for view in used:
                if (image := _image(frame, view)) is not None:
                    warp = self.warp(rig, view, _camera_of(image, rig.cameras[view], view))
                    at = number, self.views.index(view)
                    images[at], present[at], warps[number][view] = warp(image), True, warp
            if not present[number].any():
                raise UserError(f"frame {number} of {len(frames)} has no image of any of {', '.join(used)}")
        tensor = torch.from_numpy(images).permute(0, 1, 4, 2, 3)
        return Retaken(tensor, torch.from_numpy(present), self.network_rig(rig, as_told), warps)

    def warp(self, rig: Rig, view: str, source: Camera) -> ViewWarp:
        """From the view's image, taken by `source` in the place that the rig tells, to the training camera's."""
        R_source_device = rig.T_camera_device[rig.views.index(view), :3, :3].double().cpu()
        R_target_device = self.rig.T_camera_device[self.views.index(view), :3, :3].double().cpu()
        rotation = (R_source_device @ R_target_device.T).tolist()
        return view_warp(source, self.rig.cameras[view], tuple(map(tuple, rotation)))

    def network_rig(self, rig: Rig, warps: Mapping[str, ViewWarp]) -> Rig:
        """The rig that would have taken the images as the network gets them: training lenses at the user's places."""
        T = self.rig.T_camera_device.clone()
        for view in warps:
            index = self.views.index(view)
            T_source_device = rig.T_camera_device[rig.views.index(view)].to(T)
            if warps[view].resizes:
                T[index] = T_source_device
            else:
                T[index, :3, 3] = -T[index, :3, :3] @ _center(T_source_device)
        return replace(self.rig, T_camera_device=T)


def _center(T_camera_device: Float[Tensor, "4 4"]) -> Float[Tensor, "3"]:
    """Where the camera is in the device frame (m)."""
    return -T_camera_device[:3, :3].T @ T_camera_device[:3, 3]


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
