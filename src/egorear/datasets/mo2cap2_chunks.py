"""Reads the rendered training set of Mo2Cap2 (Xu et al., TVCG 2019): HDF5 files of 1000 frames each."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from egorear.datasets.frames import locate
from egorear.datasets.front_camera import VIEW, FrontCamera
from egorear.datasets.hdf5_arrays import hdf5_array, open_hdf5
from egorear.datasets.images import encode_png
from egorear.datasets.monocular_lists import find_list, split_sequences
from egorear.datasets.truth import FrameFile
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGOPW

DATASET = "mo2cap2"
SUFFIXES = (".hdf5", ".h5")
JOINTS = len(EGOPW)
SIDE = 256  # pixels of the pictures
LABELS_TO_PICTURE = (-35.0, 5.0)  # what AG-EgoPose's release adds to the pixels
LIMIT_FRAMES = 100_000


class Chunk:
    """A file: `Images` (n x 3 x 256 x 256, RGB, 8 bits), `Annot2D` (n x 15 x 2, pixels), `Annot3D` (n x 15 x 3, mm,
    camera frame). Pictures are read one by one.

    Raises:
        UserError: h5py is not installed, or the file is damaged or of other arrays.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with open_hdf5(file) as content:
            images = self._images(content)
            self.poses_mm, places = (
                hdf5_array(file, content, name, (JOINTS, count), "f", LIMIT_FRAMES)[()].astype(np.float64)
                for name, count in (("Annot3D", 3), ("Annot2D", 2))
            )
            if not len(images) == len(self.poses_mm) == len(places):
                raise UserError(f"{file}: 'Images', 'Annot2D' and 'Annot3D' must have as many rows as each other")
        self.pixels = places + LABELS_TO_PICTURE

    def __len__(self) -> int:
        return len(self.poses_mm)

    def picture(self, place: int) -> tuple[str, bytes]:
        """What a user knows the picture by, and the picture as PNG."""
        with open_hdf5(self.file) as content:
            planes = self._images(content)[place]
        return f"{self.file}:Images[{place}]", encode_png(np.ascontiguousarray(planes[::-1].transpose(1, 2, 0)))

    def _images(self, content: Any) -> Any:
        images = hdf5_array(self.file, content, "Images", (3, SIDE, SIDE), "u", LIMIT_FRAMES)
        if images.dtype != np.uint8:
            raise UserError(f"{self.file}: 'Images' must be of 8 bits")
        return images


class Mo2Cap2Chunks(FrontCamera):
    """One split of Mo2Cap2's training set: the files that `{split}.txt` or `{split}_mo2cap2.txt` names, in its order.

    Pictures are taken for the middle square of what the lens gives. For the rest see `FrontCamera`.

    Raises:
        UserError: the split's list or a file that it names is missing or damaged.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        image_size: int | tuple[int, int] = 256,
        views: Sequence[str] | None = None,
        rig: Rig | None = None,
    ) -> None:
        root = Path(root)
        super().__init__(root, split, image_size, views, rig)
        files = split_sequences(root, split, DATASET)
        if other := [file for file in files if not file.endswith(SUFFIXES)]:
            raise UserError(
                f"{root}: split '{split}' names {other[0]}, which must be a file of {' or '.join(SUFFIXES)}"
            )
        if not files:
            raise UserError(f"{root}: split '{split}' has no file")
        self._folders = [file.rpartition(".")[0] for file in files]
        self._chunks = [Chunk(root / file) for file in files]
        self._ends = list(accumulate(map(len, self._chunks)))

    def __len__(self) -> int:
        return self._ends[-1]

    @cached_property
    def _names(self) -> list[str]:
        pairs = zip(self._folders, self._chunks, strict=True)
        return [f"{folder}/{place:06d}" for folder, chunk in pairs for place in range(len(chunk))]

    def name(self, index: int) -> str:
        return self._names[index]

    def truth_file(self, index: int) -> Path:
        return self._locate(index)[0].file

    def image_file(self, index: int, view: str) -> tuple[str, bytes]:
        chunk, place = self._locate(index)
        return chunk.picture(place)

    def frame(self, index: int) -> FrameFile:
        chunk, place = self._locate(index)
        camera, seen_cm = self.rig.cameras[VIEW], torch.from_numpy(chunk.poses_mm[place] / 10)
        pixels = (chunk.pixels[place] + 0.5) * (camera.width / SIDE, camera.height / SIDE) - 0.5
        return self._frame(f"{chunk.file} (row {place})", seen_cm / 100, seen_cm, pixels)

    def _locate(self, index: int) -> tuple[Chunk, int]:
        chunk, place = locate(self._ends, index)
        return self._chunks[chunk], place


def is_mo2cap2_chunks(root: str | Path, split: str) -> bool:
    """Whether the list of a split begins with a chunk.

    Raises:
        UserError: there is no such split, or the list is damaged.
    """
    root = Path(root)
    listed = split in SPLITS and find_list(root, split, DATASET) is not None
    return listed and any(line.endswith(SUFFIXES) for line in split_sequences(root, split, DATASET)[:1])
