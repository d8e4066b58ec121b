"""Writes small copies of UnrealEgo as published, as preprocessed by its release and as reprocessed by EgoTAP's, with
nothing but json, cv2 and numpy, so that a reader is tested against another pair of eyes."""

import json
from pathlib import Path

import cv2
import numpy as np

NAMES = [
    "head", "neck_01", "upperarm_l", "upperarm_r", "lowerarm_l", "lowerarm_r", "hand_l", "hand_r",
    "thigh_l", "thigh_r", "calf_l", "calf_r", "foot_l", "foot_r", "ball_l", "ball_r",
]  # fmt: skip
ENVIRONMENT = "KyotoAlley_Showcase/Day/rp_manuel_rigged_001_ue4/SKM_MenReadingGlasses_Shape_01"
DANCE = f"{ENVIRONMENT}/023/3DPeople_rp_manuel_animated_001_dancing_ue4"
JUMP = f"{ENVIRONMENT}/001/ASSETS-Jumps_rp_manuel_forward_jump"
NPY = "all_data_with_img-256_hm-64_pose-16_npy"
LENS = (
    541.084422, 133.996745, -53.833198, 60.96083, -24.78051, 12.451492, -30.240511, 26.90122, 116.38499, -133.991117,
    -141.904687, 184.05592, 107.45616, -125.552875, -55.66342, 44.209519, 18.234651, -6.410899, -2.737066,
)  # fmt: skip
CENTRE = np.array([511.1183388444314, 510.8730105600536])
LEFT_X, RIGHT_X = 6.0, -6.0  # of the cameras' centres in the device frame, cm


def project(points: np.ndarray) -> np.ndarray:
    """Camera points (cm) to pixels of 1024."""
    radius = np.linalg.norm(points[:, :2], axis=1, keepdims=True)
    rho = np.polynomial.polynomial.polyval(np.arctan(-points[:, 2:] / radius), LENS)
    return CENTRE + points[:, :2] / radius * rho


def body(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints and pelvis in the device frame, cm; the left hand is above the images and behind the lens."""
    rng = np.random.default_rng(seed)
    joints = rng.uniform((-70, -40, 5), (70, 60, 150), (16, 3))
    joints[6] = (3, -60, -12)
    return joints, rng.uniform((-10, 20, 60), (10, 40, 80))


def frame_json(seed: int) -> dict:
    joints, pelvis = body(seed)
    rng = np.random.default_rng(100 + seed)
    rows = {}
    for name, point in [*zip(NAMES, joints, strict=True), ("pelvis", pelvis), ("spine_01", pelvis - 9)]:
        left, right = point - (LEFT_X, 0, 0), point - (RIGHT_X, 0, 0)
        rows[name] = {
            "trans": rng.uniform(-500, 500, 3).tolist(),
            "rot": rng.uniform(-180, 180, 3).tolist(),
            "camera_left_pts2d": project(left[None])[0].tolist(),
            "camera_right_pts2d": project(right[None])[0].tolist(),
            "camera_left_pts3d": left.tolist(),
            "camera_right_pts3d": right.tolist(),
        }
    return {"ground_z_value": -3.25, "joints": rows}


def picture(seed: int, side: str) -> np.ndarray:
    """A smooth BGR picture of 1024 x 1024, another for each frame and side."""
    rng = np.random.default_rng(2 * seed + (side == "right"))
    coarse = rng.uniform(0, 255, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (1024, 1024), interpolation=cv2.INTER_LINEAR)


def stored_picture(seed: int, side: str) -> np.ndarray:
    """As preprocessed files have it: RGB planes of 256 x 256, normalised."""
    small = cv2.resize(picture(seed, side), (256, 256), interpolation=cv2.INTER_AREA)[..., ::-1] / 255
    return ((small - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).transpose(2, 0, 1).astype(np.float32)


def frame_object(seed: int, reprocessed: bool) -> dict:
    joints, pelvis = body(seed)
    content = {f"input_rgb_{side}": stored_picture(seed, side) for side in ("left", "right")}
    content |= {f"gt_heatmap_{side}": np.zeros((15 + reprocessed, 64, 64), np.float32) for side in ("left", "right")}
    content["gt_local_pose"] = joints - pelvis
    if reprocessed:
        raw = frame_json(seed)["joints"]
        for side in ("left", "right"):
            content[f"gt_pelvis_{side}"] = np.array(raw["pelvis"][f"camera_{side}_pts3d"])
            content[f"gt_limb_heatmap_{side}"] = np.zeros((15, 64, 64), np.float32)
            content[f"gt_pixel_length_{side}"] = np.ones(15, np.float32)
            content[f"gt_camera_2d_{side}"] = np.array([raw[n][f"camera_{side}_pts2d"] for n in NAMES], np.float32)
        content |= {"gt_limb_theta": np.zeros(15, np.float32), "gt_global_pose": np.zeros((16, 3), np.float32)}
        content |= {"gt_root_translation": np.zeros(3), "gt_root_rotation": np.eye(3, dtype=np.float32)}
        content |= {"gt_root_translation_delta": np.zeros(3), "gt_local_rot": np.zeros((16, 3), np.float32)}
        content |= {"raw_joint_data": raw, "name": f"frame_{seed}.npy"}
    return content


def write_json(motion: Path, seed: int, content: dict | None = None) -> None:
    (motion / "json").mkdir(parents=True, exist_ok=True)
    (motion / "json" / f"frame_{seed}.json").write_text(json.dumps(content or frame_json(seed)))


def write_images(motion: Path, seed: int) -> None:
    for side in ("left", "right"):
        folder = motion / "fisheye_final_image" / f"camera_{side}"
        folder.mkdir(parents=True, exist_ok=True)
        png = cv2.imencode(".png", picture(seed, side), (cv2.IMWRITE_PNG_COMPRESSION, 1))[1]
        (folder / f"final_{seed}.png").write_bytes(png.tobytes())


def write_object(motion: Path, seed: int, content: dict) -> None:
    (motion / NPY).mkdir(parents=True, exist_ok=True)
    np.save(motion / NPY / f"frame_{seed}.npy", np.array(content, dtype=object), allow_pickle=True)


def write_unrealego(root: Path, kind: str = "raw", seeds=(2, 10)) -> Path:
    """Two motions, the one in the lists of training and test, the other in that of test. kind: "raw", "json_and_npy"
    (the release's preprocessed files beside the truth), "original" (without it) or "reprocessed"; a frame's number is
    the seed of its content. (EgoTAP's script drops the first frame of each motion; nothing here depends on it.)"""
    for motion in (root / DANCE, root / JUMP):
        for seed in seeds:
            if kind in ("raw", "json_and_npy"):
                write_json(motion, seed)
            if kind == "raw":
                write_images(motion, seed)
            else:
                write_object(motion, seed, frame_object(seed, kind == "reprocessed"))
    write_lists(root, train=[DANCE], test=[JUMP, DANCE])
    return root


def write_lists(root: Path, prefix: str = "./UnrealEgoData/", **splits: list[str]) -> None:
    for split in ("train", "validation", "test"):
        (root / f"{split}.txt").write_text("".join(f"{prefix}{motion}\n" for motion in splits.get(split, [])))
