"""Writes small copies of EgoCap as published and as EgoTAP's release preprocesses it, with nothing but json, cv2, numpy
and h5py, so that a reader is tested against another pair of eyes."""

import json
from pathlib import Path

import cv2
import h5py
import numpy as np

CALIBRATIONS = "validation_v003_3D/cameraCalibration"
NPY = "all_data_with_img-256_hm-64_pose-16_npy"
HDF5 = "Ego_pose_stereo_cleaned.hdf5"
PARENTS = (0, 0, 1, 2, 3, 4, 1, 6, 7, 8, 2, 10, 11, 12, 6, 14, 15, 16)
SWAP = [0, 1, 6, 7, 8, 9, 2, 3, 4, 5, 14, 15, 16, 17, 10, 11, 12, 13]
C2W = (-516.7691300636768, 0.0, 0.001827567433476, -9.458375642153957e-06, 4.460350926140045e-08,
       -9.434841474792276e-11, 8.099831344095236e-14)  # fmt: skip
W2C = (
    541.084422, 133.996745, -53.833198, 60.96083, -24.78051, 12.451492, -30.240511, 26.90122, 116.38499, -133.991117,
    -141.904687, 184.05592, 107.45616, -125.552875, -55.66342, 44.209519, 18.234651, -6.410899, -2.737066,
)  # fmt: skip
CENTRES = ((508.25, 633.75), (515.5, 652.25))  # row, column
AFFINES = ((0.9995, 4e-4, -3e-4), (1.0004, -2e-4, 1e-4))
COLUMNS = (120, 140)  # the first kept of each camera: 2 trunc(column / 2) - 512
# Camera 0's points to camera 1's, mm, both with depth backwards.
T_1_0 = np.array([
    [-0.6811572770603570, -0.1978935067001849, -0.7048850430485982, -23.69619435605097],
    [-0.1823782681785945, -0.8865639851773102, 0.4251381745770462, 473.5684810307217],
    [-0.7090577770562122, 0.4181416747855088, 0.5677980350473865, 16.99215408061096],
])  # fmt: skip
TRAIN = {subject: (2, 11) for subject in range(1, 7)}  # frames of camera 0; camera 1's are 7 later
TEST = (3922, 3999)


def joints_mm(seed: int) -> np.ndarray:
    """Camera 0's frame, depth forwards; the camera itself first; all else in front of both cameras."""
    joints = np.random.default_rng(seed).uniform((100, -500, 700), (700, 100, 1100), (18, 3))
    joints[0] = 0
    return joints


def pixels(joints: np.ndarray) -> np.ndarray:
    """Those of both cameras in 1280x1024, by OCamCalib's own formulas."""
    backwards = joints * (1, 1, -1)
    found = []
    for points, (row0, column0), (c, d, e) in zip(
        (backwards, backwards @ T_1_0[:, :3].T + T_1_0[:, 3]), CENTRES, AFFINES, strict=True
    ):
        x, y, z = points[:, 1], points[:, 0], points[:, 2]  # OCamCalib's x goes down the rows, its z backwards
        norm = np.maximum(np.hypot(x, y), 1e-9)
        rho = np.polynomial.polynomial.polyval(np.arctan(z / norm), W2C)
        x, y = x / norm * rho, y / norm * rho
        found.append(np.stack((x * e + y + column0, x * c + y * d + row0), -1))
    return np.stack(found)


def picture(side: int, seed: int) -> np.ndarray:
    """A BGR image of 640x512 as the lens sees it: red grows to the right, green downwards, blue tells camera and
    frame."""
    row, column = np.mgrid[:512, :640]
    return np.dstack((np.full_like(row, 100 * side + 10 * (seed % 10)), row * 240 // 512, column * 240 // 640)).astype(
        np.uint8
    )


def write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes())


def write_calibrations(root: Path) -> None:
    folder = root / CALIBRATIONS
    folder.mkdir(parents=True, exist_ok=True)
    for side in (0, 1):
        paragraphs = (
            ("polynomial coefficients for the DIRECT mapping function", (len(C2W), *C2W)),
            ("polynomial coefficients for the inverse mapping function", (len(W2C), *W2C)),
            ('center: "row" and "column", starting from 0', CENTRES[side]),
            ('affine parameters "c", "d", "e"', AFFINES[side]),
            ('image size: "height" and "width"', (1024, 1280)),
        )
        text = "".join(f"#{title}\n\n{' '.join(map(repr, values))}\n\n" for title, values in paragraphs)
        (folder / f"stereo_c0{side}_f_calibration.txt").write_text(text)


