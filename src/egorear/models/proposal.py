"""The lifter's first guess: features (and heatmaps) of all views to a pose, without any camera model.

A view that is not `present` enters as zeros behind its last convolution: no image gives those.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.models.attention import only_present


class FullPrecisionLinear(nn.Linear):
    """A linear layer that autocast leaves alone: half precision would round a pose to several millimetres."""

    def forward(self, input: Float[Tensor, "*shape N"]) -> Float[Tensor, "*shape M"]:
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype))


class PaperProposal(nn.Module):
    """EgoRear: a small CNN shared by the views, then an MLP over all its outputs.

    `feature_size` is the height and width of the features; each hidden layer is 16 times narrower.
    """

    def __init__(self, views: int, dim: int, feature_size: int, joints: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(dim, dim // 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(dim, dim // 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim // 2, dim, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
        )
        width = views * dim * (feature_size // 8) ** 2
        self.mlp = _mlp(width, width // 16, width // 256, joints)

    def forward(
        self,
        features: Float[Tensor, "B V C H W"],
        heatmaps: Float[Tensor, "B V K _ _"] | None,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> Float[Tensor, "B J 3"]:
        maps = self.features(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return self.mlp(only_present(maps, present).flatten(1)).unflatten(-1, (-1, 3))


class PooledProposal(nn.Module):
    """EgoPoseFormer: an MLP over the features' averages."""

    def __init__(self, views: int, dim: int, joints: int, hidden: int = 1024):
        super().__init__()
        self.mlp = _mlp(views * dim, hidden, hidden, joints)

    def forward(
        self,
        features: Float[Tensor, "B V C H W"],
        heatmaps: Float[Tensor, "B V K _ _"] | None,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> Float[Tensor, "B J 3"]:
        means = only_present(features.mean(dim=(-2, -1)), present)
        return self.mlp(means.flatten(1)).unflatten(-1, (-1, 3))


class CompactProposal(nn.Module):
    """Ours, for small networks: an MLP over the 2D joints of each view and a 4x4 summary of its features.

    What a narrow network lacks is localisation, and the heatmaps have it: each enters as its expected
    position under a softmax with a learned temperature, and its peak, by which the MLP can tell how far
    to trust that position.
    """

    def __init__(self, views: int, dim: int, heatmap_joints: int, joints: int, channels: int = 16, hidden: int = 256):
        super().__init__()
        self.sharpness = nn.Parameter(torch.full((heatmap_joints, 1), 20.0))
        self.reduce = nn.Sequential(nn.Conv2d(dim, channels, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(4))
        self.mlp = _mlp(views * (3 * heatmap_joints + 16 * channels), hidden, hidden, joints)

    def forward(
        self,
        features: Float[Tensor, "B V C H W"],
        heatmaps: Float[Tensor, "B V K h w"] | None,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> Float[Tensor, "B J 3"]:
        if heatmaps is None:
            raise ValueError("the compact proposal reads heatmaps, and this network makes none")
        height, width = heatmaps.shape[-2:]
        heat = heatmaps.float().flatten(-2)
        likely = (self.sharpness * heat).softmax(dim=-1).unflatten(-1, (height, width))
        x = (likely.sum(dim=-2) * torch.linspace(-1, 1, width, device=heat.device)).sum(dim=-1)
        y = (likely.sum(dim=-1) * torch.linspace(-1, 1, height, device=heat.device)).sum(dim=-1)
        joints_2d = only_present(torch.stack((x, y, heat.amax(dim=-1)), dim=-1), present)
        summary = only_present(self.reduce(features.flatten(0, 1)).unflatten(0, features.shape[:2]), present)
        return self.mlp(torch.cat((joints_2d.flatten(1), summary.flatten(1)), dim=-1)).unflatten(-1, (-1, 3))


def _mlp(width_in: int, first: int, second: int, joints: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width_in, first),
        nn.GELU(),
        nn.Linear(first, second),
        nn.GELU(),
        FullPrecisionLinear(second, joints * 3),
    )
