"""What a training frame costs to load: as the official loader does it, from raw folders, and from prepared shards.

    python benchmarks/loading.py              # 4 views of 872 px, JPEGs of about 290 kB, delivered at 256 px
    python benchmarks/loading.py --json       # the last line is JSON

It makes its own data: rendered pictures with a sensor's noise. One process, one thread, files in the page cache. What
counts is the processor's time (a busy machine would add the waits for it), the median; the loaders take turns, frame
by frame.
`official` is a plain PIL pipeline that does what the release does: decode, bicubic to 256 px, normalise, read the JSON
and the cached heatmaps of every view. Ours leave normalisation and heatmaps to the training device; the rows "on the
CPU" do them too.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before numpy: one core

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from egorear.datasets.conversion import Conversion
from egorear.datasets.frames import FrameDataset
from egorear.datasets.opening import open_dataset
from egorear.datasets.prepare import PrepareJob, prepare
from egorear.datasets.sample import Sample
from egorear.datasets.writer import SynWriter
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW
from egorear.heatmaps import stamped_heatmaps
from egorear.models.images import IMAGENET_MEAN, IMAGENET_STD, normalize

STORED_PX, DELIVERED_PX, HEATMAP_PX = 872, 256, 64
NOISE_LEVELS, JPEG_QUALITY = 6.0, 95  # together they make JPEGs of about 290 kB
MEAN, DEVIATION = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
SEQUENCE = "anna/1001"


def make_data(root: Path, frames: int) -> None:
    """A split in the layout of Ego4View-Syn, with the heatmap cache of the release beside it."""
    from egorear.synth import studio
    from egorear.synth.job import Recipe, Take

    rig, rng = ego4view_syn(), np.random.default_rng(0)
    writer = SynWriter(root, rig)
    recipe = Recipe(rig, size=STORED_PX, samples=1, take_frames=frames)
    for index, images, truth in studio.take(recipe, Take("train", 0, frames), frozenset()):
        noisy = {
            view: np.clip(image + rng.normal(0, NOISE_LEVELS, image.shape) + 0.5, 0, 255).astype(np.uint8)
            for view, image in images.items()
        }
        writer.write(*SEQUENCE.split("/"), f"{index:04}", noisy, replace(truth, jpeg_quality=JPEG_QUALITY))
        for view in rig.views:
            folder = root / SEQUENCE / "fisheye_hm" / f"camera_{view}"
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{index:04}.npy", rng.random((len(EGO4VIEW), HEATMAP_PX, HEATMAP_PX), np.float32))
    writer.write_splits({"train": ["anna"]})


def official(root: Path, index: int) -> dict[str, Any]:
    """A frame as the reference tells that the release loads it: images normalised, heatmaps from their cache."""
    folder, stem = root / SEQUENCE, f"{index:04}"
    frame = json.loads((folder / SynWriter.JSON_FOLDER / f"{stem}.json").read_text())
    images, heatmaps, pixels = [], [], []
    for view in ego4view_syn().views:
        with Image.open(folder / "fisheye_rgb" / f"camera_{view}" / f"{stem}.jpg") as picture:
            small = picture.convert("RGB").resize((DELIVERED_PX, DELIVERED_PX), Image.Resampling.BICUBIC)
        values = (np.asarray(small, np.float32) / 255 - MEAN) / DEVIATION
        images.append(torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1))))
        heatmaps.append(torch.from_numpy(np.load(folder / "fisheye_hm" / f"camera_{view}" / f"{stem}.npy")))
        pixels.append([frame["joints"][name][f"camera_{view}_pts2d"] for name in EGO4VIEW.names])
    joints_cm = torch.tensor([frame["joints"][name]["device_pts3d"] for name in EGO4VIEW.names])
    return {
        "images": torch.stack(images),
        "heatmaps": torch.stack(heatmaps),
        "joints": joints_cm / 100,
        "joints_2d": torch.tensor(pixels),
    }


def with_the_rest(sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """What ours leave to the training device, on the CPU: normalised images and heatmaps."""
    return normalize(sample.images), stamped_heatmaps(sample.joints_2d, DELIVERED_PX, HEATMAP_PX)


def medians(loaders: dict[str, Callable[[int], Any]], frames: int, rounds: int) -> dict[str, float]:
    """Median milliseconds of the processor a frame of each; they take turns at every frame."""
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for lap in range(rounds + 1):
        for index in range(frames):
            for name, load in loaders.items():
                start = time.process_time()
                load(index)
                if lap:  # the first fills the page cache
                    times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def size_of(root: Path, *parts: str) -> int:
    """Bytes of the files below `root` in folders of these names (none: all)."""
    paths = (path for path in root.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in paths if not parts or set(parts) & set(path.parts))


def run(frames: int, rounds: int) -> dict[str, Any]:
    """Makes the data in a temporary folder and measures."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        root, shards = Path(folder) / "raw", Path(folder) / "shards"
        make_data(root, frames)
        for _ in prepare(PrepareJob(str(shards), Conversion(str(root), DELIVERED_PX))):
            pass
        raw: FrameDataset = open_dataset(root, "train", DELIVERED_PX)
        prepared: FrameDataset = open_dataset(shards, "train", DELIVERED_PX)
        loaders = {
            "official": lambda index: official(root, index),
            "raw": raw.__getitem__,
            "shards": prepared.__getitem__,
            "raw, the rest on the CPU": lambda index: with_the_rest(raw[index]),
            "shards, the rest on the CPU": lambda index: with_the_rest(prepared[index]),
        }
        ms = medians(loaders, frames, rounds)
        theirs = size_of(root, "fisheye_rgb", "fisheye_hm", SynWriter.JSON_FOLDER) / frames
        ours = size_of(shards) / frames
        jpeg = size_of(root, "fisheye_rgb") / frames / len(raw.rig.views)
    return {
        "shard_ratio": ms["official"] / ms["shards"],
        "raw_ratio": ms["official"] / ms["raw"],
        "disk_ratio": ours / theirs,
        "shard_ratio_all_on_cpu": ms["official"] / ms["shards, the rest on the CPU"],
        "raw_ratio_all_on_cpu": ms["official"] / ms["raw, the rest on the CPU"],
        "ms": ms,
        "bytes_a_frame": {"official": theirs, "shards": ours},
        "jpeg_kB": jpeg / 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=8, help="frames of 4 views (default 8)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each is loaded (default 5)")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    args = parser.parse_args()
    result = run(args.frames, args.rounds)
    table = Table(title=f"a frame of 4 views, JPEGs of {result['jpeg_kB']:.0f} kB, one core")
    for column in ("loader", "ms", "official : this", "MB on disk"):
        table.add_column(column, justify="left" if column == "loader" else "right")
    theirs, ours = (f"{result['bytes_a_frame'][name] / 1e6:.3f}" for name in ("official", "shards"))
    disk = {"official": theirs, "shards": f"{ours} (1/{1 / result['disk_ratio']:.0f})"}
    for name, ms in result["ms"].items():
        table.add_row(name, f"{ms:.2f}", f"{result['ms']['official'] / ms:.1f}", disk.get(name, ""))
    Console(width=100).print(table)
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
