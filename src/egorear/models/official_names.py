"""Parameter names of the published checkpoints, and what we call the same tensors."""

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from egorear.errors import UserError
from egorear.models.official_state import PublishedState

RENAMING: tuple[tuple[str, str], ...] = (
    # Regular expressions, applied in this order, each wherever it matches.
    (r"^((network|_orig_mod)\.)*", r""),  # Lightning's and torch.compile's wrapping
    (r"^heatmap_estimator\.", r""),
    (r"^(encoder|conv_heatmap)\.", r"estimators.all.\1."),  # stage 1 and EgoPoseFormer: one for all views
    (r"^heatmap_estimator_stereo_(\w+?)\.", r"estimators.\1."),
    (r"^conv_heatmap_layers_stereo_(\w+?)\.", r"heatmap_heads.\1."),
    (r"^heatmap_refiner_(\w+?)\.", r"refiners.\1."),
    (r"^pose3d_estimator\.", r"lifter."),
    (r"^(feat_proj|layers|query_gen_mlp|mlp_pred|reg_mlp|post_norm)\.", r"lifter.\1."),
    # Heatmap estimator
    (r"backbone\.layer_s2\.0\.", r"backbone.conv1."),
    (r"backbone\.layer_s2\.1\.", r"backbone.bn1."),
    (r"backbone\.layer_s4\.1\.", r"backbone.layer1."),
    (r"backbone\.layer_s8\.", r"backbone.layer2."),
    (r"backbone\.layer_s16\.", r"backbone.layer3."),
    (r"backbone\.layer_s32\.", r"backbone.layer4."),
    (r"neck\.lateral_convs\.", r"neck.lateral."),
    (r"neck\.fuse_convs\.", r"neck.fuse."),
    (r"neck\.fpn_convs\.", r"neck.smooth."),
    (r"\.conv_heatmap\.", r".head."),
    # Refiner
    (r"\.joint_query_embed\.weight$", r".queries.embedding"),
    (r"\.query_pos_embed$", r".queries.embedding"),
    (r"\.heatmap_proj\.", r".queries.heatmap."),
    (r"\.fc_bfb\.", r".queries.context."),
    (r"\.fc_query\.0\.", r".queries.project."),
    (r"\.frame_feat_multi_view_pos_embed$", r".position"),
    (r"\.frame_feat_multi_view_proj\.", r".memory."),
    (r"\.frame_feat_proj_layers\.", r".own."),
    (r"(refiners\.\w+)\.post_norm\.(\d)\.", r"\1.heads.\2.norm."),
    (r"\.head_layers\.(\d)\.head\.0\.", r".heads.\1.offset_in."),
    (r"\.head_layers\.(\d)\.head\.3\.", r".heads.\1.offset_out."),
    (r"\.frame_feat_refined_proj_layers\.(\d)\.", r".heads.\1.feature."),
    (r"\.conv_heatmap_layers\.(\d)\.", r".heads.\1.heatmaps."),
    # Lifter
    (r"^lifter\.feat_proj\.", r"lifter.memory."),
    (r"^lifter\.query_gen_mlp\.", r"lifter.query."),
    (r"^lifter\.conv_frame_feat\.", r"lifter.proposal.features."),
    (r"^lifter\.mlp_pred\.0\.0\.", r"lifter.proposal.mlp.0."),
    (r"^lifter\.mlp_pred\.1\.0\.", r"lifter.proposal.mlp.2."),
    (r"^lifter\.mlp_pred\.2\.", r"lifter.proposal.mlp.4."),
    (r"^lifter\.post_norm\.(\d)\.", r"lifter.offsets.\1.0."),
    (r"^lifter\.reg_mlp\.(\d)\.0\.", r"lifter.offsets.\1.1."),
    (r"^lifter\.reg_mlp\.(\d)\.2\.", r"lifter.offsets.\1.3."),
    # Decoder layers of both
    (r"\.transformer_layers\.", r".layers."),
    (r"\.cross_attn\.sampling_offsets\.", r".cross.offsets."),
    (r"\.cross_attn\.attention_weights\.", r".cross.weights."),
    (r"\.cross_attn\.value_proj\.", r".cross.value."),
    (r"\.cross_attn\.output_proj\.", r".cross.output."),
    (r"\.cross_attn\.(in_proj|out_proj)", r".cross.attention.\1"),
    (r"\.fuse_mlp\.", r".fuse."),
    (r"\.norm_spatial\.", r".norm_self."),
    (r"\.spatial_attn\.q_proj\.", r".self_attention.query."),
    (r"\.spatial_attn\.k_proj\.", r".self_attention.key."),
    (r"\.spatial_attn\.v_proj\.", r".self_attention.value."),
    (r"\.spatial_attn\.out_proj\.", r".self_attention.output."),
    (r"\.ffn\.layers\.0\.0\.", r".ffn.0."),
    (r"\.ffn\.layers\.1\.", r".ffn.2."),
)

CONSTANTS = ("spatial_shapes", "start_index")
"""Buffers that repeat the feature map's size and the number of levels; we derive both."""


def to_our_names(state: Mapping[str, Tensor], map_size: int, root: str = "") -> PublishedState:
    """A published state dict under our names and in our layouts.

    map_size: height and width of the feature maps, which the constant buffers are checked against.
    root: taken off our names, for a network that is by itself what the published one has as a part.

    Raises:
        UserError: a constant is not what the published networks have, or two tensors are one of ours and differ.
    """
    for name, tensor in state.items():
        if name.endswith(CONSTANTS):
            expected = [0] if name.endswith("start_index") else [[map_size, map_size]]
            if tensor.tolist() != expected:
                raise UserError(f"'{name}' is {tensor.tolist()} but the published networks have {expected}")
    return PublishedState(state, partial(_rename, root=root), partial(_relayout, map_size=map_size))


def renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    """`name` after the replacement of each regular expression in the table that matches, in their order."""
    for pattern, replacement in table:
        name = re.sub(pattern, replacement, name)
    return name


def _rename(name: str, root: str) -> str | None:
    return None if name.endswith(CONSTANTS) else renamed(name, RENAMING).removeprefix(root)


def _relayout(name: str, tensor: Tensor, map_size: int) -> Tensor:
    if name.endswith(".cross.value.weight") and tensor.ndim == 2:
        return tensor[:, :, None, None]  # a linear layer per pixel is a 1x1 convolution
    if name.endswith(".queries.embedding") and tensor.ndim == 3:
        return tensor[0]
    if name.endswith(".position") and tensor.ndim == 4 and tensor.shape[2] == map_size**2:
        return tensor[0].transpose(1, 2).unflatten(2, (map_size, map_size)).contiguous()
    return tensor
