"""A split decoded once: every frame at the network's resolution in one array that all processes share.

Decoding JPEGs costs a CPU more than a small network's training step. The arrays live in a cache folder and are
memory-mapped, so that the second start is immediate and the operating system keeps what fits.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from egorear.datasets.frames import FrameDataset
from egorear.datasets.sample import Sample
from egorear.errors import UserError

BLOCK = 64  # frames decoded at a time


class MemoryDataset(Dataset[Sample]):
    """The frames of `source`, served as whole batches: a DataLoader needs no workers and no collation.

    cache: folder of the decoded arrays, one folder in it per split, size, views and state of the files.
    workers: processes that decode (0: this one).

    Raises:
        UserError: a frame is damaged, or the cache cannot be written.
    """

    def __init__(self, source: FrameDataset, cache: str | Path, workers: int = 0) -> None:
        folder = Path(cache).expanduser() / _key(source)
        if not folder.exists():
            _decode(source, folder, workers)
        self.names = source.names
        self.rig = source.rig.resized(*source.image_size)
        self.images = np.load(folder / "images.npy", mmap_mode="r")
        self.joints, self.joints_2d, self.visible, self.transforms = (
            torch.from_numpy(np.load(folder / f"{name}.npy"))
            for name in ("joints", "joints_2d", "visible", "transforms")
        )
        pelvis = folder / "pelvis.npy"  # only where the dataset tells it
        self.pelvis = torch.from_numpy(np.load(pelvis)) if pelvis.exists() else None

    def __len__(self) -> int:
        return len(self.names)

    def __getitems__(self, indices: list[int]) -> Sample:
        """The batch of these frames; images are stored as "N V H W 3" and delivered as a view "B V 3 H W"."""
        order = np.asarray(indices)
        images = torch.from_numpy(self.images[order]).movedim(-1, -3)
        index = torch.from_numpy(order)
        return Sample(
            images=images,
            joints=self.joints[index],
            joints_2d=self.joints_2d[index],
            visible=self.visible[index],
            rig=replace(self.rig, T_camera_device=self.transforms[index]),
            name=[self.names[i] for i in indices],
            pelvis=None if self.pelvis is None else self.pelvis[index],
        )

    @staticmethod
    def collate(batch: Sample) -> Sample:
        """What `__getitems__` returns is a batch already."""
        return batch


def _key(source: FrameDataset) -> str:
    """Names what is decoded: frames by name, size and time of their files, the rig, the size."""
    digest = hashlib.sha256(f"{source.root.resolve()} {source.split} {source.image_size}".encode())
    digest.update(source.rig.hash().encode())
    for index, name in enumerate(source.names):
        for path in source.files(index):
            try:
                stat = path.stat()
            except OSError as error:
                raise UserError(f"cannot read {path}: {error.strerror or error}") from error
            digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return f"{source.root.name}-{source.split}-{digest.hexdigest()[:12]}"


def _decode(source: FrameDataset, folder: Path, workers: int) -> None:
    """Fills `folder`, which appears only when it is whole."""
    frames, views = len(source), len(source.rig.views)
    width, height = source.image_size
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise UserError(f"cannot write the cache {folder.parent}: {error.strerror or error}") from error
    try:
        needed, free = frames * views * height * width * 3, shutil.disk_usage(unfinished).free
        if needed > free:
            raise UserError(
                f"the cache {folder.parent} needs {needed / 2**30:.1f} GiB for '{source.split}' but its disk has "
                f"{free / 2**30:.1f} GiB left; give another --data.cache or set --data.in_memory=false"
            )
        arrays: dict[str, np.memmap] = {}
        loader = DataLoader(source, BLOCK, num_workers=workers, collate_fn=Sample.stack)
        console = Console(file=sys.stderr)
        with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
            if not console.is_terminal:
                print(f"decoding {frames} frames of '{source.split}' into {folder}", file=sys.stderr, flush=True)
            start = 0
            for batch in progress.track(loader, description=f"decoding '{source.split}'"):
                stop = start + len(batch.joints)
                parts = {name: values.numpy() for name, values in _parts(batch).items()}
                if not arrays:
                    for name, values in parts.items():
                        path, shape = unfinished / f"{name}.npy", (frames, *values.shape[1:])
                        arrays[name] = open_memmap(path, "w+", values.dtype, shape)
                if parts.keys() != arrays.keys():
                    raise UserError(f"{source.root}: only some frames of split '{source.split}' tell the pelvis")
                for name, values in parts.items():
                    arrays[name][start:stop] = values
                start = stop
        for values in arrays.values():
            values.flush()
        os.replace(unfinished, folder)
    except OSError as error:
        # Another process may have decoded the same split meanwhile; its folder is as good.
        if not folder.exists():
            raise UserError(f"cannot write the cache {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _parts(batch: Sample) -> dict[str, Tensor]:
    parts = {
        "images": batch.images.movedim(-3, -1),
        "joints": batch.joints,
        "joints_2d": batch.joints_2d,
        "visible": batch.visible,
        "transforms": batch.rig.T_camera_device.float(),
    }
    return parts if batch.pelvis is None else {**parts, "pelvis": batch.pelvis}
