"""Writes small copies of Mo2Cap2's training set with nothing but numpy and h5py."""

from pathlib import Path

import h5py
import numpy as np


def chunk(count: int = 3, seed: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "Images": rng.integers(0, 256, (count, 3, 256, 256), np.uint8),
        "Annot2D": rng.uniform(50, 200, (count, 15, 2)),
        "Annot3D": rng.uniform((-300, -100, 200), (300, 300, 1400), (count, 15, 3)),
        "ZoomImages": np.zeros((count, 3, 8, 8), np.uint8),
    }


def write_chunk(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def write_train(root: Path) -> Path:
    write_chunk(root / "training_data/mo2cap2_chunk_0001.hdf5", **chunk())
    write_chunk(root / "training_data/mo2cap2_chunk_0002.hdf5", **chunk(2, 5))
    (root / "train_mo2cap2.txt").write_text(
        "training_data/mo2cap2_chunk_0001.hdf5\n/data/mo2cap2/training_data/mo2cap2_chunk_0002.hdf5\n"
    )
    return root
