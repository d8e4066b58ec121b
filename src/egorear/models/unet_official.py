"""Parameter names of EgoTAP's published heatmap networks, and what `MultiViewUNet` calls the same tensors."""

import re
from collections import Counter

import torch
from torch import Tensor

from egorear.errors import UserError

RENAMING: dict[str, str] = {
    # By how a name starts. The ResNet stands in a checkpoint twice: in stages, and whole, in torchvision's names.
    "backbone.backbone.layer0.0.": "backbone.conv1.",
    "backbone.backbone.layer0.1.": "backbone.bn1.",
    "backbone.backbone.layer1.1.": "backbone.layer1.",
    "backbone.backbone.layer2.": "backbone.layer2.",
    "backbone.backbone.layer3.": "backbone.layer3.",
    "backbone.backbone.layer4.": "backbone.layer4.",
    "backbone.backbone.backbone.": "backbone.",
    # The decoder counts its parts by stride, from the finest.
    "after_backbone.layer1_1x1.": "skip.0.",
    "after_backbone.layer2_1x1.": "skip.1.",
    "after_backbone.layer3_1x1.": "skip.2.",
    "after_backbone.layer4_1x1.": "skip.3.",
    "after_backbone.conv_up1.": "fuse.0.",
    "after_backbone.conv_up2.": "fuse.1.",
    "after_backbone.conv_up3.": "fuse.2.",
    "after_backbone.conv_heatmap.": "head.",
}
CLASSIFIER = {"backbone.fc.weight": (1000, 512), "backbone.fc.bias": (1000,)}
"""ImageNet's, by names like ours, with its shapes: the checkpoints keep it and the network never calls it."""


def unet_names(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a published joint or limb heatmap network under our names, not copied.

    The prefix "module." (DataParallel) and the second copy of the ResNet are left out. A name that is none of the
    network's stays as it is, for `state_difference` to report. The maps need no reordering: published as all of the
    left view, then all of the right; of limbs all cosines, then all sines.

    Raises:
        UserError: the two copies of a tensor differ.
    """
    ours: dict[str, Tensor] = {}
    for published, tensor in state_dict.items():
        name = _our_name(published)
        if name in ours and not _same(ours[name], tensor):
            raise UserError(f"'{published}' differs from the checkpoint's other copy of the same tensor, '{name}' here")
        ours[name] = tensor
    return ours


def lost_copies(state_dict: dict[str, Tensor]) -> list[str]:
    """Tensors of the ResNet, by our names, that a checkpoint has once although they are published twice."""
    times = Counter(map(_our_name, state_dict))
    return [name for name, n in times.items() if n < 2 and name.startswith("backbone.") and name not in CLASSIFIER]


def _our_name(published: str) -> str:
    name = re.sub(r"^(module\.)+", "", published)
    start = next((start for start in RENAMING if name.startswith(start)), "")
    return RENAMING.get(start, "") + name.removeprefix(start)


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)
