"""EgoTAP's limb heatmaps (Kang and Lee, CVPR 2024, section 3.3) as a detector of the same failings would draw them.

A limb map is what `noise.detect` believes, said once more: the limb lies between the places where its two joints are
believed to be, as bright as the lower of their peaks, so that a joint that is lost, or outside the image, loses its
limbs. Only the angle to the image plane is new, and no joint heatmap has it: it is the true one with a Gaussian error,
a part of which the two views of a pair share as they share the errors of places. A limb with an end at a wrong place
has an angle that means nothing. docs/controlled.md says what is assumed there.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.geometry.skeleton import EGO4VIEW
from egorear.heatmaps import limb_angle, limb_line_maps, limb_maps
from egorear.studies.noise import Detections, NoiseModel, pair_index
from egorear.studies.truth_data import Truth, select

STREAM = 2**50  # apart from the seeds of `noise.detect`: limbs leave the joints' noise as it is without them
PARENTS = list(EGO4VIEW.parents[1:])


def believed_limb_maps(
    found: Detections, truth: Truth, views: Sequence[str], noise: NoiseModel, size: int, seed: int
) -> Float[Tensor, "B W 2 K {size} {size}"]:
    """Limb maps of `views`, cosine and sine channels, from the beliefs about all views of `truth`.

    The head, parent of the neck, has no heatmap: its true place is displaced as the believed neck is, and its peak is
    the neck's. The same seed gives the same angles, and a view's depend on no other view that is chosen.
    """
    angles = _angle_errors(found, truth.rig.views, noise, seed)
    index = [truth.rig.views.index(view) for view in views]
    seen, angles = select(truth, views), tuple(each[:, index] for each in angles)
    found = replace(found, **{name: getattr(found, name)[:, index] for name in ("places", "spreads", "peaks", "wrong")})
    places = torch.cat((_head(found, seen), found.places), dim=2)
    peaks, wrong = (torch.cat((each[..., :1], each), dim=-1) for each in (found.peaks, found.wrong))
    lines = limb_line_maps(places[:, :, PARENTS] * size - 0.5, places[:, :, 1:] * size - 0.5, size, size)
    lines = lines * torch.minimum(peaks[..., PARENTS], peaks[..., 1:])[..., None, None]
    joints = seen.rig.to_camera(seen.joints)
    error, meaningless = angles
    angle = (limb_angle(joints[:, :, PARENTS], joints[:, :, 1:]) + error).clamp(-math.pi / 2, math.pi / 2)
    return limb_maps(lines, torch.where((wrong[..., PARENTS] + wrong[..., 1:]) > 0, meaningless, angle))


def _angle_errors(
    found: Detections, views: Sequence[str], noise: NoiseModel, seed: int
) -> tuple[Float[Tensor, "B V K"], Float[Tensor, "B V K"]]:
    """Errors of the angles, and angles of limbs at wrong places (radians)."""
    chance = torch.Generator().manual_seed(STREAM + seed)
    batch, _, limbs = found.peaks.shape
    of_pair = pair_index(views)
    common = torch.randn(batch, max(of_pair) + 1, limbs, generator=chance)[:, of_pair]
    own = torch.randn(found.peaks.shape, generator=chance)
    meaningless = math.pi * (torch.rand(found.peaks.shape, generator=chance) - 0.5)
    return noise.angle * (noise.pair**0.5 * common + (1 - noise.pair) ** 0.5 * own), meaningless


def _head(found: Detections, truth: Truth) -> Float[Tensor, "B W 1 2"]:
    """Where the head is believed to be, relative to the image."""
    pixels, _ = truth.rig.project(truth.joints[:, :1])
    sizes = pixels.new_tensor([(camera.width, camera.height) for camera in truth.rig.cameras.values()])
    return (pixels + 0.5) / sizes[:, None] + found.places[:, :, :1] - truth.places[:, :, :1]
