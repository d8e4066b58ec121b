"""How far each joint can be trusted: from what the lifter answered and the evidence for it, changing neither."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from egorear.geometry.rig import Rig
from egorear.models.attention import only_present
from egorear.models.proposal import FullPrecisionLinear

CONFIDENT_M = 0.1
"""A joint counts as found within this distance (m) of the truth: what confidences are about, everywhere."""


class JointConfidence(nn.Module):
    """Logits of the probability that a joint lies within `CONFIDENT_M` of the truth (ours).

    Evidence in each view: the peak of the joint's heatmap, its value where the answered joint projects to (do image
    and pose agree?), and whether that place is in view. Joints without heatmap, the first ones, have the last alone.
    """

    def __init__(self, embed: int, views: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(embed)
        self.mlp = nn.Sequential(nn.Linear(embed + 3 * views, embed), nn.GELU(), FullPrecisionLinear(embed, 1))

    def forward(
        self,
        queries: Float[Tensor, "B J E"],
        joints: Float[Tensor, "B J 3"],
        heatmaps: Float[Tensor, "B V K h w"] | None,
        rig: Rig,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> Float[Tensor, "B J"]:
        """The lifter's last queries, its answer (m), the heatmaps it read, and the rig; all are detached."""
        with torch.no_grad(), torch.autocast(joints.device.type, enabled=False):
            evidence = _evidence(joints.float(), heatmaps, rig)
            evidence = only_present(evidence, present).permute(0, 2, 1, 3).flatten(2)
        x = self.norm(queries.detach())
        return self.mlp(torch.cat((x, evidence.to(x.dtype)), dim=-1)).squeeze(-1)


def _evidence(
    joints: Float[Tensor, "B J 3"], heatmaps: Float[Tensor, "B V K h w"] | None, rig: Rig
) -> Float[Tensor, "B V J 3"]:
    pixels, in_view = rig.project(joints)
    seen = in_view.to(joints.dtype)
    if heatmaps is None:
        return torch.stack((seen.new_zeros(seen.shape), seen.new_zeros(seen.shape), seen), dim=-1)
    maps = heatmaps.float()
    without_map = joints.shape[1] - maps.shape[2]
    sizes = pixels.new_tensor([(camera.width, camera.height) for camera in rig.cameras.values()])
    places = 2 * (pixels + 0.5) / sizes[:, None] - 1
    places = places[:, :, without_map:].reshape(-1, 1, 1, 2)
    values = F.grid_sample(maps.reshape(-1, 1, *maps.shape[-2:]), places, align_corners=False)
    per_joint = torch.stack((maps.amax(dim=(-2, -1)), values.view(maps.shape[:3])), dim=-1)
    return torch.cat((F.pad(per_joint, (0, 0, without_map, 0)), seen[..., None]), dim=-1)
