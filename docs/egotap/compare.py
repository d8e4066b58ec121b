"""Trains several lifters of EgoTAP side by side: every one sees the same frames, through the same frozen heatmap
networks, in the same order. Each ends as a folder that `egorear predict` takes, with its poses of the test frames in it
(the heatmaps are made once for all) as `egorear evaluate`, `egorear propagation` and `egorear reconstruct` take them.

    python docs/egotap/compare.py --data DATASET --maps runs/egotap_nano --out runs/egotap_compare --seed 1 \
        grid relation lstm lstm_alternate lstm_concat pu_tree pu_chain cnn channel

maps: a folder with the finished runs joint_maps and limb_maps of configs/egotap_nano.
"""

import argparse
import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from egorear.datasets.frames import FrameDataset
from egorear.datasets.opening import open_dataset
from egorear.datasets.sample import Sample
from egorear.files import atomic_write
from egorear.metrics.errors import joint_errors_mm
from egorear.models import MODELS, EgoTAP, EgoTAPConfig, EgoTAPOutput, save_pretrained
from egorear.models.egotap_lifter import TAPLifter
from egorear.models.images import normalize
from egorear.models.propagation import PropagationConfig
from egorear.poses import Poses
from egorear.training.batches import EpochBatches
from egorear.training.data import FrameData
from egorear.training.initial import load_parts
from egorear.training.losses import LossConfig, loss_terms
from egorear.training.schedule import Schedule
from egorear.training.stages import average_weights

CONFIG = MODELS["egotap-nano"][0]
assert isinstance(CONFIG, EgoTAPConfig)
assert CONFIG.lifter is not None
HIDDEN = CONFIG.lifter.propagation.hidden
LOSS = LossConfig(heatmap=0.0, limbs=0.0, pose=0.1, cosine=0.001)
CHECKPOINT_STEPS = 200


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
    networks, averages, optimizers, schedulers = {}, {}, {}, {}
    schedule = Schedule(200, decay="cosine")
    for name in args.names:
        torch.manual_seed(args.seed)
        lifter = EgoTAP(config_of(name)).lifter
        assert lifter is not None
        networks[name], averages[name] = lifter.train(), copy.deepcopy(lifter).requires_grad_(False)
        optimizers[name] = torch.optim.AdamW(lifter.parameters(), lr=1e-3, eps=1e-4, weight_decay=0.0)
        schedulers[name] = torch.optim.lr_scheduler.LambdaLR(
            optimizers[name], lambda step: schedule.factor(step, 1.0, float(args.steps))
        )
    spent = dict.fromkeys(("maps", *args.names), 0.0)
    checkpoint, step = args.out / f"seed_{args.seed}.ckpt", 0
    if checkpoint.exists():
        stored = torch.load(checkpoint, weights_only=True)
        step, spent = stored["step"], stored["spent"]
        for name in args.names:
            for kind, parts in zip(stored["parts"], (networks, averages, optimizers, schedulers), strict=True):
                parts[name].load_state_dict(kind[name])
    per_epoch = len(frames) // args.batch
    batches = EpochBatches(len(frames), args.batch, args.seed, epoch=step // per_epoch, batch=step % per_epoch)
    began = time.monotonic()
    while step < args.steps:
        for index in batches:
            batch = frames.__getitems__(index)
            clock = time.process_time()
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                seen = maps(normalize(batch.images))
            spent["maps"] += time.process_time() - clock
            told = {}
            for name, lifter in networks.items():
                clock = time.process_time()
                with torch.autocast("cpu", torch.bfloat16):
                    limbs = seen.limb_maps if lifter.limb_encoder is not None else None
                    lifted = lifter(seen.heatmaps_initial, limbs)
                output = EgoTAPOutput(lifted.poses_cm[:, None].float() / 100)
                loss = torch.stack(list(loss_terms(output, batch, LOSS, CONFIG).values())).sum()
                optimizers[name].zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(lifter.parameters(), 5.0)
                optimizers[name].step()
                schedulers[name].step()
                average_weights(averages[name], lifter, min(0.998, (1 + step) / (10 + step)))
                spent[name] += time.process_time() - clock
                told[name] = loss.item()
            step += 1
            if step % 50 == 0:
                losses = " ".join(f"{name} {loss:.2f}" for name, loss in told.items())
                print(f"step {step} {time.monotonic() - began:.0f} s: {losses}", flush=True)
            if step % CHECKPOINT_STEPS == 0 or step == args.steps:
                kinds = (networks, averages, optimizers, schedulers)
                parts = [{name: part.state_dict() for name, part in kind.items()} for kind in kinds]
                with atomic_write(checkpoint) as temporary:
                    torch.save({"step": step, "spent": spent, "parts": parts}, temporary)
            if step == args.steps:
                break
    assert data.rig is not None
    for name in args.names:
        whole = EgoTAP(config_of(name))
        whole.joint_maps, whole.limb_maps = maps.joint_maps, maps.limb_maps
        assert whole.lifter is not None
        whole.lifter.load_state_dict(averages[name].state_dict())
        save_pretrained(whole, args.out / f"{name}-{args.seed}")
        data.rig.save(args.out / f"{name}-{args.seed}" / "rig.json")
    print("CPU seconds:", {name: round(seconds) for name, seconds in spent.items()})
    predict(maps, averages, open_dataset(args.data, "test", CONFIG.image_size, CONFIG.views), args.out, args.seed)


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
            limbs = seen.limb_maps if lifter.limb_encoder is not None else None
            poses[name].append(lifter.eval()(seen.heatmaps_initial, limbs).poses_cm / 100)
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