def write_training(root: Path) -> None:
    frames = [(subject, number) for subject, numbers in TRAIN.items() for number in numbers]
    frames = [frames[i] for i in np.random.default_rng(0).permutation(len(frames))]
    truth = [joints_mm(100 * subject + number) for subject, number in frames]
    with h5py.File(root / HDF5, "w") as file:
        file["pose_2d"] = np.stack([pixels(joints) for joints in truth]) / (1280, 1024)
        file["pose_3d"] = np.stack(truth) * (1, 1, -1)
        file["subject_index"] = np.array([subject for subject, _ in frames])
        file["frame_index"] = np.array([(number, number + 7) for _, number in frames])
    for subject, number in frames:
        folder = root / "training_v000/images"
        write_image(folder / f"S{subject}_v000_cam0_frame-{number:04d}.jpg", picture(0, number))
        write_image(folder / f"S{subject}_v000_cam1_frame-{number + 7:04d}.jpg", picture(1, number)[:, ::-1])


def write_test(root: Path) -> None:
    lines, blocks = ["Skeletool Skeleton Pose Sequence V1.0", "Skeletool names"], []
    for number in TEST:
        joints = joints_mm(number)
        lines.append(" ".join(map(repr, (number, *joints.ravel().tolist()))))
        for side, seen in enumerate(pixels(joints)):
            own = number - 85 * side
            write_image(root / f"validation_v003_3D/images/franzi_01-cam{side}/frame-{own}.jpg", picture(side, number))
            if side:
                seen = np.stack((1280 - seen[:, 0], seen[:, 1]), -1)[SWAP]
            blocks.append((f"./images/S7_v003_cam{side}_frame-{own}.jpg", seen / 2))
            blocks.append((f"./images/S8_v003_cam{side}_frame-{own}.jpg", seen / 3))
    (root / "validation_v003_3D/dataset3D.mddd").write_text("\n".join(lines) + "\n")
    (root / "validation_v003_2D").mkdir(exist_ok=True)
    text = "".join(
        f"# {i}\n{path}\n3\n512\n640\n18\n" + "".join(f"{j} {x!r} {y!r}\n" for j, (x, y) in enumerate(points.tolist()))
        for i, (path, points) in enumerate(blocks)
    )
    (root / "validation_v003_2D/dataset.txt").write_text(text)


def write_raw(root: Path) -> Path:
    """Everything that EgoCap publishes, and what its authors hand out."""
    root.mkdir(parents=True, exist_ok=True)
    write_calibrations(root)
    write_training(root)
    write_test(root)
    return root


def frame_object(seed: int) -> dict:
    """A preprocessed frame: cropped, at 256, normalised; the maps are left out."""
    joints = joints_mm(seed)
    content = {"gt_local_pose": joints / 10, "gt_global_pose": joints / 10}
    for side, name in enumerate(("left", "right")):
        first = COLUMNS[side] // 2
        small = cv2.resize(picture(side, seed % 100 if seed < 1000 else seed)[:, first : first + 512], (256, 256))
        rgb = small[..., ::-1].transpose(2, 0, 1) / 255
        mean, deviation = np.array([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)])[..., None, None]
        content[f"input_rgb_{name}"] = ((rgb - mean) / deviation).astype(np.float32)
        content[f"gt_camera_2d_{name}"] = (pixels(joints)[side] - (COLUMNS[side], 0)).astype(np.float32)
        content[f"gt_pelvis_{name}"] = np.zeros(3)
    return content


def write_preprocessed(root: Path) -> Path:
    """What EgoTAP's release makes of it, for subjects 1 and 2 and the test subject."""
    folders = {f"training_v000/S{subject}": [(n, 100 * subject + n) for n in TRAIN[subject]] for subject in (1, 2)}
    folders["validation_v003_3D"] = [(number, number) for number in TEST]
    for folder, frames in folders.items():
        (root / folder / NPY).mkdir(parents=True)
        for number, seed in frames:
            np.save(root / folder / NPY / f"frame_{number}.npy", np.array(frame_object(seed)), allow_pickle=True)
    for side, name in enumerate(("left", "right")):
        row, column = CENTRES[side]
        content = {
            "name": "egocap_pose", "size": [1024, 1280], "imageCircleRadius": 512, "polynomialC2W": C2W,
            "polynomialW2C": W2C, "image_center": [row, column - COLUMNS[side]], "affine": AFFINES[side],
        }  # fmt: skip
        (root / f"fisheye.calibration_{name}.json").write_text(json.dumps(content))
    for split, names in (("train", "S1 S2"), ("validation", "validation_v003_3D"), ("test", "validation_v003_3D")):
        lines = (
            f"./EgoCapData/training_v000/{name}" if name[0] == "S" else f"./EgoCapData/{name}" for name in names.split()
        )
        (root / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    return root
