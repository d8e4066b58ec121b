"""What the controlled study knows of a dataset: its truth, without a single image."""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from egorear.datasets.frames import FrameDataset
from egorear.datasets.opening import open_dataset
from egorear.errors import UserError
from egorear.files import atomic_write
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, HEATMAP_JOINTS

HEATMAP_INDEX = [EGO4VIEW.index(name) for name in HEATMAP_JOINTS]
ARRAYS = ("joints", "places", "visibility", "extrinsics")


@dataclass(frozen=True)
class Truth:
    """N frames, or a batch of them.

    joints: metres, device frame. places: of the joints that have heatmaps, relative to the image (0 its left or top
    edge, 1 the other). visibility: `datasets.truth.Visibility`. rig: extrinsics of each frame.
    """

    names: list[str]
    joints: Float[Tensor, "N J 3"]
    places: Float[Tensor, "N V K 2"]
    visibility: UInt8[Tensor, "N V K"]
    rig: Rig

    def __len__(self) -> int:
        return len(self.names)

    def at(self, index: Int[Tensor, " B"]) -> "Truth":
        """These frames."""
        rig = replace(self.rig, T_camera_device=self.rig.T_camera_device[index])
        names = [self.names[i] for i in index.tolist()]
        return Truth(names, self.joints[index], self.places[index], self.visibility[index], rig)

    def every(self, count: int) -> "Truth":
        """At most `count` frames, spread evenly over all."""
        return self if len(self) <= count else self.at(torch.arange(count) * len(self) // count)

    @staticmethod
    def load(root: str | Path, split: str, cache: str | Path | None = None) -> "Truth":
        """Reads the truth of a split, about 1,300 frames a second; from `cache` (a folder) where it was read before.

        Raises:
            UserError: the dataset is damaged, or does not tell why joints are not seen.
        """
        dataset = open_dataset(root, split)
        arrays = None
        path = Path(cache) / f"truth-{_fingerprint(dataset)}.npz" if cache else None
        if path is not None and path.exists():
            arrays = _read(path)
        if arrays is None:
            arrays = _gather(dataset)
            if path is not None:
                with atomic_write(path) as temporary, temporary.open("wb") as file:
                    np.savez(file, **arrays)
        joints, places, visibility, extrinsics = (torch.from_numpy(arrays[name]) for name in ARRAYS)
        return Truth(dataset.names, joints, places, visibility, replace(dataset.rig, T_camera_device=extrinsics))


def _gather(dataset: FrameDataset) -> dict[str, Any]:
    rows = []
    sizes = np.array([(camera.width, camera.height) for camera in dataset.rig.cameras.values()])
    nominal = dataset.rig.T_camera_device.numpy()
    for index in range(len(dataset)):
        truth = dataset.truth(index)
        if truth.visibility is None:
            raise UserError(
                f"{dataset.truth_file(index)} does not say why joints are not seen ('visibility'), which the "
                "controlled study needs: take data of `egorear synth`"
            )
        places = (truth.joints_2d[:, HEATMAP_INDEX] + 0.5) / sizes[:, None]
        extrinsics = nominal if truth.T_camera_device is None else truth.T_camera_device
        rows.append((truth.joints, places, truth.visibility[:, HEATMAP_INDEX], extrinsics))
    types = (np.float32, np.float32, np.uint8, np.float32)
    columns = zip(ARRAYS, types, zip(*rows, strict=True), strict=True)
    return {name: np.stack(column).astype(kind) for name, kind, column in columns}


def _read(path: Path) -> dict[str, Any] | None:
    """A cache that cannot be read is made anew."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _fingerprint(dataset: FrameDataset) -> str:
    """Changes with the place, the split, the rig and every frame's file."""
    digest = hashlib.sha256(f"{dataset.root.resolve()} {dataset.split} {dataset.rig.hash()}".encode())
    for path in sorted({dataset.truth_file(index) for index in range(len(dataset))}):
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def select(truth: Truth, views: Sequence[str]) -> Truth:
    """The truth of these views only, in this order.

    Raises:
        UserError: the rig has no such view.
    """
    rig = truth.rig.select(views)
    index = [truth.rig.views.index(view) for view in views]
    return replace(truth, places=truth.places[:, index], visibility=truth.visibility[:, index], rig=rig)
