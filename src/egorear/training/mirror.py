"""The left-right mirror image of a frame: which views change places, where that is true, and the truth of it.

The mirror is the plane x = 0 of the device frame. The rig itself is not mirrored: each camera keeps its place and
lens and is given what its partner saw, so the picture is true only where the partner stands at its mirror image.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egorear.datasets.sample import Sample
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import Skeleton
from egorear.geometry.transforms import invert_rigid

SYMMETRIC_M = 0.002  # a rig whose camera centres are mirror images to this is symmetric; lenses may differ freely

_OTHER_SIDE = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
_SIDE = re.compile("|".join(_OTHER_SIDE))


def partners(views: Sequence[str]) -> list[int]:
    """Index of the view on the other side, by name: front_left and front_right change places, a view whose name has
    no side keeps its own, and so does one whose partner is missing (no mirror image is seen there: `is_symmetric`)."""
    names = [_SIDE.sub(lambda side: _OTHER_SIDE[side[0]], view) for view in views]
    return [views.index(name if name in views else view) for name, view in zip(names, views, strict=True)]


def is_symmetric(rig: Rig) -> Bool[Tensor, "*B"]:
    """Whether every camera stands where its partner is in the mirror, for each sample's extrinsics. A view without
    partner would have to stand on the mirror's plane itself."""
    centres = invert_rigid(rig.T_camera_device)[..., :3, 3]
    away = reflected(centres) - centres[..., partners(rig.views), :]
    return (torch.linalg.vector_norm(away, dim=-1) < SYMMETRIC_M).all(-1)


def reflected(points: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3"]:
    """Device points or directions in the mirror."""
    return points * points.new_tensor((-1.0, 1.0, 1.0))


def mirror_truth(sample: Sample, chosen: Bool[Tensor, "B"], skeleton: Skeleton) -> Sample:
    """The truth of the chosen samples in the mirror: joints (of `skeleton`) swapped and reflected, what is known of a
    view taken from its partner. Images and `joints_2d` remain to be made (`warp.move`)."""
    other = partners(sample.rig.views)

    def pick(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(chosen.view(-1, *[1] * (old.ndim - 1)), new, old)

    def of_joints(values: Tensor) -> Tensor:
        return pick(values[:, other][..., skeleton.mirror], values)

    return replace(
        sample,
        joints=pick(reflected(sample.joints[:, skeleton.mirror]), sample.joints),
        visible=of_joints(sample.visible),
        visibility=None if sample.visibility is None else of_joints(sample.visibility),
        present=None if sample.present is None else pick(sample.present[:, other], sample.present),
    )
