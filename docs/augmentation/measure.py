"""Measures the table of docs/augmentation.md: what each part costs, and what it does to the shipped network's error.

Run from the repository: OMP_NUM_THREADS=1 python docs/augmentation/measure.py DATASET SPLIT
"""

import sys
import time

import torch

from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.models import load_pretrained
from egorear.training.augmentation import Augmentation

BATCH, FRAMES, REPEATS = 16, 240, 11
DARK = {"contrast": 0.0, "colour": 0.0, "brightness": 0.0}
PARTS = {
    "nothing (normalised)": {},
    "light: the default": {"contrast": 0.2, "colour": 0.1, "brightness": 0.2},
    "noise: 0.2": {"noise": 0.2},
    "blur: 1": {"blur": 1.0},
    "erase: 0.3": {"erase": 0.3},
    "turned: 1": {"turned": 1.0},
    "turned: 1, turn_deg: 8, roll_deg: 8": {"turned": 1.0, "turn_deg": 8.0, "roll_deg": 8.0},
    "mirror: 1": {"mirror": 1.0},
    "mirror: 0.5, turned: 0.5": {"mirror": 0.5, "turned": 0.5},
    "view_dropout: 0.5": {"view_dropout": 0.5},
}


def milliseconds(batch: Sample, augmentation: Augmentation) -> float:
    """CPU time per frame: the median, since other processes disturb."""
    spent = []
    for seed in range(REPEATS):
        torch.manual_seed(seed)
        start = time.thread_time()
        augmentation(batch)
        spent.append((time.thread_time() - start) * 1000 / BATCH)
    return sorted(spent)[REPEATS // 2]


@torch.no_grad()
def mpjpe_mm(network: torch.nn.Module, batches: list[Sample], augmentation: Augmentation, follow: bool = True) -> float:
    """`follow`: tell the network the augmented rig, not the one that came in."""
    torch.manual_seed(0)
    errors = []
    for batch in batches:
        images, after = augmentation(batch)
        poses = network(images, (after if follow else batch).rig, after.present).poses[:, -1]
        errors.append((poses - after.joints).norm(dim=-1).mean(1))
    return 1000 * torch.cat(errors).mean().item()


def main(root: str, split: str) -> None:
    torch.set_num_threads(1)
    frames = open_dataset(root, split, 128, None)
    chosen = [frames[i] for i in range(0, len(frames), max(1, len(frames) // FRAMES))][:FRAMES]
    batches = [Sample.stack(chosen[i : i + BATCH]) for i in range(0, len(chosen) - BATCH + 1, BATCH)]
    network = load_pretrained("src/egorear/weights/egorear-nano").eval()
    parts = {name: Augmentation(**{**DARK, **strengths}) for name, strengths in PARTS.items()}
    parts["everything"] = Augmentation(noise=0.2, blur=1.0, erase=0.3, turned=0.5, mirror=0.5, view_dropout=0.5)
    print(f"| {len(batches) * BATCH} frames | ms a frame | MPJPE mm |\n|---|---|---|")
    for name, augmentation in parts.items():
        cost, error = milliseconds(batches[0], augmentation), mpjpe_mm(network, batches, augmentation)
        print(f"| {name} | {cost:.2f} | {error:.1f} |", flush=True)
    still = mpjpe_mm(network, batches, parts["turned: 1, turn_deg: 8, roll_deg: 8"], follow=False)
    print(f"| turned by up to 8 degrees, the network told the old rig | | {still:.1f} |")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
