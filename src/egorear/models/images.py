"""Camera pixels to network input: the ImageNet normalisation every backbone here expects."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize(images: UInt8[Tensor, "*shape 3 H W"]) -> Float[Tensor, "*shape 3 H W"]:
    """RGB bytes to float32 with ImageNet's mean and deviation, on the device the images are on."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=images.device).view(3, 1, 1)
    return images.float().div_(255).sub_(mean).div_(std)
