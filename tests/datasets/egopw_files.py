"""Writes small copies of EgoPW and SceneEgo as published, with nothing but pickle, json, cv2 and numpy, so that a
reader is tested against another pair of eyes."""

import json
import pickle
from functools import cache
from pathlib import Path

import cv2
import numpy as np

W2C = (
    4.785893205484341e2, 3.503715828980770e2, 7.900065565120241e1, 6.228794005673283e1, 3.264466851189552e1,
    1.568380500967838e1, 7.766879336977007, 2.190791369989537, -1.084229689289942e-1, -1.903842667463734e-1,
    -2.776267870029922e-2,
)  # fmt: skip
CENTRE = np.array([614.93216999, 527.53465649])
WIDTH, HEIGHT, OFF = 1280, 1024, 128
TRAIN, TEST = ("binchen/rountunda1", "chao_new/office2"), ("ayush/out",)
SCENE_TRAIN, SCENE_TEST = ("train/diogo1", "train/jian1"), ("SceneEgo_test/diogo1",)
AUTHORS = "/CT/EgoMocap/work/"
NUMBERS = (0, 1, 2, 3, 4, 6, 7, 10)  # of pictures; 5, 8 and 9 were never there


def project(points: np.ndarray) -> np.ndarray:
    """Camera points to pixels of 1280x1024, as the release projects."""
    radius = np.linalg.norm(points[:, :2], axis=1, keepdims=True)
    rho = np.polynomial.polynomial.polyval(np.arctan(-points[:, 2:] / radius), W2C)
    return CENTRE + points[:, :2] / radius * rho


def pose(number: int) -> np.ndarray:
    """15 joints in the camera's frame, metres; x to the right, y down, z away from the camera."""
    rng = np.random.default_rng(number + 100)
    return rng.uniform((-0.5, -0.4, 0.1), (0.5, 0.5, 1.5), (15, 3))


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A BGR picture: red grows to the right, green downwards, blue tells the number."""
    row, column = np.mgrid[:height, :width]
    blue = np.full_like(row, 20 * (number % 12))
    return np.dstack((blue, row * 250 // height, column * 250 // width)).astype(np.uint8)


def write_picture(sequence: Path, number: int, image: np.ndarray | None = None) -> Path:
    path = sequence / "imgs" / f"img_{number:06d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_whole_picture(number) if image is None else _encoded(image))
    return path


@cache
def _whole_picture(number: int) -> bytes:
    return _encoded(picture(number))


def _encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, 95))[1].tobytes()


def write_labels(path: Path, entries: object, protocol: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(entries, protocol))


def entry(number: int, pixels: str | None = "joints_2d") -> dict:
    content: dict = {"image_name": f"img_{number:06d}.jpg", "optimized_local_pose": pose(number)}
    return content if pixels is None else {**content, pixels: project(pose(number))}


def write_sequence(sequence: Path, numbers=NUMBERS, pixels: str | None = "joints_2d", file="pseudo_gt.pkl") -> None:
    for number in numbers:
        write_picture(sequence, number)
    write_labels(sequence / file, [entry(number, pixels) for number in numbers])


def write_egopw(root: Path) -> Path:
    """Training sequences with pixels (of either spelling), the test sequence without; the release's lists."""
    for place, sequence in enumerate((*TRAIN, *TEST)):
        pixels, file = (("joints_2d", "pseudo_gt.pkl"), ("joints_2D", "pseudo.pkl"), (None, "pseudo_gt.pkl"))[place]
        write_sequence(root / sequence, pixels=pixels, file=file)
    return write_lists(root, "egopw", TRAIN, TEST)


def write_lists(root: Path, dataset: str, train, test) -> Path:
    folder = root / "train_test_directory"
    folder.mkdir()
    for split, sequences in (("train", train), ("test", test)):
        lines = "".join(f"{AUTHORS}{sequence}\n\n" for sequence in sequences)
        (folder / f"{split}_{dataset}.txt").write_text(lines)
    return root


EGO, EXT = 25, 1003  # the same moment in the numbers of the wearer's and of the external cameras


def write_scene_sequence(sequence: Path, numbers=NUMBERS, file="local_pose_gt.pkl") -> None:
    """`number` is that of the picture; the first labels are of moments before the first picture."""
    for number in numbers:
        write_picture(sequence, number)
    entries = [{"ext_id": number - EGO + EXT, "ego_pose_gt": pose(number)} for number in (-2, -1, *numbers)]
    write_labels(sequence / file, entries)
    (sequence / "syn.json").write_text(json.dumps({"ego": EGO, "ext": EXT}))


def write_sceneego(root: Path) -> Path:
    for sequence in SCENE_TRAIN:
        write_scene_sequence(root / sequence)
    for sequence in SCENE_TEST:
        write_scene_sequence(root / sequence, file="annotation.pkl")
    return write_lists(root, "sceneego", SCENE_TRAIN, SCENE_TEST)
