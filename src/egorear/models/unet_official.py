"""Parameter names of EgoTAP's published heatmap networks, and what `MultiViewUNet` calls the same tensors."""

from egorear.models.official_state import PublishedState, unwrapped

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


def unet_name(published: str) -> str:
    """What we call a tensor of a published joint or limb heatmap network.

    The prefix "module." (DataParallel) is left out; both copies of the ResNet get one name. A name that is none of the
    network's stays as it is. The maps need no reordering: published as all of the left view, then all of the right; of
    limbs all cosines, then all sines.
    """
    name = unwrapped(published)
    start = next((start for start in RENAMING if name.startswith(start)), "")
    return RENAMING.get(start, "") + name.removeprefix(start)


def lost_copies(given: PublishedState) -> list[str]:
    """Tensors of the ResNet, by the file's names, that it has once although they are published twice."""
    of_resnet = (n for ours, n in given.names.items() if ours.startswith("backbone.") and ours not in CLASSIFIER)
    return [names[0] for names in of_resnet if len(names) < 2]
