"""Writes small copies of Mo2Cap2's test set, with nothing but struct, zlib, cv2 and numpy, so that a reader is tested
against another pair of eyes. Its training set: chunk_files.py."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

STUDIO, OUTDOOR = "test_data/weipeng_studio", "test_data/olek_outdoor"
FIRST = 387  # number of the first picture of the studio


def poses_mm(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-900, 900, (count, 15, 3))


def element(kind: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def small(kind: int, data: bytes, order: str = "<") -> bytes:
    """An element of up to four bytes, whose length and type share a word."""
    return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")


def matrix(name: str, values: np.ndarray, order: str = "<", array_class: int = 6, flags: int = 0) -> bytes:
    """A matrix element of the class given, whatever the numbers; they are stored in their own type."""
    stored = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 9, "i8": 12, "u8": 13}
    numbers = values.astype(order + values.dtype.str[1:]).tobytes("F")
    parts = (
        element(6, struct.pack(f"{order}II", array_class | flags, 0), order),
        element(5, struct.pack(f"{order}{values.ndim}i", *values.shape), order),
        (element if len(name) > 4 else small)(1, name.encode(), order),
        element(stored[values.dtype.str[1:]], numbers, order),
    )
    return element(14, b"".join(parts), order)


def mat_file(*elements: bytes, compressed: bool = False, order: str = "<") -> bytes:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + (b"IM" if order == "<" else b"MI")
    if compressed:
        packed = (zlib.compress(each) for each in elements)
        elements = tuple(struct.pack(f"{order}II", 15, len(each)) + each for each in packed)
    return head + b"".join(elements)


def write_picture(path: Path, number: int) -> None:
    """A grey picture that tells its number, of the shape of 1280x1024."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((256, 320, 3), 10 * (number % 20), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


def write_poses(path: Path, poses: np.ndarray, compressed: bool = False) -> None:
    path.write_bytes(mat_file(matrix("fps", np.array([[25.0]])), matrix("pose_gt", poses), compressed=compressed))


def write_test(root: Path) -> Path:
    """The studio as AG-EgoPose's release lays it out, more poses than pictures; the outdoor recording as published,
    more pictures than poses."""
    for place in range(4):
        number = FIRST + [2, 0, 3, 1][place]
        write_picture(root / STUDIO / "imgs" / f"fc2_save_2017-{number}.jpg", number)
    write_poses(root / STUDIO / "weipeng_studio_gt.mat", poses_mm(6))
    for number in (8, 9, 10, 11):
        write_picture(root / OUTDOOR / f"frame_{number}.png", number)
    write_poses(root / f"{OUTDOOR}_gt.mat", poses_mm(3, 1), compressed=True)
    (root / "test_mo2cap2.txt").write_text(f"/elsewhere/Mo2Cap2/{STUDIO}\n\n{OUTDOOR}/\n")
    return root
