"""Reads UnrealEgo (Akada et al., ECCV 2022): as it is published, and preprocessed as its and EgoTAP's releases read it.

The folders of a motion, any of which may be missing (docs/data.md):

    fisheye_final_image/camera_{left,right}/final_{i}.png      1024 x 1024
    json/frame_{i}.json                                        truth
    all_data_with_img-256_hm-64_pose-16_npy/frame_{i}.npy      both, the pictures at 256 x 256
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from egorear.datasets.ego4view import natural_order, read_split
from egorear.datasets.frames import FrameDataset, own_rig
from egorear.datasets.images import LIMIT_BYTES, find_image, png_of_normalised
from egorear.datasets.maps import ViewMaps
from egorear.datasets.npy_objects import array_field, read_npy_object
from egorear.datasets.truth import FRAME_LIMIT_BYTES, FrameFile
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_bytes, read_json
from egorear.geometry.rig import Rig, unrealego
from egorear.geometry.skeleton import EGO4VIEW

IMAGES, TRUTH, PREPROCESSED = "fisheye_final_image", "json", "all_data_with_img-256_hm-64_pose-16_npy"
SIDES = {"front_left": "left", "front_right": "right"}
JOINTS = (
    "head", "neck_01", "upperarm_l", "upperarm_r", "lowerarm_l", "lowerarm_r", "hand_l", "hand_r", "thigh_l", "thigh_r",
    "calf_l", "calf_r", "foot_l", "foot_r", "ball_l", "ball_r",
)  # fmt: skip
"""UnrealEgo's names of the joints of `EGO4VIEW`."""

ACTIONS = (
    "jumping", "falling_down", "exercising", "pulling", "singing", "rolling", "crawling", "laying",
    "sitting_on_the_ground", "crouching", "crouching_and_turning", "crouching_to_standing",
    "crouching_and_moving_forward", "crouching_and_moving_backward", "crouching_and_moving_sideways",
    "standing_with_whole_body_movement", "standing_with_upper_body_movement", "standing_and_turning",
    "standing_to_crouching", "standing_and_moving_forward", "standing_and_moving_backward",
    "standing_and_moving_sideways", "dancing", "boxing", "wrestling", "soccer", "baseball", "basketball",
    "american_football", "golf",
)  # fmt: skip
"""What the category folders "001" to "030" stand for."""

CATEGORIES = {f"{number:03d}": name for number, name in enumerate(ACTIONS, 1)}
STORED_SIZE = 256  # of preprocessed pictures


