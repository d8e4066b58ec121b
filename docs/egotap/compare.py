"""Trains several lifters of EgoTAP side by side: every one sees the same frames, through the same frozen heatmap
networks, in the same order. Each ends as a folder that `egorear predict` takes, with its poses of the test frames in it
(the heatmaps are made once for all) as `egorear evaluate`, `egorear propagation` and `egorear reconstruct` take them.

    python docs/egotap/compare.py --data DATASET --maps runs/egotap_nano --out runs/egotap_compare --seed 1 \
        grid relation lstm lstm_alternate lstm_concat pu_tree pu_chain cnn channel

maps: a folder with the finished runs joint_maps and limb_maps of configs/egotap_nano.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from egorear.datasets.frames import FrameDataset
from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.metrics.errors import joint_errors_mm
from egorear.models import MODELS, EgoTAP, EgoTAPConfig, EgoTAPOutput, save_pretrained
from egorear.models.egotap_lifter import TAPLifter
from egorear.models.images import normalize
from egorear.models.propagation import PropagationConfig
from egorear.poses import Poses
from egorear.training.data import FrameData
from egorear.training.initial import load_parts
from egorear.training.losses import LossConfig, loss_terms
from egorear.training.optimizer import AdamWConfig
from egorear.training.schedule import Schedule
from egorear.training.side_by_side import Recipe, SideBySide

CONFIG = MODELS["egotap-nano"][0]
assert isinstance(CONFIG, EgoTAPConfig)
assert CONFIG.lifter is not None
HIDDEN = CONFIG.lifter.propagation.hidden
LOSS = LossConfig(heatmap=0.0, limbs=0.0, pose=0.1, cosine=0.001)
OPTIMIZER, SCHEDULE = AdamWConfig(eps=1e-4, weight_decay=0.0), Schedule(200, decay="cosine")


def config_of(name: str) -> EgoTAPConfig:
    """cnn, channel: that encoder without propagation, as in the paper's Table 2; the others have the grid encoder."""
    lifter, order = CONFIG.lifter, "tree"
    assert lifter is not None
    if name in ("cnn", "channel"):
        lifter, cell = replace(lifter, encoder=replace(lifter.encoder, kind=name)), "none"
    elif name.startswith("pu_"):
        cell, order = name.split("_")
    else:
        cell = "none" if name == "grid" else name
    return replace(CONFIG, lifter=replace(lifter, propagation=PropagationConfig(cell, order, HIDDEN)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    for name in ("data", "maps", "out"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--cache", default="~/.cache/egorear/frames")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = FrameData(str(args.data), CONFIG.views, CONFIG.image_size, in_memory=True, cache=args.cache, workers=0)
    data.check("train")
    frames = data._data("train")
    torch.manual_seed(0)
    maps = EgoTAP(replace(CONFIG, lifter=None)).eval().requires_grad_(False)
    for part in ("joint_maps", "limb_maps"):
        load_parts(maps, args.maps / part / "model")

    def build(name: str) -> TAPLifter:
        lifter = EgoTAP(config_of(name)).lifter
        assert lifter is not None
        return lifter

    def see(chosen: list[int]) -> tuple[EgoTAPOutput, Sample]:
        batch = frames.__getitems__(chosen)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return maps(normalize(batch.images)), batch

    def loss(lifter: TAPLifter, seen: tuple[EgoTAPOutput, Sample]) -> Float[Tensor, ""]:
        with torch.autocast("cpu", torch.bfloat16):
            poses = lift(lifter, seen[0])
        return torch.stack(list(loss_terms(EgoTAPOutput(poses[:, None]), seen[1], LOSS, CONFIG).values())).sum()

    recipe = Recipe(args.steps, args.batch, args.seed, OPTIMIZER, SCHEDULE)
    training = SideBySide(args.names, build, recipe, args.out / f"seed_{args.seed}" / "last.ckpt")
    lifters = training.run(len(frames), see, loss)
    assert data.rig is not None
    for name, lifter in lifters.items():
        whole = EgoTAP(config_of(name))
        whole.joint_maps, whole.limb_maps, whole.lifter = maps.joint_maps, maps.limb_maps, lifter
        save_pretrained(whole, args.out / f"{name}-{args.seed}")
        data.rig.save(args.out / f"{name}-{args.seed}" / "rig.json")
    predict(maps, lifters, open_dataset(args.data, "test", CONFIG.image_size, CONFIG.views), args.out, args.seed)


def lift(lifter: TAPLifter, seen: EgoTAPOutput) -> Float[Tensor, "B J 3"]:
    """The poses (m) that a lifter reads from the frozen networks' maps."""
    limbs = seen.limb_maps if lifter.limb_encoder is not None else None
    return lifter(seen.heatmaps_initial, limbs).poses_cm.float() / 100


@torch.inference_mode()
def predict(maps: EgoTAP, lifters: dict[str, TAPLifter], frames: FrameDataset, out: Path, seed: int) -> None:
    """Writes NAME-SEED/poses.npz of every lifter and prints its errors."""
    poses: dict[str, list[torch.Tensor]] = {name: [] for name in lifters}
    peaks, truth = [], []
    for batch in DataLoader(frames, 50, collate_fn=Sample.stack):
        seen = maps(normalize(batch.images))
        highest = seen.heatmaps_initial.amax(dim=(1, -2, -1)).clamp(0, 1)
        peaks.append(torch.cat((highest[:, :1], highest), dim=1))
        truth.append(batch.joints)
        for name, lifter in lifters.items():
            poses[name].append(lift(lifter, seen))
    target = torch.cat(truth)
    for name, lifter in lifters.items():
        joints = torch.cat(poses[name])
        Poses(
            joints=joints.numpy(),
            confidence=torch.cat(peaks).numpy(),
            frame_names=frames.names,
            timestamps=np.arange(len(joints), dtype=np.float64),
            rig_hash=frames.rig.hash(),
            model_id=f"{name}-{seed}",
            joint_names=CONFIG.joints.names,
        ).save(out / f"{name}-{seed}" / "poses.npz")
        parameters = sum(p.numel() for p in lifter.parameters())
        errors = [joint_errors_mm(joints, target, align).mean().item() for align in (False, True)]
        print(f"{name} seed {seed}: {parameters:,} parameters, MPJPE {errors[0]:.2f} mm, PA-MPJPE {errors[1]:.2f} mm")


if __name__ == "__main__":
    main()
