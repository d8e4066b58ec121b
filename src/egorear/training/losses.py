"""What a network is told about its heatmaps and poses: one weighted term for each thing it puts out.

Of EgoRear's and EgoTAP's skeletons the root, joint 0, is the only joint without heatmap; limb k joins joint k + 1 and
its parent.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.heatmaps import (
    gaussian_heatmaps,
    limb_angle,
    limb_curve_maps,
    limb_lengths,
    limb_maps,
    limb_points,
    published_joint_heatmaps,
    published_limb_maps,
    soft_argmax,
    stamped_heatmaps,
)
from egorear.models.attention import only_present
from egorear.models.confidence import CONFIDENT_M
from egorear.models.egorear import EgoRearOutput
from egorear.models.egotap import EgoTAPConfig, EgoTAPOutput

CALIBRATED_SIZE = 872  # of Ego4View's images, in whose pixels EgoRear's official heatmaps are defined
UNREALEGO_SIZE = 1024  # the same for EgoTAP's
LIMB_POINTS = 5  # along a limb, joined by straight lines: under a fisheye it is a curve (docs/limb_maps.md)
SHARPNESS = 20.0  # of the softmax that finds a peak: a true peak of 1 outweighs a thousand empty pixels


@dataclass(frozen=True)
class LossConfig:
    """Weights and targets; the defaults are EgoRear's official recipe. A weight of 0 leaves a term out.

    heatmap: of the heatmaps' loss, summed over views, initial and refined alike. The release's third stage takes the
    mean row-wise L2 norm there (its pose criterion, applied to heatmaps); we keep the MSE of the paper.
    limbs: of the limb heatmaps' squared error, each limb's divided by its length in heatmap pixels, summed over views
    (EgoTAP; official: 1).
    heatmap_loss: "mse", or "bce": cross-entropy with logits, of networks that give those (AG-EgoPose; official).
    positive: by how much more the cross-entropy counts what is a joint than what is none (PyTorch's `pos_weight`;
    AG-EgoPose's paper: 1, its released code: 12).
    pose: of the MPJPE in centimetres, summed over the proposal and its refinements; of AG-EgoPose in metres (1).
    bone: of the squared error of the bones' lengths (m²), averaged over the bones (AG-EgoPose; official: 0.1).
    cosine: of the negative cosine between predicted and true bone, summed over the bones (EgoTAP; official: 0.001), of
    AG-EgoPose averaged over them (0.01). The released code of AG-EgoPose sums both bone terms and has other weights:
    pose 5, bone 14·0.1 and cosine 14·0.01 repeat it.
    sigma: None makes the targets of the published recipes at whole pixels, as the network's own code has them; a
    number makes sub-pixel Gaussians of that deviation in heatmap pixels, and limbs as the curves that the lens sees.
    foreground: a pixel counts 1 + foreground x target. A joint covers 6 of a nano heatmap's 1024 pixels; with all
    alike, predicting zero is a good answer for the first thousands of steps.
    joints_2d: of the distance (as a part of the image's width) between a visible joint and the softmax-weighted mean
    position of its heatmap, summed over views: says which way a wrong peak must move, which an MSE cannot.
    confidence: of the cross-entropy between a joint's confidence and whether it is close to the truth.
    Views that are not present count nowhere.
    """

    heatmap: float = 10.0
    heatmap_loss: Literal["mse", "bce"] = "mse"
    positive: float = 1.0
    limbs: float = 1.0
    pose: float = 0.1
    bone: float = 0.0
    cosine: float = 0.0
    sigma: float | None = None
    foreground: float = 0.0
    joints_2d: float = 0.0
    confidence: float = 0.1


def loss_terms(
    output: EgoRearOutput, sample: Sample, config: LossConfig, egotap: EgoTAPConfig | None = None
) -> dict[str, Float[Tensor, ""]]:
    """The weighted terms whose sum a stage minimises, by name; only those of outputs that exist.

    egotap: its configuration, if the network is EgoTAP's.
    """
    terms = {}
    maps = {"initial": output.heatmaps_initial, "refined": output.heatmaps_refined}
    maps |= {f"intermediate{i}": heatmaps for i, heatmaps in enumerate(output.heatmaps_intermediate)}
    maps = {name: heatmaps.float() for name, heatmaps in maps.items() if heatmaps is not None}
    if maps and (config.heatmap or config.joints_2d):
        size = next(iter(maps.values())).shape[-1]
        target = only_present(heatmap_targets(sample, size, config.sigma, egotap is not None), sample.present)
        place, seen = heatmap_positions(sample)
        seen = only_present(seen, sample.present)
        for name, heatmaps in maps.items():
            if config.heatmap:
                terms[f"heatmaps_{name}"] = config.heatmap * heatmap_loss(heatmaps, target, config.foreground)
            if config.joints_2d:
                terms[f"joints_2d_{name}"] = config.joints_2d * joints_2d_loss(heatmaps, place, seen)
    if egotap is not None:
        terms |= _egotap_terms(output, sample, config, egotap)
    elif output.poses is not None:
        terms["poses"] = config.pose * 100 * pose_loss(output.poses.float(), sample.joints)
    if output.poses is not None and output.confidence is not None:
        terms["confidence"] = config.confidence * confidence_loss(
            output.confidence.float(), output.poses[:, -1].detach().float(), sample.joints
        )
    return terms


def _egotap_terms(
    output: EgoRearOutput, sample: Sample, config: LossConfig, egotap: EgoTAPConfig
) -> dict[str, Float[Tensor, ""]]:
    terms = {}
    skeleton = egotap.joints
    if isinstance(output, EgoTAPOutput) and output.limb_maps is not None and config.limbs:
        found = output.limb_maps.float()
        target, lengths = limb_targets(sample, found.shape[-1], config.sigma, skeleton)
        target = only_present(target, sample.present)
        terms["limbs"] = config.limbs * limb_loss(found, target, lengths, config.foreground)
    if output.poses is not None:
        scored = list(skeleton.groups["all"])
        truth = true_poses(sample, egotap.origin)
        poses = output.poses.float()
        terms["poses"] = config.pose * 100 * pose_loss(poses[:, :, scored], truth[:, scored])
        if config.cosine:
            terms["cosine"] = -config.cosine * bone_cosine(poses[:, -1], truth, skeleton)
    return terms


def true_poses(sample: Sample, origin: str) -> Float[Tensor, "B J 3"]:
    """The joints (m) relative to the device or to the "pelvis".

    Raises:
        UserError: the data do not tell where the pelvis is.
    """
    if origin == "device":
        return sample.joints
    if sample.pelvis is None:
        raise UserError(
            "'origin' is 'pelvis' but these data do not tell where the pelvis is (UnrealEgo's do): take 'device'"
        )
    return sample.joints - sample.pelvis[..., None, :]


def heatmap_targets(sample: Sample, size: int, sigma: float | None, egotap: bool = False) -> Float[Tensor, "B V K h w"]:
    """Targets with peak 1 on the batch's device.

    sigma: see `LossConfig`; of a joint outside the image its Gaussians are zero, and the published forms leave what
    reaches in. egotap: of the two published forms take EgoTAP's, not EgoRear's.
    """
    place, seen = heatmap_positions(sample)
    if sigma is None and egotap:
        return published_joint_heatmaps(place * UNREALEGO_SIZE - 0.5, size, UNREALEGO_SIZE)
    if sigma is None:
        return stamped_heatmaps(place * CALIBRATED_SIZE - 0.5, CALIBRATED_SIZE, size)
    return gaussian_heatmaps(place * size - 0.5, size, size, sigma) * seen[..., None, None]


def limb_targets(
    sample: Sample, size: int, sigma: float | None, skeleton: Skeleton
) -> tuple[Float[Tensor, "B V 2 K h w"], Float[Tensor, "B V K"]]:
    """EgoTAP's limb heatmaps, the cosine and the sine channel of each limb, and the limbs' lengths in heatmap pixels.

    The channels are the limb drawn in the image, times cosine and sine of its angle to the image plane. The published
    targets (sigma None) draw straight lines, and take the first view's angle for all views.
    """
    parents, children = list(skeleton.parents[1:]), list(range(1, len(skeleton)))
    height, width = sample.images.shape[-2:]
    place = (sample.joints_2d + 0.5) / sample.joints_2d.new_tensor((width, height))
    ends = [place[..., index, :] * UNREALEGO_SIZE - 0.5 for index in (parents, children)]
    lengths = limb_lengths(ends[0], ends[1], UNREALEGO_SIZE, size)
    in_camera = sample.rig.to_camera(sample.joints)
    angles = limb_angle(in_camera[..., parents, :], in_camera[..., children, :])
    if sigma is None:
        lines = published_limb_maps(ends[0], ends[1], size, UNREALEGO_SIZE)
        return limb_maps(lines, angles[:, :1].expand_as(angles)), lengths
    points = limb_points(sample.joints[:, parents], sample.joints[:, children], LIMB_POINTS)
    pixels, seen = sample.rig.project(points.flatten(1, 2))
    split = (len(children), LIMB_POINTS)
    lines = limb_curve_maps(pixels.unflatten(2, split), seen.unflatten(2, split), width, size, sigma)
    return limb_maps(lines, angles), lengths


def heatmap_positions(sample: Sample) -> tuple[Float[Tensor, "B V K 2"], Bool[Tensor, "B V K"]]:
    """Where joints with heatmaps are, relative to the image (0 its left or top edge, 1 the other), and whether they
    are inside, occluded or not."""
    height, width = sample.images.shape[-2:]
    size = sample.joints_2d.new_tensor((width, height))
    place = (sample.joints_2d[..., 1:, :] + 0.5) / size
    return place, ((place >= 0) & (place < 1)).all(dim=-1)


def heatmap_loss(
    heatmaps: Float[Tensor, "B V K h w"], target: Float[Tensor, "B V K h w"], foreground: float = 0.0
) -> Float[Tensor, ""]:
    """Mean squared error per view, summed over views; `foreground` as in `LossConfig`."""
    error = (heatmaps - target).square()
    if foreground:
        error = error * (1 + foreground * target)
    return error.mean(dim=(0, 2, 3, 4)).sum()


def limb_loss(
    found: Float[Tensor, "B V 2 K h w"],
    target: Float[Tensor, "B V 2 K h w"],
    lengths: Float[Tensor, "B V K"],
    foreground: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean squared error per view, each limb's divided by its length, summed over views; `foreground` as in
    `LossConfig`, where a limb's target is the drawn limb itself."""
    error = (found - target).square().sum(dim=2) / 2
    if foreground:
        error = error * (1 + foreground * target.norm(dim=2))
    return (error.mean(dim=(-2, -1)) / lengths).mean(dim=(0, 2)).sum()


def bone_cosine(
    poses: Float[Tensor, "B J 3"], joints: Float[Tensor, "B J 3"], skeleton: Skeleton = EGO4VIEW
) -> Float[Tensor, ""]:
    """Cosine between predicted and true bones, summed over the bones between scored joints, averaged over the batch
    (EgoTAP, supplement; facts: COS)."""
    return F.cosine_similarity(bones(poses, skeleton), bones(joints, skeleton), dim=-1).sum(dim=-1).mean()


def bones(poses: Float[Tensor, "*B J 3"], skeleton: Skeleton) -> Float[Tensor, "*B N 3"]:
    """From parent to child of each bone between scored joints."""
    scored = set(skeleton.groups["all"])
    pairs = [(p, j) for j, p in enumerate(skeleton.parents) if p != j and {p, j} <= scored]
    parents, children = (list(index) for index in zip(*pairs, strict=True))
    return poses[..., children, :] - poses[..., parents, :]


def joints_2d_loss(
    heatmaps: Float[Tensor, "B V K h w"], place: Float[Tensor, "B V K 2"], seen: Bool[Tensor, "B V K"]
) -> Float[Tensor, ""]:
    """Distance of the soft-argmax from `place`, averaged over the joints `seen`, times the number of views."""
    found = (soft_argmax(SHARPNESS * heatmaps) + 0.5) / heatmaps.shape[-1]
    distance = torch.linalg.vector_norm(found - place, dim=-1)
    return heatmaps.shape[1] * (distance * seen).sum() / seen.sum().clamp_min(1)


def pose_loss(poses: Float[Tensor, "B L J 3"], joints: Float[Tensor, "B J 3"]) -> Float[Tensor, ""]:
    """Mean distance of the joints (the poses' unit), summed over the L poses."""
    return torch.linalg.vector_norm(poses - joints[:, None], dim=-1).mean(dim=(0, 2)).sum()


def confidence_loss(
    logits: Float[Tensor, "B J"], poses: Float[Tensor, "B J 3"], joints: Float[Tensor, "B J 3"]
) -> Float[Tensor, ""]:
    """Cross-entropy of the confidences against joints (m) within `CONFIDENT_M` of the truth."""
    close = torch.linalg.vector_norm(poses - joints, dim=-1) <= CONFIDENT_M
    return F.binary_cross_entropy_with_logits(logits, close.to(logits.dtype))