class UnrealEgo(FrameDataset):
    """One split of UnrealEgo, motions in the order of the list, frames in natural order.

    A motion with JSONs has those frames, one without has its `.npy` files; pictures come from the PNGs where the motion
    has their folder. The device frame is midway between the cameras, with their axes, as UnrealEgo defines
    device-relative poses. Motions that the list names but nobody downloaded (or EgoTAP's reprocessing dropped) are
    left out with a warning. rig: default `{root}/rig.json` or else the published. For the rest see `FrameDataset`.

    Raises:
        UserError: the split's list or every frame is missing, or a view is not UnrealEgo's.
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
        if rig is None:
            rig = own_rig(root) or unrealego()
        super().__init__(root, split, image_size, views, rig)
        for view in self.rig.views:
            if view not in SIDES:
                raise UserError(f"{root}: UnrealEgo has the views {', '.join(SIDES)} but no '{view}'")
        self._motions: list[str] = []  # relative to root, with "/" on every system
        self._motion_of: list[int] = []
        self._stems: list[str] = []
        self._has_json: list[bool] = []  # by motion
        motions = read_split(root, split)
        missing = [motion for motion in motions if not (root / motion).is_dir()]
        for motion in motions:
            frames = _frames(root / motion / TRUTH, ".json")
            self._has_json.append(bool(frames))
            frames = frames or _frames(root / motion / PREPROCESSED, ".npy")
            self._motion_of += [len(self._motions)] * len(frames)
            self._stems += frames
            self._motions.append(motion)
        if not self._stems:
            raise UserError(f"{root}: split '{split}' has no frame ({TRUTH}/frame_*.json or {PREPROCESSED}/*.npy)")
        if missing:
            logging.getLogger("egorear").warning(
                "%s: %d of the %d motions that %s.txt names are missing and left out, the first is %s",
                root, len(missing), len(motions), split, missing[0],
            )  # fmt: skip
        self._last: tuple[Path, dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self._stems)

    def name(self, index: int) -> str:
        return f"{self._motions[self._motion_of[index]]}/{self._stems[index]}"

    def truth_file(self, index: int) -> Path:
        if self._has_json[self._motion_of[index]]:
            return self._motion(index) / TRUTH / f"{self._stems[index]}.json"
        return self._preprocessed(index)

    def files(self, index: int) -> list[Path]:
        return list(dict.fromkeys((self.truth_file(index), *(self._picture(index, view) for view in self.rig.views))))

    def image_file(self, index: int, view: str) -> tuple[str, bytes]:
        path = self._picture(index, view)
        if path == self._preprocessed(index):
            return self._stored_picture(path, f"input_rgb_{SIDES[view]}")
        return str(path), read_bytes(path, LIMIT_BYTES)

    def _picture(self, index: int, view: str) -> Path:
        """The file that holds a picture: its own, or the frame's preprocessed one."""
        folder = self._motion(index) / IMAGES
        if not folder.is_dir() and self._preprocessed(index).exists():
            return self._preprocessed(index)
        return find_image(folder / f"camera_{SIDES[view]}", self._stems[index].replace("frame_", "final_"))

    def maps(self, index: int) -> dict[str, ViewMaps]:
        """None: what the 8 bits of UnrealEgo's depth images stand for is not published."""
        return {}

    def frame(self, index: int) -> FrameFile:
        path = self.truth_file(index)
        if path.suffix == ".json":
            joints, pelvis, pixels = _json_truth(str(path), read_json(path, FRAME_LIMIT_BYTES))
        else:
            joints, pelvis, pixels = self._npy_truth(str(path), self._object(path))
        category = self._motions[self._motion_of[index]].split("/")[-2:][0]
        return FrameFile(str(path), _content(joints, pelvis, pixels, CATEGORIES.get(category)))

    def _npy_truth(
        self, source: str, content: Mapping[str, Any]
    ) -> tuple[Float[np.ndarray, "2 J 3"], Float[np.ndarray, "2 3"], Float[np.ndarray, "2 J 2"]]:
        """Of each camera: joints (cm), pelvis (cm) and pixels."""
        count = len(EGO4VIEW)
        pose = array_field(source, content, "gt_local_pose", (count, 3))
        if "gt_pelvis_left" not in content:
            raise UserError(
                f"{source}: 'gt_pelvis_left' is missing, as in UnrealEgo's own preprocessed files, so that nothing "
                f"tells where the body is: put the '{TRUTH}' folder beside it, or reprocess the motion with "
                "EgoTAP's reprocess_unrealego_data.py"
            )
        pelvis = np.stack([array_field(source, content, f"gt_pelvis_{side}", (3,)) for side in SIDES.values()])
        joints = pose + pelvis[:, None]
        if "gt_camera_2d_left" in content:
            sides = SIDES.values()
            pixels = np.stack([array_field(source, content, f"gt_camera_2d_{side}", (count, 2)) for side in sides])
        else:
            cameras = unrealego().cameras | self.rig.cameras
            points = torch.from_numpy(joints / 100)
            pixels = np.stack([cameras[v].project(seen)[0].numpy() for v, seen in zip(SIDES, points, strict=True)])
        return joints, pelvis, pixels

    def _stored_picture(self, path: Path, key: str) -> tuple[str, bytes]:
        """A normalised picture of a preprocessed file as the PNG that it was."""
        values = array_field(str(path), self._object(path), key, (3, STORED_SIZE, STORED_SIZE))
        return f"{path}:{key}", png_of_normalised(f"{path}: '{key}'", values)

    def _object(self, path: Path) -> dict[str, Any]:
        """The content of a preprocessed file; the last is kept, since a frame's truth and pictures share it."""
        if (last := self._last) is None or last[0] != path:
            self._last = last = path, read_npy_object(path)
        return last[1]

    def _motion(self, index: int) -> Path:
        return self.root / self._motions[self._motion_of[index]]

    def _preprocessed(self, index: int) -> Path:
        return self._motion(index) / PREPROCESSED / f"{self._stems[index]}.npy"


