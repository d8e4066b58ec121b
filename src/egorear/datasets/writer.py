"""Writes frames in the layout of Ego4View-Syn, so that readers of that dataset read ours.

    {root}/rig.json                                             ours: the rig that the images were taken with
    {root}/{train,validation,test}.txt                          characters, one a line
    {root}/{character}/{sequence}/fisheye_rgb/camera_{view}/{stem}.jpg
    {root}/{character}/{sequence}/{kind}/camera_{view}/{stem}.png      ours, if asked for: `datasets.maps.KINDS`
    {root}/{character}/{sequence}/json_smplx_gendered/{stem}.json

The JSON of a frame is written after its images: a frame that has one is whole. See docs/data.md for the fields.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from egorear.datasets.frame import EncodedFrame, FrameTruth, encode_frame
from egorear.errors import UserError
from egorear.files import check_name, remove_leftovers, write_bytes, write_text
from egorear.geometry.rig import Rig

SPLITS = ("train", "validation", "test")
IMAGE_FOLDER = "fisheye_rgb"


class SynWriter:
    """Writes frames below `root`, taken with `rig`; several processes may write different frames at once.

    Pixels in the JSON are those of `rig`, whatever the size of the images (same aspect ratio).

    Raises:
        UserError: `root` already holds frames of another rig, or cannot be written.
    """

    JSON_FOLDER = "json_smplx_gendered"

    def __init__(self, root: str | Path, rig: Rig) -> None:
        self.root = Path(root)
        self.rig = rig
        for view in rig.views:
            check_name(view, "a view")
        claim_rig(self.root, rig)

    def is_complete(self, character: str, sequence: str, stem: str) -> bool:
        """Whether that frame is on disk: its JSON, which is written last, and its images."""
        images = self.root / character / sequence / IMAGE_FOLDER
        return self._json_path(character, sequence, stem).exists() and all(
            (images / f"camera_{view}" / f"{stem}.jpg").exists() for view in self.rig.views
        )

    def write(
        self,
        character: str,
        sequence: str,
        stem: str,
        images: Mapping[str, UInt8[np.ndarray, "H W 3"]],
        truth: FrameTruth,
    ) -> None:
        """Writes one frame: RGB images by view name, their maps and its JSON.

        Raises:
            UserError: a view is missing, an image has another aspect ratio than its camera, a value is not finite,
                a name is no plain file name, or the disk is full.
        """
        self.store(character, sequence, stem, encode_frame(self.rig, images, truth))

    def store(self, character: str, sequence: str, stem: str, frame: EncodedFrame) -> None:
        """`write` for a frame that is encoded already."""
        for part in (character, sequence, stem):
            check_name(part, "a character, sequence or frame")
        folder = self.root / character / sequence
        for view, data in frame.images.items():
            write_bytes(folder / IMAGE_FOLDER / f"camera_{view}" / f"{stem}.jpg", data)
        for (kind, view), data in frame.maps.items():
            write_bytes(folder / kind / f"camera_{view}" / f"{stem}.png", data)
        write_bytes(self._json_path(character, sequence, stem), frame.json)

    def write_splits(self, splits: Mapping[str, Sequence[str]]) -> None:
        """Writes the lists of characters; a split that is not given gets an empty list."""
        for split in SPLITS:
            write_text(self.root / f"{split}.txt", "".join(f"{name}\n" for name in splits.get(split, ())))

    def tidy(self, character: str, sequence: str) -> None:
        """Removes what a killed writer left of half-written files of a sequence."""
        remove_leftovers(self.root / character / sequence, below=True)

    def forget(self, character: str, sequence: str) -> None:
        """Makes a sequence one of which no frame is on disk whole, so that all are written again."""
        for path in (self.root / character / sequence / self.JSON_FOLDER).glob("*.json"):
            path.unlink(missing_ok=True)

    def _json_path(self, character: str, sequence: str, stem: str) -> Path:
        return self.root / character / sequence / self.JSON_FOLDER / f"{stem}.json"


def claim_rig(root: Path, rig: Rig) -> None:
    """Writes `{root}/rig.json`, or checks that it is this rig.

    Raises:
        UserError: it is another one, or cannot be read or written.
    """
    path = root / "rig.json"
    if not path.exists():
        rig.save(path)
    elif Rig.load(path).hash() != rig.hash():
        raise UserError(f"{path} is another rig than the one given; choose an empty folder")
