"""Heatmaps to features: the Grid ViT of EgoTAP (Kang and Lee, CVPR 2024, section 3.2), the two encoders it is
compared with (section 4.3.1), and the encoder of limb heatmaps (section 3.3).

Every encoder of joint heatmaps has the same interface, `MapEncoder`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.attention import SelfAttention, only_present


@dataclass(frozen=True)
class MapEncoderConfig:
    """The defaults are the paper's.

    kind: "grid" gives each map features of its own; "channel" and "cnn" are the paper's ablations, which squeeze
    all maps into one embedding.
    patches: tokens along each side of a map. width, heads, layers, mlp: of the transformer; the CNN's three
    convolutions have width / 16, width / 8 and width / 4 channels.
    hidden: widths of the fully connected layers behind it. features: numbers per map that come out.
    """

    kind: Literal["grid", "channel", "cnn"] = "grid"
    patches: int = 4
    width: int = 1024
    heads: int = 8
    layers: int = 3
    mlp: int = 4096
    hidden: tuple[int, int] = (2048, 512)
    features: int = 128

    def __post_init__(self) -> None:
        for name in ("patches", "width", "heads", "mlp", "features"):
            if (number := getattr(self, name)) < 1:
                raise UserError(f"'encoder.{name}' is {number} but must be positive")
        if min(self.hidden) < 1:
            raise UserError(f"'encoder.hidden' is {tuple(self.hidden)} but must consist of positive numbers")
        if self.width % self.heads:
            raise UserError(f"'encoder.width' is {self.width} but must be a multiple of 'encoder.heads', {self.heads}")


class MapEncoder(nn.Module, ABC):
    """Joint heatmaps of all views to features per view and joint.

    `embed` gives what the encoder knows of the maps, from which they can be told (Table 3); its last dimension is
    `embedding` wide. present: the views there are (None: all); nothing comes from the others, and their features
    are zero.
    """

    embedding: int

    @abstractmethod
    def embed(
        self, maps: Float[Tensor, "B V K h w"], present: Bool[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B *of_each {self.embedding}"]:
        """The grid: the features "B V K F" themselves. The others: one embedding "B E" of all maps."""

    @abstractmethod
    def forward(
        self, maps: Float[Tensor, "B V K h w"], present: Bool[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B V K F"]:
        """Features of every map."""


class TransformerBlock(nn.Module):
    """Attention, then a two-layer perceptron, each behind a norm and added to its input (ViT)."""

    def __init__(self, width: int, heads: int, mlp: int):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width, eps=1e-12)
        self.attention = SelfAttention(width, heads)
        self.norm_mlp = nn.LayerNorm(width, eps=1e-12)
        self.mlp = nn.Sequential(nn.Linear(width, mlp), nn.GELU(), nn.Linear(mlp, width))

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        x = x + self.attention(self.norm_attention(x))
        return x + self.mlp(self.norm_mlp(x))


class GridEncoder(MapEncoder):
    """All maps as the cells of one square image, tokens of which attend to each other (eq. 1 to 4).

    The grid's side is the smallest that holds V·K maps. Cells without a map, and those of views that are not
    present, hold a learned mask token, and take part in the attention as the published code has it. Tokens are
    kept map by map: their place in the grid is told by the position table alone.
    """

    def __init__(self, config: MapEncoderConfig, views: int, joints: int, map_size: int):
        super().__init__()
        self.embedding, self.patches = config.features, config.patches
        tokens = config.patches**2
        cells = (math.isqrt(views * joints - 1) + 1) ** 2
        self.project = nn.Linear((map_size // config.patches) ** 2, config.width)
        self.mask = nn.Parameter(torch.zeros(config.width))
        self.position = nn.Parameter(torch.empty(cells, tokens, config.width))
        self.blocks = nn.ModuleList(
            TransformerBlock(config.width, config.heads, config.mlp) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-12)
        self.per_map = fully_connected(tokens * config.width, *config.hidden, config.features)
        draw_weights(self)
        nn.init.trunc_normal_(self.position, std=0.02)

    def embed(
        self, maps: Float[Tensor, "B V K h w"], present: Bool[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B V K {self.embedding}"]:
        """The features of every map, as `forward`."""
        batch, views, joints = maps.shape[:3]
        tokens = self.project(patched(only_present(maps, present), self.patches))
        if present is not None:
            tokens = torch.where(present[:, :, None, None, None], tokens, self.mask.to(tokens.dtype))
        tokens = tokens.flatten(1, 2)
        free = len(self.position) - views * joints
        dummies = self.mask.to(tokens.dtype).expand(batch, free, *tokens.shape[2:])
        x = (torch.cat((tokens, dummies), dim=1) + self.position).flatten(1, 2)
        for block in self.blocks:
            x = block(x)
        of_map = self.norm(x).unflatten(1, self.position.shape[:2])[:, : views * joints].flatten(2)
        features = self.per_map(of_map.flatten(0, 1)).unflatten(0, (batch, views, joints))
        return only_present(features, present)

    def forward(
        self, maps: Float[Tensor, "B V K h w"], present: Bool[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B V K F"]:
        return self.embed(maps, present)


class JointEmbeddingEncoder(MapEncoder):
    """The paper's ablations: all maps become one embedding, from which one linear layer makes every feature, so that
    no number belongs to a certain map.

    There is no published code that runs. Our reading: the maps of all views are the channels of one image (an absent
    view's are zero); "channel" cuts it into patches for the same transformer, whose tokens are concatenated; "cnn" is
    the encoder of UnrealEgo (Akada et al., ECCV 2022), three strided 4x4 convolutions. The fully connected layers of
    `hidden` widths follow, and the last of them is the embedding.
    """

    def __init__(self, config: MapEncoderConfig, views: int, joints: int, map_size: int):
        super().__init__()
        self.embedding, self.joints = config.hidden[-1], joints
        if config.kind == "channel":
            self.trunk, width = PatchTransformer(config, views * joints, map_size), config.patches**2 * config.width
        else:
            channels = (views * joints, config.width // 16, config.width // 8, config.width // 4)
            self.trunk = nn.Sequential(*(part for pair in pairwise(channels) for part in _halving(*pair)))
            width = channels[-1] * (map_size // 8) ** 2
        self.embed_all = fully_connected(width, *config.hidden)
        self.per_map = nn.Linear(self.embedding, views * joints * config.features)
        draw_weights(self)
        if isinstance(self.trunk, PatchTransformer):
            nn.init.trunc_normal_(self.trunk.position, std=0.02)

    def embed(
        self, maps: Float[Tensor, "B V K h w"], present: Bool[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B {self.embedding}"]:
        """The one embedding of all maps."""
        return self.embed_all(self.trunk(only_present(maps, present).flatten(1, 2)).flatten(1))

    def forward(
        self, maps: Float[Tensor, "B V K h w"], present: Bool[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B V K F"]:
        features = self.per_map(self.embed(maps, present)).unflatten(1, (*maps.shape[1:3], -1))
        return only_present(features, present)


class PatchTransformer(nn.Module):
    """A ViT over an image with many channels: a token is one patch of all of them."""

    def __init__(self, config: MapEncoderConfig, channels: int, map_size: int):
        super().__init__()
        self.patches = config.patches
        self.project = nn.Linear(channels * (map_size // config.patches) ** 2, config.width)
        self.position = nn.Parameter(torch.empty(config.patches**2, config.width))
        self.blocks = nn.Sequential(
            *(TransformerBlock(config.width, config.heads, config.mlp) for _ in range(config.layers))
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-12)

    def forward(self, image: Float[Tensor, "B C h w"]) -> Float[Tensor, "B N W"]:
        of_patch = patched(image, self.patches).transpose(1, 2).flatten(2)
        return self.norm(self.blocks(self.project(of_patch) + self.position))


class LimbEncoder(nn.Module):
    """Limb heatmaps to relational features (eq. 6): fully connected layers shared by all limbs and views."""

    def __init__(self, hidden: tuple[int, int], features: int, map_size: int):
        super().__init__()
        self.layers = fully_connected(2 * map_size**2, *hidden, features)
        draw_weights(self)

    def forward(self, limb_maps: Float[Tensor, "B V 2 K h w"]) -> Float[Tensor, "B V K F"]:
        of_limb = limb_maps.transpose(2, 3).flatten(3)
        return self.layers(of_limb.flatten(0, 2)).unflatten(0, of_limb.shape[:3])


def map_encoder(config: MapEncoderConfig, views: int, joints: int, map_size: int) -> MapEncoder:
    """The encoder of `config` for `joints` maps of map_size² from each of `views` cameras.

    Raises:
        UserError: there are no views or joints, or the size of the maps cannot be divided as the encoder does.
    """
    if views < 1 or joints < 1:
        raise UserError(f"{views} views of {joints} maps were asked for but the encoder needs one or more of each")
    parts, what = (8, "8") if config.kind == "cnn" else (config.patches, f"'encoder.patches', {config.patches}")
    if map_size < 1 or map_size % parts:
        raise UserError(f"the maps' size is {map_size} but must be a multiple of {what}")
    kind = GridEncoder if config.kind == "grid" else JointEmbeddingEncoder
    return kind(config, views, joints, map_size)


def fully_connected(*widths: int) -> nn.Sequential:
    """Linear layers, each followed by BatchNorm and LeakyReLU, the last one too."""
    layers = ((nn.Linear(a, b), nn.BatchNorm1d(b), nn.LeakyReLU(0.2)) for a, b in pairwise(widths))
    return nn.Sequential(*(part for layer in layers for part in layer))


def patched(maps: Float[Tensor, "*B h w"], patches: int) -> Float[Tensor, "*B {patches**2} P"]:
    """The pixels of each patch, patches row by row."""
    height, width = maps.shape[-2] // patches, maps.shape[-1] // patches
    split = maps.unflatten(-1, (patches, width)).unflatten(-3, (patches, height))
    return split.transpose(-3, -2).flatten(-4, -3).flatten(-2)


def draw_weights(module: nn.Module) -> None:
    """Kaiming-normal weights of all linear and convolution layers, zero biases (the published initialisation)."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _halving(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)
