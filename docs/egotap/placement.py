"""What it costs that a network tells the body's shape alone: poses of a network that knows the place too are moved to
their own hips, and then placed again along the rays of its heatmaps, as `PoseTracker` places UnrealEgo's networks.

    python docs/egotap/placement.py --data DATASET --weights COMPARE/pu_tree-1
"""

import argparse
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.heatmaps import argmax_2d, to_image_pixels
from egorear.metrics.errors import joint_errors_mm
from egorear.models import EgoTAP, load_pretrained
from egorear.models.images import normalize
from egorear.tracking.placement import place

HIPS = slice(8, 10)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("data", "weights"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    args = parser.parse_args()
    network = load_pretrained(args.weights)
    assert isinstance(network, EgoTAP)
    size = network.config.image_size
    frames = open_dataset(args.data, "test", size, network.config.views)
    rig = frames.rig.resized(size, size)
    errors: dict[str, list[torch.Tensor]] = {"its own place": [], "placed by rays": [], "true shape, placed": []}
    for batch in DataLoader(frames, 50, collate_fn=Sample.stack):
        seen = network(normalize(batch.images))
        cells, scores = argmax_2d(seen.heatmaps_initial)
        pixels = to_image_pixels(cells, size, seen.heatmaps_initial.shape[-1])
        poses = {"its own place": seen.poses[:, -1]}
        for name, whole in (("placed by rays", seen.poses[:, -1]), ("true shape, placed", batch.joints)):
            shape = whole - whole[:, HIPS].mean(1, keepdim=True)
            poses[name] = shape + place(shape[:, 1:], pixels, scores.clamp_min(0).square(), rig)[:, None]
        for name, joints in poses.items():
            errors[name].append(joint_errors_mm(joints, batch.joints, False))
    for name, parts in errors.items():
        print(f"{name}: MPJPE {torch.cat(parts).mean():.1f} mm")


if __name__ == "__main__":
    main()
