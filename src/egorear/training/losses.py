"""What a network is told about its heatmaps and poses: one weighted term for each thing it puts out."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from egorear.datasets.sample import Sample
from egorear.geometry.skeleton import EGO4VIEW, HEATMAP_JOINTS
from egorear.heatmaps import gaussian_heatmaps, soft_argmax, stamped_heatmaps
from egorear.models.attention import only_present
from egorear.models.confidence import CONFIDENT_M
from egorear.models.egorear import EgoRearOutput

CALIBRATED_SIZE = 872  # of Ego4View's images, in whose pixels the official heatmaps are defined
HEATMAP_INDEX = [EGO4VIEW.index(name) for name in HEATMAP_JOINTS]
SHARPNESS = 20.0  # of the softmax that finds a peak: a true peak of 1 outweighs a thousand empty pixels


@dataclass(frozen=True)
class LossConfig:
    """Weights and targets; the defaults are the official recipe.

    heatmap: of the heatmaps' MSE, summed over views, initial and refined alike. The release's third stage takes the
    mean row-wise L2 norm there (its pose criterion, applied to heatmaps); we keep the MSE of the paper.
    pose: of the MPJPE in centimetres, summed over the proposal and its refinements.
    sigma: None stamps the official 7x7 targets at whole pixels; a number makes sub-pixel Gaussians of that
    deviation in heatmap pixels.
    foreground: a pixel counts 1 + foreground x target. A joint covers 6 of a nano heatmap's 1024 pixels; with all
    alike, predicting zero is a good answer for the first thousands of steps.
    joints_2d: of the distance (as a part of the image's width) between a visible joint and the softmax-weighted mean
    position of its heatmap, summed over views: says which way a wrong peak must move, which an MSE cannot.
    confidence: of the cross-entropy between a joint's confidence and whether it is close to the truth.
    Views that are not present count nowhere.
    """

    heatmap: float = 10.0
    pose: float = 0.1
    sigma: float | None = None
    foreground: float = 0.0
    joints_2d: float = 0.0
    confidence: float = 0.1


def loss_terms(output: EgoRearOutput, sample: Sample, config: LossConfig) -> dict[str, Float[Tensor, ""]]:
    """The weighted terms whose sum a stage minimises, by name; only those of outputs that exist."""
    terms = {}
    maps = {"initial": output.heatmaps_initial, "refined": output.heatmaps_refined}
    maps |= {f"intermediate{i}": heatmaps for i, heatmaps in enumerate(output.heatmaps_intermediate)}
    maps = {name: heatmaps.float() for name, heatmaps in maps.items() if heatmaps is not None}
    if maps:
        size = next(iter(maps.values())).shape[-1]
        target = only_present(heatmap_targets(sample, size, config.sigma), sample.present)
        place, seen = heatmap_positions(sample)
        seen = only_present(seen, sample.present)
    for name, heatmaps in maps.items():
        terms[f"heatmaps_{name}"] = config.heatmap * heatmap_loss(heatmaps, target, config.foreground)
        if config.joints_2d:
            terms[f"joints_2d_{name}"] = config.joints_2d * joints_2d_loss(heatmaps, place, seen)
    if output.poses is not None:
        terms["poses"] = config.pose * 100 * pose_loss(output.poses.float(), sample.joints)
    if output.poses is not None and output.confidence is not None:
        terms["confidence"] = config.confidence * confidence_loss(
            output.confidence.float(), output.poses[:, -1].detach().float(), sample.joints
        )
    return terms


def heatmap_targets(sample: Sample, size: int, sigma: float | None) -> Float[Tensor, "B V K h w"]:
    """Targets with peak 1 on the batch's device; zero for a joint outside the image.

    sigma: see `LossConfig`.
    """
    place, seen = heatmap_positions(sample)
    if sigma is None:
        return stamped_heatmaps(place * CALIBRATED_SIZE - 0.5, CALIBRATED_SIZE, size)
    return gaussian_heatmaps(place * size - 0.5, size, size, sigma) * seen[..., None, None]


def heatmap_positions(sample: Sample) -> tuple[Float[Tensor, "B V K 2"], Bool[Tensor, "B V K"]]:
    """Where joints with heatmaps are, relative to the image (0 its left or top edge, 1 the other), and whether they
    are inside, occluded or not."""
    height, width = sample.images.shape[-2:]
    size = sample.joints_2d.new_tensor((width, height))
    place = (sample.joints_2d[..., HEATMAP_INDEX, :] + 0.5) / size
    return place, ((place >= 0) & (place < 1)).all(dim=-1)


def heatmap_loss(
    heatmaps: Float[Tensor, "B V K h w"], target: Float[Tensor, "B V K h w"], foreground: float = 0.0
) -> Float[Tensor, ""]:
    """Mean squared error per view, summed over views; `foreground` as in `LossConfig`."""
    error = (heatmaps - target).square()
    if foreground:
        error = error * (1 + foreground * target)
    return error.mean(dim=(0, 2, 3, 4)).sum()


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
