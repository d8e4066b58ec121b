"""Checks that a dataset's truth agrees with itself and with the rig it is read with."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from egorear.datasets.frames import FrameDataset
from egorear.datasets.truth import StoredTruth
from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import Skeleton


@dataclass(frozen=True)
class ViewAgreement:
    """median_px, max_px: stored 2D joints against the projected 3D joints, joints in view only (NaN: none is).
    max_mm: stored camera-relative joints against the device-relative ones moved by the rig's extrinsics."""

    median_px: float
    max_px: float
    max_mm: float


@dataclass(frozen=True)
class TruthReport:
    """frames: how many were checked. views: what was found in each, pixels as calibrated."""

    frames: int
    views: dict[str, ViewAgreement]

    def agrees(self, pixels: float = 1.0, millimetres: float = 1.0) -> bool:
        """Whether no joint of any view is farther off than this."""
        found = self.views.values()
        return all(not view.max_px > pixels and view.max_mm <= millimetres for view in found)


def check_truth(dataset: FrameDataset, limit: int = 1000) -> TruthReport:
    """Compares the stored truth of up to `limit` frames, spread evenly over the dataset. No image is read.

    Raises:
        UserError: a frame's JSON is damaged, or `limit` is below 1.
    """
    if limit < 1:
        raise UserError(f"'limit' is {limit} but must be at least 1")
    indices = np.unique(np.linspace(0, len(dataset) - 1, min(limit, len(dataset))).astype(int))
    views = dataset.rig.views
    pixels_off: list[list[np.ndarray]] = [[] for _ in views]
    metres_off = np.zeros(len(views))
    for index in indices.tolist():
        pixels, in_view, metres = disagreement(dataset.truth(index), dataset.calibration(index), dataset.skeleton)
        for view, seen in enumerate(in_view):
            pixels_off[view].append(pixels[view, seen])
        metres_off = np.maximum(metres_off, metres.max(-1))
    found = {}
    for view, parts, metres in zip(views, pixels_off, metres_off.tolist(), strict=True):
        off = np.concatenate(parts)
        median, largest = (float(np.median(off)), float(off.max())) if off.size else (float("nan"), float("nan"))
        found[view] = ViewAgreement(median, largest, 1000 * metres)
    return TruthReport(len(indices), found)


def disagreement(
    truth: StoredTruth, rig: Rig, skeleton: Skeleton
) -> tuple[Float[np.ndarray, "V J"], Bool[np.ndarray, "V J"], Float[np.ndarray, "V J"]]:
    """How far a frame's stored 2D joints are from its projected 3D joints (pixels as calibrated), which of the joints
    that are scored are in view (elsewhere the first means nothing), and how far (m) its camera-relative joints are from
    the device-relative ones moved by the rig's extrinsics."""
    joints = torch.from_numpy(truth.joints)
    projected, in_view = rig.project(joints)
    scored = np.isin(np.arange(len(skeleton)), skeleton.groups["all"])
    pixels = np.linalg.norm(projected.numpy() - truth.joints_2d, axis=-1)
    metres = np.linalg.norm(rig.to_camera(joints).numpy() - truth.joints_camera, axis=-1)
    return pixels, in_view.numpy() & scored, metres
