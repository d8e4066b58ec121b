"""Where a body stands, from its shape and from where its joints are seen: for networks that tell the shape alone.

UnrealEgo's published networks (EgoTAP, CVPR 2024) answer relative to the pelvis. Their heatmaps say along which rays
the joints lie; the one translation of the body that meets these rays best puts it into the device frame.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.geometry.rig import Rig

ROUNDS = 5
TOLERANCE_RAD = 0.1  # a joint that is so far from its ray counts half
NEAREST_M = 0.05  # joints nearer to a camera than this would rule all others
DAMPING = 1e-6  # of weights that sum to one: keeps frames without a ray solvable


def place(
    shape: Float[Tensor, "B J 3"], pixels: Float[Tensor, "B V J 2"], weights: Float[Tensor, "B V J"], rig: Rig
) -> Float[Tensor, "B 3"]:
    """The translations t (m, device frame) with which the points shape + t lie nearest to where they are seen.

    shape: metres, the device frame's axes, any origin. pixels: of the rig's images; those outside a lens do not count.
    weights: how far to trust each, at least 0; a frame in which all are 0 gets t = 0.

    The squared distances of the points x + t to rays from c along d have their minimum in closed form,
    Σ w (I - d dᵀ) t = Σ w (I - d dᵀ)(c - x). It is solved again with weights that make angles of the distances, and
    that let angles count the less the wider they are (Cauchy's), for a peak can lie on another limb.
    """
    seen = [camera.unproject(pixels[:, v]) for v, camera in enumerate(rig.cameras.values())]
    rays, valid = (torch.stack(each, 1) for each in zip(*seen, strict=True))
    R, T = rig.T_camera_device[..., :3, :3].to(rays), rig.T_camera_device[..., :3, 3:].to(rays)
    rays = rays @ R  # of row vectors: from the camera's axes to the device's
    centers = -(R.mT @ T).mT
    wanted = centers - shape[:, None]  # the t that would put a joint into the camera's centre
    across = torch.eye(3).to(rays) - rays[..., :, None] * rays[..., None, :]
    trust = weights.where(valid, 0.0)
    trust = trust / trust.sum((1, 2), keepdim=True).clamp_min(torch.finfo(trust.dtype).tiny)
    t, current = torch.zeros_like(shape[:, 0]), trust
    for _ in range(ROUNDS):
        projectors = current[..., None, None] * across
        matrix = projectors.sum((1, 2)) + DAMPING * torch.eye(3).to(rays)
        t = torch.linalg.solve(matrix, (projectors @ wanted[..., None]).sum((1, 2)))[..., 0]
        offset = t[:, None, None] - wanted
        depth = (offset * rays).sum(-1).clamp_min(NEAREST_M)
        angle = torch.linalg.vector_norm((across @ offset[..., None])[..., 0], dim=-1) / depth
        current = trust / (depth.square() * (1 + (angle / TOLERANCE_RAD).square()))
    return t
