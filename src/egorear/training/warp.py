"""Frames as the rig would have taken them in the mirror, or with its cameras turned: one resampling for both.

A pixel of the new image is a ray; taken to the device frame, through the mirror if need be, and into the camera that
took the picture, it tells which pixel to copy. Turning a camera about its own centre, and mirroring a rig whose
centres are symmetric, leave the scene where it is seen from, so the new picture is true at every depth. What no
picture shows is black, and bilinear sampling costs a little sharpness.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from egorear.datasets.sample import Sample
from egorear.datasets.truth import Visibility
from egorear.geometry.cameras import Camera
from egorear.geometry.rays import pixel_rays
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.geometry.transforms import axis_angle_to_matrix
from egorear.training.mirror import mirror_truth, partners, reflected


def move(
    sample: Sample, mirrored: Bool[Tensor, "B"], turns: Float[Tensor, "B V 3"], skeleton: Skeleton = EGO4VIEW
) -> tuple[Float[Tensor, "B V 3 H W"], Sample]:
    """Images (0..255) and truth of a batch of which some frames are mirrored and some cameras turned.

    mirrored: only where `mirror.is_symmetric`. turns: axis · angle (radians) of each camera's turn about its own
    centre, in its own frame. skeleton: whose joints the truth tells. What neither concerns keeps its values exactly.
    """
    T = sample.rig.T_camera_device.expand(*turns.shape[:2], 4, 4)
    turn = torch.eye(4).to(T).repeat(*turns.shape[:2], 1, 1)
    turn[..., :3, :3] = axis_angle_to_matrix(-turns.to(T))  # a camera turned right sees the scene turn left
    rig = replace(sample.rig, T_camera_device=_product(turn, T))
    moved = mirrored | (turns != 0).flatten(1).any(1)
    images = _render(sample.images, rig, T, mirrored, moved)
    sample = mirror_truth(sample, mirrored, skeleton)
    pixels, inside = rig.project(sample.joints)
    lost = moved[:, None, None] & ~inside
    return images, replace(
        sample,
        rig=rig,
        joints_2d=torch.where(moved[:, None, None, None], pixels, sample.joints_2d),
        visible=sample.visible & ~lost,
        visibility=None if sample.visibility is None else sample.visibility.masked_fill(lost, Visibility.OUTSIDE),
    )


def _render(
    images: UInt8[Tensor, "B V 3 H W"],
    rig: Rig,
    T_taken: Float[Tensor, "B V 4 4"],
    mirrored: Bool[Tensor, "B"],
    moved: Bool[Tensor, "B"],
) -> Float[Tensor, "B V 3 H W"]:
    """Images of `rig` from those taken with the extrinsics `T_taken`; frames that are not moved are copied."""
    result = images.to(torch.float32, memory_format=torch.contiguous_format)
    cameras, other = list(rig.cameras.values()), partners(rig.views)
    for v, camera in enumerate(cameras):
        sources = [(v, moved)] if other[v] == v else [(v, moved & ~mirrored), (other[v], mirrored)]
        for source, chosen in sources:
            rows = chosen.nonzero()[:, 0]
            if len(rows):
                axes = rig.T_camera_device[rows, v, :3, :3]  # of the new camera, in the device frame
                axes = torch.where(mirrored[rows, None, None], reflected(axes), axes)
                R_source_new = _product(T_taken[rows, source, :3, :3], axes.transpose(-1, -2))
                result[rows, v] = resample(images[rows, source].float(), cameras[source], camera, R_source_new)
    return result


def resample(
    images: Float[Tensor, "N 3 H W"], source: Camera, target: Camera, R_source_target: Float[Tensor, "N 3 3"]
) -> Float[Tensor, "N 3 h w"]:
    """What `target` sees from the place of `source`: exact lenses, bilinear, black where `source` saw nothing.

    R_source_target: directions of the target camera to those of the source camera, which took `images`.
    """
    rays = pixel_rays(target, images.device)
    columns = R_source_target.float()[..., None, None]
    turned = columns[:, :, 0] * rays[0] + columns[:, :, 1] * rays[1] + columns[:, :, 2] * rays[2]
    pixels, seen = source.project(turned.movedim(1, -1))
    size = pixels.new_tensor((source.width, source.height))
    place = torch.where(seen[..., None], (2 * pixels + 1) / size - 1, -2.0)  # -2 is beyond the image
    return F.grid_sample(images, place, align_corners=False)


def _product(a: Float[Tensor, "*B n n"], b: Float[Tensor, "*B n n"]) -> Float[Tensor, "*B n n"]:
    """a b without matmul, which TF32 and mixed precision would round to a pixel."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)
