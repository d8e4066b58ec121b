"""Writes small datasets in the published layouts with nothing but json and cv2, so that a reader is tested against
another pair of eyes than the writer's."""

import json
from pathlib import Path

import cv2
import numpy as np

UPPER = ["Head", "Neck", "LeftArm", "RightArm", "LeftForeArm", "RightForeArm", "LeftHand", "RightHand"]
LOWER = ["LeftUpLeg", "RightUpLeg", "LeftLeg", "RightLeg", "LeftFoot", "RightFoot", "LeftToeBase", "RightToeBase"]
NAMES = UPPER + LOWER
VIEWS = ("front_left", "front_right", "back_left", "back_right")


def frame_content(seed: int) -> dict:
    """A frame's JSON without our own fields; centimetres, pixels of 872."""
    rng = np.random.default_rng(seed)
    joints = {}
    for name in NAMES:
        joints[name] = {"device_pts3d": rng.uniform(-80, 80, 3).tolist(), "trans_blender": [0.0, 0.0, 1.0]}
        for view in VIEWS:
            joints[name][f"camera_{view}_pts3d"] = rng.uniform(-80, 80, 3).tolist()
            joints[name][f"camera_{view}_pts2d"] = rng.uniform(-100, 972, 2).tolist()
    return {"joints": joints, "smplx_params": {}}


def picture(size: int, view: int) -> np.ndarray:
    """A BGR image whose red grows to the right, green downwards, and whose blue tells the view."""
    ramp = np.linspace(0, 240, size).astype(np.uint8)
    blue = np.full((size, size), 40 * view, np.uint8)
    return np.dstack((blue, np.tile(ramp[:, None], (1, size)), np.tile(ramp, (size, 1))))


def write_frame(sequence: Path, stem: str, content: dict, json_folder: str, suffix: str, size: int) -> None:
    (sequence / json_folder).mkdir(parents=True, exist_ok=True)
    (sequence / json_folder / f"{stem}.json").write_text(json.dumps(content))
    for index, view in enumerate(VIEWS):
        folder = sequence / "fisheye_rgb" / f"camera_{view}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stem}{suffix}").write_bytes(cv2.imencode(suffix, picture(size, index))[1].tobytes())


def write_syn(root: Path, stems=("frame_2", "frame_10"), suffix=".jpg", size=64) -> None:
    for seed, stem in enumerate(stems):
        write_frame(root / "rp_anna-1" / "1001", stem, frame_content(seed), "json_smplx_gendered", suffix, size)
    for split, characters in (("train", "rp_anna-1\n"), ("validation", ""), ("test", "rp_anna-1\n\n")):
        (root / f"{split}.txt").write_text(characters)


def recording_matrices(shift_m: float) -> dict:
    matrices = {}
    for index, view in enumerate(VIEWS):
        T = np.eye(4)
        T[:3, 3] = shift_m, 0.01 * index, 0
        matrices[f"device_to_camera_{view}"] = T.tolist()
    return {"coord_transformation_matrix": matrices}


def write_rw(root: Path, suffix=".png") -> None:
    sequences = ("2024_07_24/S1/seq_3-0", "2024_07_24/S1/seq_3-1", "2024_07_24/S1/seq_12-0")
    for seed, sequence in enumerate(sequences):
        write_frame(root / sequence, "0001", frame_content(seed), "json_smplx", suffix, 64)
    subject = root / "2024_07_24" / "S1"
    for name, shift in (("seq_3", 0.06), ("seq_12", 0.07)):
        (subject / f"{name}_metadata.json").write_text(json.dumps(recording_matrices(shift)))
    (root / "test.txt").write_text("".join(f"{sequence}\n" for sequence in sequences))
