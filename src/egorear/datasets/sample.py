"""What every dataset of this package delivers: one tensor dataclass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.rig import Rig


@dataclass(frozen=True)
class Sample:
    """One frame of all views and its truth, or a batch of them (leading dimension B).

    images: RGB. joints: metres, device frame, order of the dataset's skeleton. joints_2d: pixels of `images`.
    visible: the joint is seen in that view (inside the image where a dataset knows nothing about occlusion).
    rig: cameras at the images' size, extrinsics with the batch's dimensions. name: "character/sequence/stem",
    a list of them for a batch. visibility: why a joint is not seen (`datasets.truth.Visibility`), where that is known.
    present: the views there are, none: all; what the image of another view holds means nothing.
    pelvis: metres, device frame, where a dataset tells it besides the joints (UnrealEgo).
    counted: of a batch of windows ("B T"), the frames whose answers count; None: all. `name` lists all B·T frames.
    """

    images: UInt8[Tensor, "*B V 3 H W"]
    joints: Float[Tensor, "*B J 3"]
    joints_2d: Float[Tensor, "*B V J 2"]
    visible: Bool[Tensor, "*B V J"]
    rig: Rig
    name: str | list[str]
    visibility: UInt8[Tensor, "*B V J"] | None = None
    present: Bool[Tensor, "*B V"] | None = None
    pelvis: Float[Tensor, "*B 3"] | None = None
    counted: Bool[Tensor, "*B"] | None = None

    @staticmethod
    def stack(samples: Sequence["Sample"]) -> "Sample":
        """A batch of single samples; the `collate_fn` of a DataLoader.

        Raises:
            UserError: the samples were not taken through the same lenses at the same size.
        """
        first = samples[0]
        if any(sample.rig.cameras != first.rig.cameras for sample in samples[1:]):
            raise UserError("samples of different cameras or image sizes cannot share a batch")
        present = [s.visible.new_ones(len(s.rig.views)) if s.present is None else s.present for s in samples]
        return Sample(
            images=torch.stack([sample.images for sample in samples]),
            joints=torch.stack([sample.joints for sample in samples]),
            joints_2d=torch.stack([sample.joints_2d for sample in samples]),
            visible=torch.stack([sample.visible for sample in samples]),
            rig=replace(first.rig, T_camera_device=torch.stack([s.rig.T_camera_device for s in samples])),
            name=[str(sample.name) for sample in samples],
            visibility=_stack_known([sample.visibility for sample in samples]),
            present=None if all(sample.present is None for sample in samples) else torch.stack(present),
            pelvis=_stack_known([sample.pelvis for sample in samples]),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Sample":
        """The sample on that device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Sample":
        """The sample in page-locked memory; a DataLoader calls this by its name."""
        return self._map(Tensor.pin_memory)

    def select(self, views: Sequence[str]) -> "Sample":
        """The sample seen by these views only, in this order.

        Raises:
            UserError: the rig has no such view.
        """
        rig = self.rig.select(views)
        index = [self.rig.views.index(view) for view in views]
        return replace(
            self,
            images=self.images[..., index, :, :, :],
            joints_2d=self.joints_2d[..., index, :, :],
            visible=self.visible[..., index, :],
            rig=rig,
            visibility=None if self.visibility is None else self.visibility[..., index, :],
            present=None if self.present is None else self.present[..., index],
        )

    def as_windows(self, length: int, counted: Bool[Tensor, "B T"] | None = None) -> "Sample":
        """A batch of frames as one of windows of `length` frames each; `as_frames` undoes it."""
        return replace(self._map(lambda tensor: tensor.unflatten(0, (-1, length))), counted=counted)

    def as_frames(self) -> "Sample":
        """A batch of windows as one of frames."""
        return self._map(lambda tensor: tensor.flatten(0, 1))

    def batch_item(self, index: int) -> "Sample":
        """One window of a batch of them, or one frame of a batch of frames."""
        item = self._map(lambda tensor: tensor[index])
        frames = len(self.name) // len(self.joints)
        names = self.name[index * frames : (index + 1) * frames]
        return replace(item, name=names if item.joints.ndim > 2 else names[0])

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Sample":
        return replace(
            self,
            images=change(self.images),
            joints=change(self.joints),
            joints_2d=change(self.joints_2d),
            visible=change(self.visible),
            rig=replace(self.rig, T_camera_device=change(self.rig.T_camera_device)),
            visibility=None if self.visibility is None else change(self.visibility),
            present=None if self.present is None else change(self.present),
            pelvis=None if self.pelvis is None else change(self.pelvis),
            counted=None if self.counted is None else change(self.counted),
        )


def _stack_known(parts: Sequence[Tensor | None]) -> Tensor | None:
    """None where a sample lacks it."""
    known = [part for part in parts if part is not None]
    return torch.stack(known) if len(known) == len(parts) else None
