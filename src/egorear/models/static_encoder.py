"""AG-EgoPose's static visual features (Azam, Quarles and Desai, section 3.2): one vector per frame."""

from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.resnet import ResNet, ResNetConfig


class StaticEncoder(nn.Module):
    """Images to F_s, `width` wide: the backbone's last map averaged, projected, and normalised over the batch.

    The published code feeds one time step after the other, so that its batch statistics never see more than one frame
    of a video. Here they are over all frames of all windows; in eval mode that is the same. The published training
    updates `backbone.layer4` and what follows, and starts from ImageNet's weights.
    """

    def __init__(self, backbone: ResNetConfig, width: int):
        super().__init__()
        self.backbone = ResNet(backbone)
        self.project = nn.Linear(backbone.channels[-1], width)
        self.norm = nn.BatchNorm1d(width, momentum=0.01)

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N C"]:
        """F_s of normalised images (`images.normalize`).

        Raises:
            UserError: a single image in training, which has no batch statistics.
        """
        if self.norm.training and len(images) < 2:
            raise UserError("the static encoder cannot be trained on a single frame: its BatchNorm needs two or more")
        return self.norm(self.project(self.backbone(images)[-1].mean(dim=(-2, -1))))