def is_unrealego(root: str | Path) -> bool:
    """Whether a split's list names folders of UnrealEgo's motions: with its folders in it, below a category's.

    Raises:
        UserError: a list is damaged.
    """
    root = Path(root)
    for split in SPLITS:
        for motion in read_split(root, split) if (root / f"{split}.txt").exists() else ():
            if motion.split("/")[-2:][0] in CATEGORIES and any(
                (root / motion / folder).is_dir() for folder in (TRUTH, PREPROCESSED)
            ):
                return True
    return False


def _frames(folder: Path, suffix: str) -> list[str]:
    """The stems of a folder's frames in natural order; none if it is missing."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror or error}") from error
    stems = [name[: -len(suffix)] for name in names if re.fullmatch(rf"frame_\d+{re.escape(suffix)}", name)]
    return sorted(stems, key=natural_order)


def _json_truth(
    source: str, content: Any
) -> tuple[Float[np.ndarray, "2 J 3"], Float[np.ndarray, "2 3"], Float[np.ndarray, "2 J 2"]]:
    """Of each camera: joints (cm), pelvis (cm) and pixels."""
    joints = content.get("joints") if isinstance(content, dict) else None
    if not isinstance(joints, dict):
        raise UserError(f"{source}: 'joints' must be an object of joint names")
    for name in (*JOINTS, "pelvis"):
        if not isinstance(joints.get(name), dict):
            raise UserError(f"{source}: 'joints.{name}' is missing")

    def numbers(names: Sequence[str], kind: str, count: int) -> Float[np.ndarray, "2 N C"]:
        rows = []
        for field in (f"camera_{side}_{kind}" for side in SIDES.values()):
            for name in names:
                row = joints[name].get(field)
                if not isinstance(row, list) or len(row) != count or not all(map(_is_finite, row)):
                    raise UserError(f"{source}: 'joints.{name}.{field}' must be a list of {count} finite numbers")
                rows.append(row)
        return np.array(rows, np.float64).reshape(2, len(names), count)

    return numbers(JOINTS, "pts3d", 3), numbers(("pelvis",), "pts3d", 3)[:, 0], numbers(JOINTS, "pts2d", 2)


def _is_finite(value: Any) -> bool:
    return type(value) in (float, int) and abs(value) < 1e300  # a whole number can be too large for a float


def _content(
    joints: Float[np.ndarray, "2 J 3"],
    pelvis: Float[np.ndarray, "2 3"],
    pixels: Float[np.ndarray, "2 J 2"],
    action: str | None,
) -> dict[str, Any]:
    """The frame as a JSON of ours has it (docs/data.md), centimetres.

    A device point is the mean of the two cameras' (UnrealEgo's own definition): where they contradict each other or the
    rig, it agrees with neither, which `prepare` and `check_truth` tell.
    """
    fields = {"device_pts3d": joints.mean(0).tolist()}
    for view, seen, pixel in zip(SIDES, joints.tolist(), pixels.tolist(), strict=True):
        fields |= {f"camera_{view}_pts3d": seen, f"camera_{view}_pts2d": pixel}
    rows = {name: {field: rows[j] for field, rows in fields.items()} for j, name in enumerate(EGO4VIEW.names)}
    content = {"joints": rows, "pelvis_device_pts3d": pelvis.mean(0).tolist()}
    return content if action is None else {"action": action, **content}
