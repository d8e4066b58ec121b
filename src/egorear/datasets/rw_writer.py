"""Writes frames in the layout of Ego4View-RW, in which every recording has its own device-to-camera matrices.

{root}/rig.json                                             ours: lenses and nominal extrinsics
{root}/{train,validation,test}.txt                          sequences, "character/sequence" a line
{root}/{character}/{sequence}_metadata.json                 coord_transformation_matrix.device_to_camera_{view}, m
{root}/{character}/{sequence}/fisheye_rgb/camera_{view}/{stem}.jpg
{root}/{character}/{sequence}/json_smplx/{stem}.json
"""

import json
from pathlib import Path

from egorear.datasets.frame import EncodedFrame
from egorear.datasets.writer import SynWriter
from egorear.errors import UserError
from egorear.files import read_json, remove_leftovers, write_text


class RWWriter(SynWriter):
    """As `SynWriter`; `write_splits` takes "character/sequence" lines.

    Raises:
        UserError: a sequence's name has a "-", which the published layout keeps for the parts of a recording, or its
            frames differ in their extrinsics.
    """

    JSON_FOLDER = "json_smplx"

    def store(self, character: str, sequence: str, stem: str, frame: EncodedFrame) -> None:
        if "-" in sequence:
            raise UserError(f"'{sequence}' cannot name a sequence of the RW layout: it must have no '-'")
        path = self.metadata_path(character, sequence)
        matrices = {f"device_to_camera_{view}": T for view, T in frame.T_camera_device.items()}
        content = {"coord_transformation_matrix": matrices}
        if not path.exists():
            write_text(path, json.dumps(content) + "\n")
        elif read_json(path) != content:
            raise UserError(f"{path} has other matrices than frame {stem}, but the RW layout has one set a sequence")
        super().store(character, sequence, stem, frame)

    def is_complete(self, character: str, sequence: str, stem: str) -> bool:
        return super().is_complete(character, sequence, stem) and self.metadata_path(character, sequence).exists()

    def forget(self, character: str, sequence: str) -> None:
        super().forget(character, sequence)
        self.metadata_path(character, sequence).unlink(missing_ok=True)

    def metadata_path(self, character: str, sequence: str) -> Path:
        """The file of a sequence's matrices."""
        return self.root / character / f"{sequence}_metadata.json"

    def tidy(self, character: str, sequence: str) -> None:
        super().tidy(character, sequence)
        remove_leftovers(self.root / character)
