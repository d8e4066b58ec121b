"""What the datasets of one fisheye camera have in common, whatever their files: its rig, and frames in its frame."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from egorear.datasets.frames import FrameDataset, own_rig
from egorear.datasets.maps import ViewMaps
from egorear.datasets.truth import FrameFile
from egorear.errors import UserError
from egorear.geometry.rig import Rig, egopw
from egorear.geometry.skeleton import EGOPW
from egorear.geometry.transforms import invert_rigid, transform_points

VIEW = "front"


class FrontCamera(FrameDataset):
    """One split of a dataset whose poses, joints of `EGOPW`, are in the frame of its one camera.

    That is the device frame, unless a rig says otherwise. rig: default `{root}/rig.json` or else EgoPW's camera, the
    middle square of its image (`square`). For the rest see `FrameDataset`.

    Raises:
        UserError: the rig is damaged or has another view than `front`.
    """

    skeleton = EGOPW
    IN_CAMERA_FRAME: ClassVar[bool] = True  # whether the poses are; if not, opening warns and no joint is visible

    def __init__(
        self, root: Path, split: str, image_size: int | tuple[int, int], views: Sequence[str] | None, rig: Rig | None
    ) -> None:
        if rig is None:
            rig = own_rig(root) or square(egopw())
        super().__init__(root, split, image_size, (VIEW,) if views is None else views, rig)
        if self.rig.views != (VIEW,):
            raise UserError(f"{root} has the view '{VIEW}' alone, not {', '.join(self.rig.views)}")
        self._T_device_camera = invert_rigid(self.rig.T_camera_device[0].double())

    def maps(self, index: int) -> dict[str, ViewMaps]:
        return {}

    def _frame(
        self,
        source: str,
        seen_m: Float[Tensor, "15 3"],
        seen_cm: Float[Tensor, "15 3"],
        pixels: Float[np.ndarray, "15 2"],
    ) -> FrameFile:
        """A frame of joints in the camera's frame, in metres and, as its files have them to the last digit or as near
        as can be, in centimetres. pixels: of the rig's camera."""
        device_cm = 100 * transform_points(self._T_device_camera, seen_m)
        columns = {"device_pts3d": device_cm, f"camera_{VIEW}_pts3d": seen_cm, f"camera_{VIEW}_pts2d": pixels}
        if not self.IN_CAMERA_FRAME:
            columns[f"camera_{VIEW}_visible"] = np.zeros(len(EGOPW), bool)
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        joints = {name: dict(zip(columns, row, strict=True)) for name, row in zip(EGOPW.names, rows, strict=True)}
        return FrameFile(source, {"joints": joints}, EGOPW)


def square(rig: Rig) -> Rig:
    """The rig whose cameras see the middle square of the image that they saw."""
    cameras = {}
    for view, camera in rig.cameras.items():
        side = min(camera.width, camera.height)
        cameras[view] = camera.cropped((camera.width - side) // 2, (camera.height - side) // 2, side, side)
    return replace(rig, cameras=cameras)
